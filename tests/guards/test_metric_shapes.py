"""Labels and predictions of a named metric: converted where there is one way, with the value by hand; else refused."""

import keras
import numpy as np
import pytest
import sklearn.metrics as sk
import tf_keras  # noqa: F401 - both packages are there, as where either has made the model

import evalguard
from evalguard.guards.metrics import metrics_of

N, K = 60, 4
RNG = np.random.default_rng(3)
Y = np.arange(N) % K
HOT = np.eye(K)[Y]
SCORES = RNG.random((N, K)) + HOT * 0.6
SCORES /= SCORES.sum(axis=1, keepdims=True)
BINARY = (RNG.random(N) > 0.4).astype(int)
CHANCE = np.clip(RNG.random(N) * 0.6 + BINARY * 0.4, 0, 1)
TWO = np.column_stack([1 - CHANCE, CHANCE])
AMOUNTS = RNG.integers(0, 90, N)
ABOUT = AMOUNTS + RNG.normal(size=N)
TAGS = (RNG.random((N, K)) > 0.5).astype(int)
RIGHT = np.mean(SCORES.argmax(1) == Y)

# Name, labels, predictions, value by hand.
FITTING = {
    "integers, categorical": ("categorical_accuracy", Y, SCORES, RIGHT),
    "column, categorical": ("categorical_accuracy", Y[:, None], SCORES, RIGHT),
    "integers, crossentropy": ("categorical_crossentropy", Y, SCORES, sk.log_loss(Y, SCORES)),
    "one-hot, sparse": ("sparse_categorical_accuracy", HOT, SCORES, RIGHT),
    "one-hot, accuracy": ("accuracy", HOT, SCORES, RIGHT),
    "column, accuracy": ("accuracy", Y[:, None], SCORES, RIGHT),
    "floats, accuracy": ("accuracy", Y.astype("float32"), SCORES, RIGHT),
    "classes, accuracy": ("accuracy", Y, SCORES.argmax(1), RIGHT),
    "binary column": ("accuracy", BINARY, CHANCE[:, None], np.mean((CHANCE > 0.5) == BINARY)),
    "both columns": ("binary_accuracy", BINARY[:, None], CHANCE, np.mean((CHANCE > 0.5) == BINARY)),
    "amounts": ("mse", AMOUNTS, ABOUT[:, None], np.mean((AMOUNTS - ABOUT) ** 2)),
    "column of amounts": ("mae", AMOUNTS[:, None], ABOUT, np.mean(np.abs(AMOUNTS - ABOUT))),
    "one-hot, f1": ("sklearn:f1_macro", HOT, SCORES, sk.f1_score(Y, SCORES.argmax(1), average="macro")),
    "column, f1": ("f1_macro", Y[:, None], SCORES, sk.f1_score(Y, SCORES.argmax(1), average="macro")),
    "one-hot, balanced": ("balanced_accuracy", HOT, SCORES, sk.balanced_accuracy_score(Y, SCORES.argmax(1))),
    "several classes": ("f1_micro", TAGS, SCORES * 2, sk.f1_score(TAGS, SCORES * 2 > 0.5, average="micro")),
    "roc, two columns": ("roc_auc", BINARY, TWO, sk.roc_auc_score(BINARY, CHANCE)),
    "roc, one column": ("sklearn:roc_auc", BINARY, CHANCE[:, None], sk.roc_auc_score(BINARY, CHANCE)),
    "roc ovr": ("roc_auc_ovr", Y, SCORES, sk.roc_auc_score(Y, SCORES, multi_class="ovr")),
    "roc ovr, one-hot": ("sklearn:roc_auc_ovr", HOT, SCORES, sk.roc_auc_score(Y, SCORES, multi_class="ovr")),
    "roc ovo": ("roc_auc_ovo_weighted", Y, SCORES, sk.roc_auc_score(Y, SCORES, multi_class="ovo", average="weighted")),
    "scorer of a loss": ("neg_log_loss", Y, SCORES, -sk.log_loss(Y, SCORES)),
    "scorer of an error": ("neg_mean_absolute_error", AMOUNTS, ABOUT[:, None], -np.mean(np.abs(AMOUNTS - ABOUT))),
    "amounts, mae": ("sklearn:mean_absolute_error", AMOUNTS, ABOUT[:, None], np.mean(np.abs(AMOUNTS - ABOUT))),
    "amounts, r2": ("r2", AMOUNTS, ABOUT[:, None], sk.r2_score(AMOUNTS, ABOUT)),
    "log loss without a class": ("sklearn:log_loss", Y % 3, SCORES, sk.log_loss(Y % 3, SCORES, labels=range(K))),
    "top k": ("sklearn:top_k_accuracy", Y % 3, SCORES, sk.top_k_accuracy_score(Y % 3, SCORES, labels=range(K))),
    "top k, Keras": ("sparse_top_k_categorical_accuracy", Y, SCORES, 1.0),
    "top k, one-hot": ("top_k_categorical_accuracy", Y, SCORES, 1.0),
    "sequences": ("accuracy", Y.reshape(-1, 3), SCORES.reshape(-1, 3, K), RIGHT),
}


