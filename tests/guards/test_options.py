"""The options of a guard: named once, checked when given, the same in Python and in a step file."""

import dataclasses
import inspect
import typing

import numpy as np
import pytest

import evalguard
from evalguard.core.policy import Policy
from evalguard.errors import ArgumentError, ConfigError
from evalguard.guards.options import (
    MEANT,
    OF_INPUTS,
    RENAMED,
    GuardKeywords,
    GuardOptions,
    MlflowTarget,
    WrapKeywords,
    option_names,
)
from evalguard.step.config.step_file import OLD_NAMES, Checks

Y = np.arange(6) % 3
# What a step file says in other sections, or what has no meaning there.
NOT_UNDER_CHECKS = {
    "labels", "label_column", "labels_argument", "labels_key", "model", "metrics", "name", "mlflow", "output",
    "attest_files", "returns", "sample_weight", "show_keys", "sinks",
}  # fmt: skip


def test_type_checkers_see_the_options_that_there_are():
    hints = typing.get_type_hints(GuardKeywords)
    own = {item.name: item.type for item in dataclasses.fields(GuardOptions) if item.init}
    assert tuple(sorted(hints)) == tuple(sorted(own))
    assert typing.get_type_hints(GuardOptions) | hints == typing.get_type_hints(GuardOptions)
    assert set(hints) - set(typing.get_type_hints(WrapKeywords)) == {"model"}


def test_every_option_is_documented_and_in_the_order_of_its_documentation():
    text = inspect.getdoc(GuardOptions).split("Args:")[1].split("Attributes:")[0]
    documented = [
        line.strip().partition(":")[0] for line in text.splitlines() if line[:4] == "    " and line[4:5].strip()
    ]
    assert documented == list(option_names())


def test_the_signature_of_guard_shows_every_option_with_its_default():
    shown = inspect.signature(evalguard.guard).parameters
    assert tuple(shown) == option_names()
    assert shown["require"].default == "declared"


def test_a_step_file_has_the_same_names_under_checks():
    assert set(Checks.model_fields) == set(option_names()) - NOT_UNDER_CHECKS


def test_a_step_file_takes_the_old_names_for_those_that_it_had():
    assert {old: new for old, new in RENAMED.items() if new in Checks.model_fields} == OLD_NAMES


def test_a_policy_is_a_view_of_options_of_the_same_names():
    assert {item.name for item in dataclasses.fields(Policy)} <= set(option_names())
    options = GuardOptions(require="count", on_failure="record", padding="trim")
    assert options.policy == Policy(require="count", on_failure="record", padding="trim")


def test_capture_options_are_a_view_of_options():
    options = GuardOptions(key="id", drop_key=True, pad_value=0)
    capture = options.capture("always")
    assert (capture.content, capture.key, capture.drop_key, capture.pad_value) == ("always", "id", True, 0)


@pytest.mark.parametrize(
    "make", [evalguard.guard, lambda **options: evalguard.wrap(None, **options)], ids=["guard", "wrap"]
)
@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("label_from", "'labels_argument'"),
        ("refrence", "'reference'"),
        ("on_fail", "'on_failure'"),
    ],
)
def test_a_misspelt_option_is_refused_with_the_nearest_that_exists(make, given, near):
    with pytest.raises(ArgumentError, match=f"unknown option '{given}'. Did you mean ({near})") as caught:
        make(**{given: 1})
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, ConfigError)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("y_true", "labels"),
        ("dataset", "labels"),
        ("key_column", "labels_key"),
        ("x_test", "reference"),
        ("class_names", "classes"),
        ("output_dir", "output"),
        ("weights", "sample_weight"),
    ],
)
def test_a_word_of_another_library_is_refused_with_the_option_that_is_meant(given, meant):
    with pytest.raises(ArgumentError, match=f"unknown option '{given}'. Did you mean '{meant}'") as caught:
        evalguard.guard(**{given: Y})
    assert len(str(caught.value)) < 120


def test_every_word_of_another_library_means_an_option_and_is_not_one():
    assert set(MEANT.values()) <= set(option_names())
    assert not (set(MEANT) | set(RENAMED)) & set(option_names())


