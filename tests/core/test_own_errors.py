"""Errors of evalguard itself are swallowed for a user and raised in tests; errors of others are swallowed in both."""

import ast
import os
from pathlib import Path

import pytest

from evalguard.core.own_errors import STRICT, OwnError, not_ours, swallow
from evalguard.errors import LabelsError

PACKAGE = Path(__file__).resolve().parents[2] / "evalguard"
# Function → why all that it catches blindly is somebody else's, so that nothing of ours can be hidden there.
FOREIGN_ONLY = {
    "capture/probes/tagged_items.py:_sample_indices": "calls the user's sample_indices",
    "capture/probes/tf_pipeline.py:_inputs": "calls a method of TensorFlow",
    "cli/doctor.py:_backend": "imports Keras",
    "data/tree.py:as_array": "np.from_dlpack of a foreign tensor",
    "guards/calls.py:metric_names": "calls the model's get_metrics_result",
    "guards/calls.py:output_names": "asks the model for its outputs",
    "step/run.py:_evaluate": "the user's model and data; an OwnError passes through",
    "step/run.py:_confirm": "the function of the user that says what is scored",
    "tracking/deadline.py:run": "catches BaseException, which `end` raises again",
}


def planted():
    return dict[str, int]()["planted"]


def swallowed(work):
    """What ``swallow`` says of the error of ``work``."""
    try:
        work()
    except Exception as error:  # noqa: BLE001 - as its callers do
        return swallow(error)
    return None


def test_the_suite_runs_in_strict_mode():
    assert os.environ[STRICT] == "1"


def test_an_error_of_ours_is_raised_in_strict_mode_past_every_handler_of_exceptions():
    with pytest.raises(OwnError, match="KeyError: 'planted'") as caught:
        assert swallowed(lambda: swallowed(planted)) is None
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("value", [None, "", "0"])
def test_without_strict_mode_it_is_put_into_words(monkeypatch, value):
    monkeypatch.delenv(STRICT)
    if value is not None:
        monkeypatch.setenv(STRICT, value)
    assert swallowed(planted) == "KeyError: 'planted'"


def test_an_error_of_the_users_code_is_put_into_words_in_strict_mode_too():
    def users():
        with not_ours():
            planted()

    assert swallowed(users) == "KeyError: 'planted'"


@pytest.mark.parametrize("error", [LabelsError("no labels"), FileNotFoundError("gone"), ConnectionError("down")])
def test_an_error_on_purpose_or_of_the_machine_is_no_defect(error):
    def work():
        raise error

    assert swallowed(work) == f"{type(error).__name__}: {error}"


def test_what_is_not_an_exception_passes_the_block_of_foreign_code():
    with pytest.raises(KeyboardInterrupt), not_ours():
        raise KeyboardInterrupt


def blind(handler):
    """Whether a handler catches every exception."""
    return handler.type is None or (isinstance(handler.type, ast.Name) and handler.type.id.endswith("Exception"))


def own(function):
    """The nodes of a function, those of functions inside it left out."""
    waiting = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef):
            waiting += ast.iter_child_nodes(node)


def called(node):
    """Names of the functions and methods that are called below a node."""
    functions = [call.func for call in ast.walk(node) if isinstance(call, ast.Call)]
    return {function.id if isinstance(function, ast.Name) else getattr(function, "attr", "") for function in functions}


def test_every_handler_of_all_exceptions_is_for_foreign_code_or_swallows():
    """It calls ``swallow``, or raises, or is on the list of those that only foreign code is in."""
    silent = set()
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        loud = {"swallow"} | {function.name for function in functions if "swallow" in called(function)}
        for function in functions:
            for handler in own(function):
                if isinstance(handler, ast.ExceptHandler) and blind(handler):
                    raises = any(isinstance(node, ast.Raise) for node in ast.walk(handler))
                    if not raises and not loud & called(handler):
                        silent.add(f"{path.relative_to(PACKAGE).as_posix()}:{function.name}")
        assert "suppress(Exception)" not in path.read_text(encoding="utf-8"), path
    assert silent == FOREIGN_ONLY.keys()
