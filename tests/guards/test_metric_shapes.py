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
        ("integers, categorical", "labels: class numbers as one-hot"),
        ("one-hot, sparse", "labels: one-hot as class numbers"),
        ("roc, two columns", "by the score of class 1"),
        ("several classes", "several classes for a row: predicted above 0.5"),
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
    "mse of classes": ("mse", Y, SCORES, "labels of one int64 a row and predictions of float64 rows of shape (4,)"),
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
    "words": ("categorical_accuracy", Y.astype(str), SCORES, "the labels are words and the predictions numbers"),
    "words, sklearn": ("f1_macro", Y.astype(str), SCORES, "classes=[...] says which class is which"),
    "amounts of columns, f1": ("f1_macro", SCORES, SCORES, "these fit: sklearn:mean_squared_error"),
    "auc of classes": ("auc", Y, SCORES, "these fit: sparse_categorical_accuracy"),
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
