"""Samples that `predict` left out: predicted again as Keras did, and matched before they count as repaired."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

import evalguard
from evalguard import Verdict
from evalguard.core.trace import UNKNOWN, Trace
from evalguard.guards.missing_rows import position_is_sample
from tests.guards.streams import BATCH, N, X, guard

STEPS = 3
SEEN = STEPS * BATCH
KEYS = np.arange(100, 100 + N)


def in_another_order(x, start=SEEN):
    """The rows that three steps do not reach are reversed."""
    return np.concatenate([x[:start], x[start:][::-1]])


@pytest.mark.parametrize(
    ("index", "source", "samples", "known"),
    [
        (range(4), "position", [0, 1, 2, 3], True),
        (range(4), "stated", [0, 1, 2, 3], False),
        (range(4), "position", [0, 1, 3, 2], False),
        (range(4), "position", [0, 1, 2], True),
        (None, "position", [0, 1, 2, 3], False),
        (range(4), "position", None, False),
    ],
)
def test_a_position_is_a_sample_only_if_nothing_contradicts_it(index, source, samples, known):
    given = Trace(4, np.full(4, UNKNOWN), index=None if index is None else np.array(index), index_source=source)
    judgement = SimpleNamespace(samples_array=None if samples is None else np.array(samples))
    assert position_is_sample(given, judgement) is known


@pytest.mark.parametrize("options", [{"batch_size": BATCH}, {"batch_size": BATCH, "callbacks": []}, {}], ids=str)
def test_missing_samples_are_predicted_in_batches_of_the_size_that_keras_chose(model, options):
    class Sizes(keras.layers.Layer):
        def call(self, x):
            return x + 1000 * keras.ops.cast(keras.ops.shape(x)[0], "float32")

    inputs = keras.Input((1,))
    sizes = keras.Model(inputs, Sizes()(inputs))
    # Without a size Keras divides the rows by the steps.
    steps = STEPS if options else 1
    with guard(reference=X, on_failure="repair") as g:
        result = sizes.predict(X, steps=steps, verbose=0, **options)
    if not options:
        assert g.report.verdict is Verdict.PASS
        return
    assert g.report.verdict is Verdict.REPAIRED
    assert dict(g.report.repair or {})["predicted_again"] == N - SEEN
    whole = np.minimum(BATCH, N - np.arange(N) // BATCH * BATCH)
    assert np.array_equal(result[:, 0], X[:, 0] + 1000 * whole)


def refused(g):
    assert g.report.verdict is Verdict.FAIL
    return "the array that was passed does not contain them" in dict(g.report.repair or {})["refused"]


def test_rows_that_the_reference_has_elsewhere_are_not_taken_for_those_that_are_missing(model):
    with pytest.raises(evalguard.MisalignmentError), guard(reference=X, on_failure="repair") as g:
        model.predict(in_another_order(X), batch_size=BATCH, steps=STEPS, verbose=0)
    assert refused(g)


@pytest.mark.parametrize("right", [True, False])
def test_rows_that_are_predicted_again_must_have_the_keys_of_the_missing_samples(right):
    inputs = {"x": keras.Input((1,), name="x"), "id": keras.Input((), name="id", dtype="int32")}
    model = keras.Model(inputs, inputs["x"] * 1.0)
    keys = KEYS if right else in_another_order(KEYS)
    labels = evalguard.Labels(values=np.zeros(N), keys=KEYS)
    kept = guard(labels=labels, key="id", on_failure="repair")
    if right:
        with kept as g:
            result = model.predict({"x": X, "id": keys}, batch_size=BATCH, steps=STEPS, verbose=0)
        assert g.report.verdict is Verdict.REPAIRED
        assert np.array_equal(result, X)
        return
    with pytest.raises(evalguard.MisalignmentError), kept as g:
        model.predict({"x": X, "id": keys}, batch_size=BATCH, steps=STEPS, verbose=0)
    assert refused(g)


def test_samples_that_the_array_does_not_hold_cannot_be_predicted_again(model):
    with pytest.raises(evalguard.MisalignmentError) as raised, guard(reference=X, on_failure="repair") as g:
        model.predict(X[: N - BATCH], verbose=0)
    assert refused(g)
    assert len(raised.value.predictions) == N - BATCH


def test_without_reference_or_key_the_position_in_the_array_stays_declared(model):
    with guard(on_failure="repair") as g:
        model.predict(X, batch_size=BATCH, steps=STEPS, verbose=0)
    assert (g.report.verdict, g.report.proof) == (Verdict.REPAIRED, "declared")
