"""What a misalignment did to the metrics, compared with scikit-learn on rows reordered by hand."""

import functools

import keras
import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

import evalguard
from evalguard.core.findings import MetricImpact
from evalguard.errors import ConfigError, LabelsError
from evalguard.guards.metrics import metrics_of
from evalguard.reporting.text import to_text

N, CLASSES = 120, 4
RNG = np.random.default_rng(0)
Y = RNG.integers(0, CLASSES, N)
# Right for most rows, so that the metrics differ from one another.
P = np.eye(CLASSES)[np.where(RNG.random(N) < 0.8, Y, RNG.integers(0, CLASSES, N))] * 0.9 + 0.02
P /= P.sum(axis=1, keepdims=True)


def impact_of(report):
    assert report.impact is not None
    return report.impact


def impact_on(order, metric, y=Y, p=P, **options):
    """Impact of delivering the samples in this order."""
    report = evalguard.check(indices=order, labels=y, predictions=p[order], metrics=metric, **options)
    return next(iter(impact_of(report).values()))


METRICS = {
    "accuracy": lambda y, p: sk.accuracy_score(y, p.argmax(1)),
    "sparse_categorical_accuracy": lambda y, p: sk.accuracy_score(y, p.argmax(1)),
    "sparse_categorical_crossentropy": lambda y, p: sk.log_loss(y, p, labels=range(CLASSES)),
    "sklearn:accuracy_score": lambda y, p: sk.accuracy_score(y, p.argmax(1)),
    "sklearn:balanced_accuracy": lambda y, p: sk.balanced_accuracy_score(y, p.argmax(1)),
    "sklearn:f1_macro": lambda y, p: sk.f1_score(y, p.argmax(1), average="macro"),
    "sklearn:log_loss": lambda y, p: sk.log_loss(y, p),
}


@pytest.mark.parametrize("metric", METRICS)
def test_metrics_are_those_of_the_rows_in_label_order(metric):
    order = np.random.default_rng(1).permutation(N)
    found, by_hand = impact_on(order, metric), METRICS[metric]
    assert found.as_scored == pytest.approx(by_hand(Y, P[order]), rel=1e-5)
    assert found.realigned == pytest.approx(by_hand(Y, P), rel=1e-5)
    assert found.difference == pytest.approx(found.as_scored - found.realigned)


@given(st.lists(st.integers(0, N - 1), min_size=1, max_size=2 * N))
def test_bounds_hold_whatever_the_missing_samples_would_have_been(order):
    order = np.array(order)
    missing = np.setdiff1d(np.arange(N), order)
    found = impact_on(order, "accuracy")
    expected = np.mean(P.argmax(1) == Y)
    if missing.size:
        assert found.at_least - 1e-6 <= expected <= found.at_most + 1e-6
        assert found.at_most - found.at_least == pytest.approx(missing.size / N, abs=1e-6)
        assert found.realigned is None
    elif found.realigned is not None:
        assert found.realigned == pytest.approx(expected)


def test_bounds_are_met_by_the_best_and_the_worst_that_may_be_missing():
    order = np.arange(N - 30)
    found = impact_on(order, "accuracy")
    right = (P.argmax(1) == Y)[:-30].sum()
    assert found.at_least == pytest.approx(right / N)
    assert found.at_most == pytest.approx((right + 30) / N)


def test_no_bound_is_claimed_for_a_metric_that_is_no_mean_over_rows():
    found = impact_on(np.arange(N - 1), "sklearn:f1_macro")
    assert "no bound" in found.note
    assert found.at_least is found.at_most is found.realigned is None


def test_a_metric_that_did_not_change_is_reported_as_unchanged():
    constant = np.tile([0.1, 0.7, 0.1, 0.1], (N, 1))
    found = impact_on(np.arange(N)[::-1], "accuracy", p=constant)
    assert found.difference == 0
    assert found.note == f"unchanged in spite of {N} wrong rows"


def test_aligned_rows_have_one_value():
    assert impact_on(np.arange(N), "accuracy") == MetricImpact(as_scored=pytest.approx(np.mean(P.argmax(1) == Y)))


def test_one_hot_labels_and_single_outputs_are_scored_as_compile_would():
    order = np.random.default_rng(2).permutation(N)
    one_hot = impact_on(order, "accuracy", y=np.eye(CLASSES)[Y])
    assert one_hot.realigned == pytest.approx(np.mean(P.argmax(1) == Y))
    binary, probability = (Y > 1).astype(int), np.clip(P[:, 2:].sum(axis=1, keepdims=True), 0, 1)
    for metric in ("accuracy", "sklearn:accuracy"):
        found = impact_on(order, metric, y=binary, p=probability)
        assert found.realigned == pytest.approx(np.mean((probability[:, 0] > 0.5) == binary))


def test_callables_and_objects_of_keras_will_do():
    def wrong_share(y_true, y_pred):
        return np.mean(y_pred.argmax(axis=1) != y_true)

    order = np.arange(N)[::-1]
    report = evalguard.check(
        indices=order,
        labels=Y,
        predictions=P[order],
        metrics=[wrong_share, keras.metrics.SparseCategoricalAccuracy(name="mine"), "mse"],
    )
    assert impact_of(report)["wrong_share"].realigned + impact_of(report)["mine"].realigned == pytest.approx(1)
    assert impact_of(report)["mse"].error  # labels of one column, predictions of four


