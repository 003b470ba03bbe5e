"""Which engine a model has: that of the Keras whose class it descends from."""

import sys

import keras
import pytest
import tf_keras

from evalguard.capture.engines import engine_of, keras3
from evalguard.capture.engines import tf_keras as keras2


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
