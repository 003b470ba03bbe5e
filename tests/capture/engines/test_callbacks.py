"""A callback that does nothing: it has what both Kerases call on one."""

import inspect

import keras
import pytest
import tf_keras

from evalguard.capture.engines.callbacks import Hooks


@pytest.mark.parametrize("library", [keras, tf_keras])
def test_every_hook_of_a_callback_can_be_called_as_keras_calls_it(library):
    hooks = Hooks()
    names = [name for name in dir(library.callbacks.Callback) if name.startswith(("on_", "set_"))]
    assert len(names) > 10
    for name in names:
        inspect.signature(getattr(library.callbacks.Callback(), name)).bind(*[0] * _required(hooks, name))
        assert getattr(hooks, name)(*[0] * _required(hooks, name)) is None


def _required(hooks, name):
    parameters = inspect.signature(getattr(hooks, name)).parameters.values()
    return sum(parameter.default is inspect.Parameter.empty for parameter in parameters)


def test_tf_keras_need_not_call_batch_hooks():
    container = tf_keras.callbacks.CallbackList([Hooks()])
    asked = ("_should_call_train_batch_hooks", "_should_call_test_batch_hooks", "_should_call_predict_batch_hooks")
    assert [getattr(container, name) for name in asked] == [False] * 3


def test_keras_3_may_call_the_hooks_of_others_from_a_thread():
    assert Hooks.async_safe
