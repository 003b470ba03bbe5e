"""Calls inside a ``tf.function`` or a ``tf.Graph`` of the caller's."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import evalguard


@pytest.mark.parametrize("framework", [keras, tf_keras], ids=["keras", "tf_keras"])
@pytest.mark.parametrize("method", ["predict", "evaluate", "__call__"])
def test_a_call_inside_a_traced_function_does_what_it_does_without_a_guard(framework, method):
    inputs = framework.Input((1,))
    model = framework.Model(inputs, framework.layers.Dense(1)(inputs))
    model.compile(loss="mse")

    def outcome():
        try:
            return tf.function(lambda x: getattr(model, method)(x))(tf.zeros((2, 1))).numpy().tolist()
        except Exception as error:  # noqa: BLE001 - Keras' errors are of many kinds
            return type(error), str(error).splitlines()[-1]

    bare = outcome()
    with evalguard.guard(labels=np.zeros(2), mlflow=False, on_unproven="record"):
        assert outcome() == bare


# tf_keras' own warning about graphs.
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_call_in_a_graph_of_the_callers_is_unproven():
    with tf.Graph().as_default(), evalguard.guard(labels=np.zeros(4), mlflow=False, on_unproven="record") as g:
        inputs = tf_keras.Input((1,))
        model = tf_keras.Model(inputs, tf_keras.layers.Dense(1)(inputs))
        assert model.predict(np.zeros((4, 1))).shape == (4, 1)
    assert g.report.verdict is evalguard.Verdict.UNPROVEN
