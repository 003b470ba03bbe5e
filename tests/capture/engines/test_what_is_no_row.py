"""Inputs that are not rows, one for each sample: reported, never proven. None among them is not an input."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import evalguard
from evalguard import Verdict
from tests.versions import KERAS

N, BATCH = 10, 4
X = np.arange(2 * N, dtype="float32").reshape(N, 2)
Y = X[:, :1] * 2
LIBRARIES: dict[str, Any] = {"keras3": keras, "tf_keras": tf_keras}
# A graph of ten nodes at a time: their features, which are neighbours, and how many nodes each of two graphs has.
GRAPH = {"nodes": X, "edges": np.eye(N, dtype="float32")[:4], "sizes": np.array([3, 7])}


def guard(**options):
    return evalguard.guard(labels=Y, mlflow=False, on_failure="record", on_unproven="record", **options)


class SumOfPresent(keras.layers.Layer):
    def call(self, x, other=None):
        return x[:, :1] if other is None else x[:, :1] + other


def with_an_optional_input():
    other, x = keras.Input((1,), optional=True), keras.Input((2,))
    model = keras.Model([other, x], SumOfPresent()(x, other))
    model.compile(loss="mse")
    return model


def batches(order):
    for start in range(0, N, BATCH):
        rows = order[start : start + BATCH]
        yield (None, X[rows]), Y[rows]


@pytest.mark.skipif(KERAS < (3, 12), reason="Keras 3.9 takes no None from a generator, 3.12 does")
@pytest.mark.parametrize("method", ["predict", "evaluate"])
@pytest.mark.parametrize("right", [True, False])
def test_none_among_the_inputs_is_not_an_input(method, right):
    """None comes first, where rows would be counted."""
    model, order = with_an_optional_input(), np.arange(N) if right else np.r_[np.arange(N - 1), 0]

    def call():
        return getattr(model, method)(batches(order), verbose=0)

    bare = call()
    with guard(reference=(None, X)) as g:
        guarded = call()
    assert np.array_equal(bare, guarded)
    assert g.report.verdict is (Verdict.PASS if right else Verdict.FAIL)
    assert g.report.proof == "identity"


def of_graphs(library):
    base: Any = library.Model

    class Nodes(base):
        def call(self, x):
            return x["nodes"][:, :1]

    model = Nodes()
    model.compile(loss="mse")
    return model


@pytest.mark.parametrize("options", [{}, {"reference": X}], ids=["labels", "reference"])
@pytest.mark.parametrize("method", ["predict", "evaluate", "__call__"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_inputs_of_different_lengths_are_unproven_in_words(library, method, options):
    model = of_graphs(LIBRARIES[library])

    def call():
        if method == "__call__":
            return model(GRAPH)
        return getattr(model, method)(tf.data.Dataset.from_tensors((GRAPH, Y)), verbose=0)

    bare = call()
    with guard(**options) as g:
        guarded = call()
    assert np.array_equal(bare, guarded)
    assert g.report.verdict is Verdict.UNPROVEN
    assert not g.report.findings
    assert "x: expected the same number of rows in every input, found 4, 10 and 2" in g.report.not_proven[0]
    assert "evalguard.check()" in g.report.not_proven[0]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_scalar_is_unproven_in_words(library):
    base: Any = LIBRARIES[library].Model

    class Row(base):
        def call(self, x):
            return tf.reshape(x, (1, 1))

    model = Row()
    with guard() as g:
        assert np.array_equal(model(tf.constant(3.0)), [[3]])
    assert g.report.verdict is Verdict.UNPROVEN
    assert "x: expected inputs with one entry for each sample, found a scalar" in g.report.not_proven[0]
