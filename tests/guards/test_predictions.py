"""Rows of what ``predict`` returned: cut, reordered, predicted again."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import evalguard
from evalguard import Verdict
from evalguard.guards import predictions
from tests.guards.streams import BATCH, N, X, Y, dataset, faulty, guard


def repair_of(g):
    assert g.report.repair is not None
    return g.report.repair


def test_every_output_of_a_model_is_cut_and_repaired():
    inputs = keras.Input((1,))
    double = keras.Model(inputs, {"a": inputs * 1.0, "b": inputs * 2.0})
    order = np.random.default_rng(1).permutation(N)
    with guard(reference=X, on_failure="repair") as g:
        result = double.predict(dataset([order]), verbose=0)
    assert g.report.verdict is Verdict.REPAIRED
    assert np.array_equal(result["a"], X)
    assert np.array_equal(result["b"], X * 2)
    with guard(reference=X, padding="trim"):
        result = double.predict(dataset([np.append(np.arange(N), 0)]), verbose=0)
    assert {name: len(rows) for name, rows in result.items()} == {"a": N, "b": N}


@pytest.mark.parametrize("fault", ["swapped_batches", "swapped_rows", "shuffled", "repeated_batch", "wrapped_tail"])
def test_a_repairable_fault_is_repaired_to_the_bits_of_an_aligned_run(model, fault):
    aligned = model.predict(dataset(), verbose=0)
    with guard(reference=X, on_failure="repair") as g:
        repaired = model.predict(faulty(fault), verbose=0)
    assert g.report.verdict is Verdict.REPAIRED
    assert repaired.tobytes() == aligned.tobytes()
    assert repair_of(g)["summary"]
    assert np.array_equal(g.y_true, Y)


def test_missing_samples_of_an_array_are_predicted_again():
    keras.utils.set_random_seed(3)
    inputs = keras.Input((6,))
    dense = keras.Model(inputs, keras.layers.Dense(5, activation="tanh")(inputs))
    features = np.random.default_rng(0).normal(size=(N, 6)).astype("float32")
    aligned = dense.predict(features, batch_size=BATCH, verbose=0)
    with guard(on_failure="repair") as g:
        repaired = dense.predict(features, batch_size=BATCH, steps=4, verbose=0)
    assert g.report.verdict is Verdict.REPAIRED
    assert repair_of(g)["predicted_again"] == N - 32
    assert repaired.tobytes() == aligned.tobytes()


def test_repetitions_with_other_predictions_are_refused():
    class Noisy(keras.Model):
        def call(self, x):
            return x + tf.random.uniform(tf.shape(x))

    with pytest.raises(evalguard.MisalignmentError, match="not all with equal predictions"):
        with guard(reference=X, on_failure="repair"):
            Noisy().predict(faulty("repeated_batch"), verbose=0)


TWO = {"a": np.arange(4.0), "b": np.arange(8.0).reshape(4, 2)}


def test_rows_are_taken_from_every_output():
    taken = predictions.take(TWO, np.array([3, 0]))
    assert taken["a"].tolist() == [3, 0]
    assert taken["b"].tolist() == [[6, 7], [0, 1]]
    with pytest.raises(TypeError, match="expected arrays or ragged tensors as predictions, found object"):
        predictions.take(object(), np.array([0]))


def test_results_of_several_calls_are_joined_output_by_output():
    joined = predictions.join_results([TWO, TWO])
    assert {name: part.shape for name, part in joined.items()} == {"a": (8,), "b": (8, 2)}
    assert predictions.join_results([TWO]) is TWO
    assert predictions.join_results([np.zeros((2, 3)), np.zeros((2, 4))]) is None, "rows of different lengths"


@pytest.mark.parametrize(
    ("values", "equal"),
    [
        ([1.0, 2.0, 1.0], True),
        ([1.0, 2.0, 2.0], False),
        ([np.nan, 2.0, np.nan], True),
        (["a", "b", "a"], True),
        (["a", "b", "b"], False),
    ],
)
def test_repeated_rows_are_compared_by_value_and_nan_equals_nan(values, equal):
    assert predictions.equal_rows(np.array(values), np.array([2]), np.array([0])) is equal