def impact_of(report):
    assert report.impact is not None
    return report.impact


@pytest.mark.parametrize("case", FITTING)
def test_a_metric_is_the_one_by_hand(case):
    name, labels, predictions, by_hand = FITTING[case]
    report = evalguard.check(indices=range(len(labels)), labels=labels, predictions=predictions, metrics=name)
    (found,) = impact_of(report).values()
    assert found.error is None
    assert found.as_scored == pytest.approx(by_hand, rel=1e-4)


@pytest.mark.parametrize("case", FITTING)
def test_it_is_the_same_after_realignment(case):
    name, labels, predictions, by_hand = FITTING[case]
    order = np.random.default_rng(1).permutation(len(labels))
    report = evalguard.check(indices=order, labels=labels, predictions=predictions[order], metrics=name)
    (found,) = impact_of(report).values()
    assert found.realigned == pytest.approx(by_hand, rel=1e-4)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("integers, categorical", "class numbers converted to one-hot labels"),
        ("one-hot, sparse", "one-hot labels converted to class numbers"),
        ("roc, two columns", "by the scores of class 1"),
        ("several classes", "several classes per row: predicted where above 0.5"),
        ("one-hot, accuracy", None),
        ("column, accuracy", None),
    ],
)
def test_what_was_converted_is_said(case, said):
    name, labels, predictions, _ = FITTING[case]
    report = evalguard.check(indices=range(N), labels=labels, predictions=predictions, metrics=name)
    assert impact_of(report)[name].note == said
    assert said is None or said in str(report)