@pytest.mark.parametrize("option", ["label", "label_column", "labels_key", "labels_from"])
@pytest.mark.parametrize("value", [Y, [0, 1], {0, 1}])
def test_labels_where_their_column_is_named_are_refused_with_the_option_for_them(option, value):
    with pytest.raises(
        ConfigError, match=rf"{option}: expected the name of .*, found \w+; write labels= for the labels"
    ):
        evalguard.guard(**{option: value})


def evaluate(model):
    return model


@pytest.mark.parametrize(
    ("make", "written"),
    [
        (lambda: evalguard.guard(Y), "found ndarray without one; write guard(labels=...)"),
        (lambda: evalguard.guard(Y, Y), "found ndarray, ndarray without one; write guard(labels=...)"),
        (lambda: evalguard.guard(evaluate), "write @evalguard.guard(labels=...) above evaluate"),
        (lambda: evalguard.guard(Plain()), "write evalguard.wrap(model, labels=...)"),
        (lambda: evalguard.wrap(Plain(), Y), "wrap: expected options with their names, found ndarray without one"),
    ],
    ids=["labels", "two", "no-parentheses", "model", "wrap"],
)
def test_an_argument_without_a_name_is_refused_with_the_call_to_write(make, written):
    with pytest.raises(ArgumentError) as caught:
        make()
    assert written in str(caught.value)


class Plain:
    def predict(self, x):
        return x


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": Y, "labels_argument": "y"}, "expected one of them, found both"),
        ({"drop_key": True}, "expected key='name of an entry of x' beside it"),
        ({"require": "everything"}, "require: expected one of"),
        ({"metrics": 3}, "metrics: expected a name or a callable"),
        ({"label": "a", "label_column": "b"}, "label and label_column: expected one of them"),
    ],
)
def test_options_that_contradict_each_other_are_refused_before_anything_runs(options, message):
    with pytest.raises(ConfigError, match=message):
        evalguard.guard(**options)


@pytest.mark.parametrize(("old", "new"), sorted(RENAMED.items()))
def test_an_old_name_works_and_warns_with_the_new_one_at_the_caller_s_line(old, new):
    value = {"strip_key": True, "equal_samples": "allow", "files": ["model.keras"]}.get(old, "column")
    beside = {"key": "id"} if old == "strip_key" else {}
    for make in (evalguard.guard, lambda **options: evalguard.wrap(None, **options).guard):
        with pytest.warns(DeprecationWarning, match=f"'{old}' is deprecated.* write {new}=") as caught:
            made = make(**{old: value}, **beside)
        assert getattr(made.options, new) == value
        assert caught[0].filename == __file__


def test_the_old_name_of_the_evaluated_model_becomes_a_target():
    with pytest.warns(DeprecationWarning, match=r"write mlflow=evalguard\.MlflowTarget\(model=\.\.\.\)"):
        guard = evalguard.guard(mlflow_model="m-1", mlflow="run")  # type: ignore[call-arg]
    assert guard.options.mlflow == MlflowTarget("run", "m-1")


def test_options_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        GuardOptions().require = "count"  # type: ignore[misc]


def test_a_repr_names_what_was_given_and_prints_no_data():
    guard = evalguard.guard(labels=np.zeros((1000, 3)), require="count", key=lambda batch: batch)
    assert repr(guard.options) == "GuardOptions(labels=<ndarray (1000, 3)>, key=<<lambda>>, require='count')"
    assert repr(guard).startswith("<Guard labels=<ndarray (1000, 3)>, ")
    assert repr(guard).endswith(": nothing judged yet>")
    assert repr(evalguard.guard()) == "<Guard: nothing judged yet>"


def test_options_of_inputs_are_options():
    assert set(option_names()) > OF_INPUTS


@pytest.mark.parametrize("given", ["yes", 1, None])
def test_a_model_is_tested_or_not(given):
    with pytest.raises(ConfigError, match="verify_model: expected True or False"):
        GuardOptions(verify_model=given)


@pytest.mark.parametrize("value", ["prediction", "", "labels", True, 0])
def test_returns_is_nothing_or_predictions(value):
    with pytest.raises(ConfigError, match=r"^returns: expected one of predictions; "):
        GuardOptions(returns=value)
    assert GuardOptions().returns is None
    assert GuardOptions(returns="predictions").returns == "predictions"