def test_a_repetition_with_another_prediction_is_not_taken_for_the_sample_s_own():
    rows = np.array([0, 1, 2, 3, 1])
    delivered = np.eye(2)[[0, 1, 0, 1, 0]]
    report = evalguard.check(
        indices=rows, labels=np.array([0, 1, 0, 1]), predictions=delivered, metrics="sklearn:accuracy"
    )
    found = impact_of(report)["sklearn:accuracy"]
    assert (found.at_least, found.at_most) == (0.75, 1.0)
    assert "1 sample predicted more than once, with different values" in found.note


def test_a_keras_metric_of_the_caller_s_keeps_its_state():
    mine = keras.metrics.SparseCategoricalAccuracy(name="mine")
    mine.update_state([0], [[1.0, 0.0]])
    assert impact_on(np.roll(np.arange(N), 1), mine).realigned == pytest.approx(np.mean(P.argmax(1) == Y))
    assert float(mine.result()) == 1.0


def test_a_metric_that_raises_costs_nothing():
    def broken(y_true, y_pred):
        raise RuntimeError

    report = evalguard.check(
        indices=np.arange(N), labels=Y, predictions=P, metrics={"mine": broken, "nan": lambda y, p: np.nan}
    )
    assert report.verdict == "PASS"
    assert report.impact == {
        "mine": MetricImpact(error="RuntimeError: "),
        "nan": MetricImpact(error="ValueError: expected a number from the metric, found NaN"),
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("acuracy", "accuracy"),
        ("sklearn:f1_makro", "sklearn:"),
        (7, "expected a name or a callable"),
        (["accuracy", "accuracy"], "each name once"),
    ],
)
def test_what_is_no_metric_is_refused_beforehand(given, message):
    with pytest.raises(ConfigError, match=message):
        evalguard.guard(labels=Y, metrics=given)


def test_predictions_must_pair_with_the_rows():
    with pytest.raises(LabelsError, match="expected one for each of the 120 rows"):
        evalguard.check(indices=np.arange(N), labels=Y, predictions=P[1:], metrics="accuracy")


def test_names_are_kept():
    half = functools.partial(sk.fbeta_score, beta=0.5, average="macro")
    assert [metric.name for metric in metrics_of(["acc", "sklearn:f1_macro", np.mean])] == [
        "acc",
        "sklearn:f1_macro",
        "mean",
    ]
    assert [metric.name for metric in metrics_of({"f half": half})] == ["f half"]


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    x, y = (data.data[:300] / 16).astype("float32"), data.target[:300]
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10, activation="softmax")])
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    model.fit(x, y, epochs=15, verbose=0)
    return model, x, y


@pytest.mark.parametrize("on_failure", ["record", "repair"])
def test_in_a_guard(digits, on_failure):
    model, x, y = digits
    order = np.random.default_rng(0).permutation(len(x))
    with evalguard.guard(labels=y, reference=x, metrics=["accuracy"], on_failure=on_failure, mlflow=False) as g:
        rows = model.predict(x[order], verbose=0)
    straight = rows if on_failure == "repair" else rows[np.argsort(order)]
    found = impact_of(g.report)["accuracy"]
    assert found.realigned == pytest.approx(sk.accuracy_score(y, straight.argmax(1)))
    assert found.as_scored < found.realigned - 0.3
    assert "accuracy: as scored" in to_text(g.report)


def test_the_streams_own_targets_show_that_a_label_file_is_wrong(digits):
    model, x, y = digits
    batches = [(x[start : start + 50], y[start : start + 50]) for start in range(0, 300, 50)]
    given = {"labels": np.roll(y, 1), "reference": x, "metrics": "accuracy", "mlflow": False}
    with evalguard.guard(**given, on_failure="record") as g:
        rows = model.predict((batch for batch in batches), steps=6, verbose=0)
    found = impact_of(g.report)["accuracy"]
    assert found.with_own_targets == pytest.approx(sk.accuracy_score(y, rows.argmax(1)))
    assert found.as_scored < found.with_own_targets


def test_each_output_has_its_own_metrics():
    inputs = keras.Input((3,))
    outputs = {"a": keras.layers.Dense(2)(inputs), "b": keras.layers.Dense(3)(inputs)}
    x = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    labels = {"a": np.arange(20) % 2, "b": np.arange(20) % 3}
    with evalguard.guard(labels=labels, metrics="accuracy", mlflow=False) as g:
        rows = keras.Model(inputs, outputs).predict(x, verbose=0)
    for name, values in labels.items():
        value = impact_of(g.report)[f"accuracy, {name}"].as_scored
        assert value == pytest.approx(np.mean(rows[name].argmax(1) == values))


def test_a_loop_of_batches_is_scored_as_a_whole(digits):
    model, x, y = digits
    with evalguard.guard(labels=y, reference=x, metrics="accuracy", mlflow=False) as g:
        rows = [model.predict_on_batch(x[start : start + 50]) for start in range(0, 300, 50)]
    assert impact_of(g.report)["accuracy"].as_scored == pytest.approx(np.mean(np.concatenate(rows).argmax(1) == y))