# Name, labels, predictions, the error.
UNFIT = {
    "mse of classes": ("mse", Y, SCORES, "labels of one int64 per row and predictions of float64 rows of shape (4,)"),
    "sparse, one column": ("sparse_categorical_accuracy", BINARY, CHANCE[:, None], "these fit: accuracy or binary_acc"),
    "amounts, accuracy": (
        "accuracy",
        AMOUNTS,
        ABOUT[:, None],
        "expected labels 0 and 1 for one output column, found",
    ),
    "amounts, sklearn accuracy": (
        "sklearn:accuracy",
        AMOUNTS,
        ABOUT[:, None],
        "expected labels 0 and 1 for one output",
    ),
    "amounts, roc": ("roc_auc", AMOUNTS, ABOUT, "expected labels 0 and 1"),
    "too many classes": ("categorical_accuracy", Y + 1, SCORES, "expected class numbers from 0 to 3 for 4 output col"),
    "negative classes": (
        "accuracy",
        Y - 1,
        SCORES,
        "expected class numbers from 0 to 3 for 4 output columns, found -1",
    ),
    "fractions": ("accuracy", Y + 0.5, SCORES, "expected class numbers from 0 to 3"),
    "words": (
        "categorical_accuracy",
        Y.astype(str),
        SCORES,
        "expected labels as numbers",
    ),
    "words, sklearn": ("f1_macro", Y.astype(str), SCORES, "pass classes=[...]"),
    "amounts of columns, f1": ("f1_macro", SCORES, SCORES, "these fit: sklearn:mean_squared_error"),
    "auc of classes": ("auc", Y, SCORES, "these fit: sparse_categorical_accuracy"),
    "roc of classes": ("roc_auc", Y, SCORES, "these fit: roc_auc_ovr, roc_auc_ovo"),
    "no labels": ("accuracy", np.full(N, np.nan), CHANCE[:, None], "expected labels 0 and 1"),
    "a matrix": (
        "sklearn:confusion_matrix",
        Y,
        SCORES,
        "expected a metric that is one number, found an array of shape",
    ),
    "other columns": ("mae", np.zeros((N, 2)), SCORES, "labels of float64 rows of shape (2,)"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_what_does_not_belong_together_has_no_value_but_a_reason(case):
    name, labels, predictions, message = UNFIT[case]
    report = evalguard.check(indices=range(N), labels=labels, predictions=predictions, metrics=name)
    found = impact_of(report)[name]
    assert found.as_scored is None
    assert message in str(found.error)


def test_a_callable_gets_what_there_is():
    def same_shape(y_true, y_pred):
        return y_true.shape == y_pred.shape == (N, K)

    report = evalguard.check(indices=range(N), labels=HOT, predictions=SCORES, metrics=same_shape)
    assert impact_of(report)["same_shape"].as_scored == 1


OUTPUTS = {"kind": Y, "age": AMOUNTS.astype("float32")}
PREDICTED = {"kind": SCORES, "age": ABOUT[:, None].astype("float32")}


@pytest.mark.parametrize(
    ("metrics", "names"),
    [
        ({"kind": "accuracy", "age": "mae"}, {"accuracy, kind", "mae, age"}),
        ({"kind": ["accuracy", "f1_macro"], "age": ["mae"]}, {"accuracy, kind", "f1_macro, kind", "mae, age"}),
        ({"age": "mae"}, {"mae, age"}),
        ({"error": "mae"}, {"error, kind", "error, age"}),
        ("mae", {"mae, kind", "mae, age"}),
    ],
)
def test_each_output_has_its_metrics_as_in_compile(metrics, names):
    report = evalguard.check(indices=range(N), labels=OUTPUTS, predictions=PREDICTED, metrics=metrics)
    assert set(impact_of(report)) == names
    if "accuracy, kind" in names:
        assert impact_of(report)["accuracy, kind"].as_scored == pytest.approx(RIGHT)
        assert impact_of(report)["mae, age"].as_scored == pytest.approx(np.mean(np.abs(AMOUNTS - ABOUT)), rel=1e-4)


def test_several_metrics_of_what_is_no_output_have_a_reason():
    metrics = {"kinds": ["accuracy", "mae"]}
    report = evalguard.check(indices=range(N), labels=OUTPUTS, predictions=PREDICTED, metrics=metrics)
    assert set(impact_of(report)) == {"accuracy, kinds", "mae, kinds"}
    assert impact_of(report)["mae, kinds"].error == "metrics: expected the name of an output (age, kind), found 'kinds'"


def test_a_name_of_scikit_learn_needs_no_keras():
    assert keras
    (metric,) = metrics_of("neg_brier_score")
    assert metric.name == "neg_brier_score"


WEIGHTS = np.random.default_rng(8).integers(0, 5, N).astype("float64")
WEIGHTED = {
    "accuracy": (Y, SCORES, np.average(SCORES.argmax(1) == Y, weights=WEIGHTS)),
    "categorical_accuracy": (Y, SCORES, np.average(SCORES.argmax(1) == Y, weights=WEIGHTS)),
    "mse": (AMOUNTS, ABOUT[:, None], np.average((AMOUNTS - ABOUT) ** 2, weights=WEIGHTS)),
    "f1_macro": (Y, SCORES, sk.f1_score(Y, SCORES.argmax(1), average="macro", sample_weight=WEIGHTS)),
    "roc_auc_ovr": (Y, SCORES, sk.roc_auc_score(Y, SCORES, multi_class="ovr", sample_weight=WEIGHTS)),
    "sklearn:log_loss": (Y, SCORES, sk.log_loss(Y, SCORES, sample_weight=WEIGHTS)),
}


@pytest.mark.parametrize("name", WEIGHTED)
def test_sample_weights_go_with_their_labels(name):
    labels, predictions, by_hand = WEIGHTED[name]
    table = evalguard.Labels(values=labels, weights=WEIGHTS)
    order = np.random.default_rng(1).permutation(N)
    right = evalguard.check(indices=range(N), labels=table, predictions=predictions, metrics=name)
    moved = evalguard.check(indices=order, labels=table, predictions=predictions[order], metrics=name)
    assert impact_of(right)[name].as_scored == pytest.approx(by_hand, rel=1e-4)
    assert impact_of(moved)[name].realigned == pytest.approx(by_hand, rel=1e-4)
    assert "weighted by the sample weights" in str(impact_of(right)[name].note)


def test_weights_that_weigh_nothing_give_no_value_and_a_column_of_weights_is_one():
    none, column = np.zeros(N), WEIGHTS[:, None]
    for weights, expected in ((none, None), (column, WEIGHTED["f1_macro"][2])):
        table = evalguard.Labels(values=Y, weights=weights)
        report = evalguard.check(indices=range(N), labels=table, predictions=SCORES, metrics="f1_macro")
        found = impact_of(report)["f1_macro"]
        assert found.as_scored == (None if expected is None else pytest.approx(expected))
        assert expected is not None or "expected weights with a sum above 0, found 0" in str(found.error)


def test_a_callable_gets_weights_where_it_has_a_parameter_for_them():
    def weighted(y_true, y_pred, sample_weight=None):
        return np.average(y_pred.argmax(1) == y_true, weights=sample_weight)

    def plain(y_true, y_pred):
        return np.mean(y_pred.argmax(1) == y_true)

    table = evalguard.Labels(values=Y, weights=WEIGHTS)
    objects = keras.metrics.SparseCategoricalAccuracy(name="object")
    found = impact_of(
        evalguard.check(indices=range(N), labels=table, predictions=SCORES, metrics=[weighted, plain, objects])
    )
    by_hand = WEIGHTED["accuracy"][2]
    assert found["weighted"].as_scored == pytest.approx(by_hand)
    assert found["object"].as_scored == pytest.approx(by_hand, rel=1e-4)
    assert found["plain"].as_scored == pytest.approx(RIGHT)
    assert found["plain"].note == "without the sample weights, which the metric does not accept"


def test_bounds_are_those_of_the_weights():
    table = evalguard.Labels(values=Y, weights=WEIGHTS)
    order = np.arange(N - 20)
    found = impact_of(evalguard.check(indices=order, labels=table, predictions=SCORES[order], metrics="accuracy"))[
        "accuracy"
    ]
    right = ((SCORES.argmax(1) == Y) * WEIGHTS)[:-20].sum()
    assert found.at_least == pytest.approx(right / WEIGHTS.sum(), rel=1e-4)
    assert found.at_most == pytest.approx((right + WEIGHTS[-20:].sum()) / WEIGHTS.sum(), rel=1e-4)


def test_each_output_has_its_weights():
    weights = {"kind": WEIGHTS, "age": np.ones(N)}
    table = evalguard.Labels(values=OUTPUTS, weights=weights)
    report = evalguard.check(
        indices=range(N), labels=table, predictions=PREDICTED, metrics={"kind": "acc", "age": "mae"}
    )
    assert impact_of(report)["acc, kind"].as_scored == pytest.approx(WEIGHTED["accuracy"][2], rel=1e-4)
    assert impact_of(report)["mae, age"].as_scored == pytest.approx(np.mean(np.abs(AMOUNTS - ABOUT)), rel=1e-4)
