"""Which engine a model has: that of the Keras whose class it descends from."""

import sys
from typing import Any

import keras
import numpy as np
import pytest
import tf_keras

from evalguard.capture.engines import computes_in_float64, engine_of, keras3
from evalguard.capture.engines import tf_keras as keras2
from tests.versions import floatx


def test_a_model_has_the_engine_of_its_keras():
    assert engine_of(keras.Sequential()) is keras3
    assert engine_of(tf_keras.Sequential()) is keras2


def test_anything_else_is_refused_with_its_class():
    with pytest.raises(TypeError, match=r"expected a keras.Model or tf_keras.Model, found dict"):
        engine_of({})


def test_a_keras_that_was_not_imported_has_no_models(monkeypatch):
    monkeypatch.delitem(sys.modules, "tf_keras")
    with pytest.raises(TypeError, match="found Sequential"):
        engine_of(tf_keras.Sequential())


def subclassed(framework, dtype, **options):
    base: Any = framework.Model

    class Model(base):
        def __init__(self):
            super().__init__(dtype=dtype, **options)
            self.inner = framework.layers.Dense(1, dtype=dtype)

        def call(self, x):
            return self.inner(x)

    return Model()


def functional(framework, dtype):
    inputs = framework.Input((1,), dtype=dtype)
    return framework.Model([inputs, framework.Input((2,), dtype="int32")], framework.layers.Dense(1)(inputs))


BUILDS: dict[str, Any] = {
    "functional": functional,
    "sequential": lambda framework, dtype: framework.Sequential(
        [framework.Input((1,), dtype=dtype), framework.layers.Dense(1, dtype=dtype)]
    ),
    "unbuilt": lambda framework, dtype: framework.Sequential([framework.layers.Dense(1, dtype=dtype)]),
    "nested": lambda framework, dtype: framework.Sequential([BUILDS["unbuilt"](framework, dtype)]),
    "subclassed": subclassed,
}


@pytest.mark.parametrize("framework", [keras, tf_keras], ids=["keras", "tf_keras"])
@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_model_says_whether_it_computes_in_float64(framework, build, dtype):
    assert computes_in_float64(build(framework, dtype)) is (dtype == "float64")


@pytest.mark.parametrize("framework", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_floats_of_a_model_follow_floatx(framework):
    with floatx(framework, "float64"):
        assert computes_in_float64(framework.Sequential([framework.layers.Dense(1)]))
        assert computes_in_float64(subclassed(framework, None))
    assert not computes_in_float64(framework.Sequential([framework.layers.Dense(1)]))


@pytest.mark.parametrize("framework", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_a_float64_batch_does_not_make_a_model_compute_in_it(framework):
    """tf_keras gives such a model inputs of float64; its first layer casts them."""
    model = framework.Sequential([framework.layers.Dense(1)])
    model(np.zeros((2, 1)))
    assert not computes_in_float64(model)


def test_a_model_that_does_not_cast_computes_as_its_layers_do():
    assert computes_in_float64(subclassed(keras, "float64", autocast=False))
    mixed = subclassed(keras, None, autocast=False)
    mixed.other = keras.layers.Dense(1, dtype="float64")
    assert computes_in_float64(mixed)
    assert not computes_in_float64(subclassed(keras, None, autocast=False))


def test_what_a_model_calls_its_inputs_may_be_anything():
    model = subclassed(keras, "float64")
    model.inputs = ["age", "income"]
    assert computes_in_float64(model)
