"""Replaced methods: counted, restored exactly, and left alone where another library wrapped them meanwhile."""

from typing import Any

import pytest

from evalguard.capture.engines.patching import install, remove, replace_on_instance

METHODS = ("predict", "evaluate")


@pytest.fixture
def model_class() -> Any:
    """A class with a method that it inherits and one that it defines."""

    class Base:
        def predict(self, x):
            return x

    class Model(Base):
        def evaluate(self, x):
            return -x

    return Model


def doubled(model, method, original, args, kwargs):
    assert method in METHODS
    return 2 * original(model, *args, **kwargs)


def negated(original, args, kwargs):
    return -original(*args, **kwargs)


def test_methods_are_replaced_and_both_own_and_inherited_ones_are_restored_exactly(model_class):
    before = dict(vars(model_class))
    install(model_class, METHODS, doubled)
    assert (model_class().predict(3), model_class().evaluate(x=3)) == (6, -6)
    assert model_class.evaluate.__name__ == "evaluate"
    remove(model_class, METHODS)
    assert dict(vars(model_class)) == before
    assert model_class().predict(3) == 3


def test_the_last_user_restores_the_methods(model_class):
    for _ in range(2):
        install(model_class, METHODS, doubled)
    remove(model_class, METHODS)
    assert model_class().predict(3) == 6
    remove(model_class, METHODS)
    assert model_class().predict(3) == 3


def test_a_wrapper_of_another_library_stays(model_class):
    install(model_class, METHODS, doubled)
    replaced = model_class.predict

    def wrapper(self, x):
        return replaced(self, x) + 1

    model_class.predict = wrapper
    remove(model_class, METHODS)
    assert model_class.predict is wrapper
    assert "predict" in vars(model_class)


@pytest.mark.parametrize("own", [True, False])
def test_a_method_of_one_object_is_replaced_and_restored(model_class, own):
    model, other = model_class(), model_class()
    if own:
        model.predict = lambda x: x + 10
    before = dict(vars(model))
    undo = replace_on_instance(model, "predict", negated)
    assert model.predict(3) == (-13 if own else -3)
    assert other.predict(3) == 3
    undo()
    undo()
    assert dict(vars(model)) == before


def test_an_object_whose_method_was_replaced_again_keeps_that(model_class):
    model = model_class()
    undo = replace_on_instance(model, "predict", negated)
    model.predict = len
    undo()
    assert model.predict is len
