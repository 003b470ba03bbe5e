"""Errors of a judged call keep report and predictions wherever they are sent."""

import copy
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

import evalguard
from evalguard import AlignmentError, MisalignmentError, Report, UnprovenError

PREDICTIONS = np.arange(6.0).reshape(3, 2)


def pickled(protocol):
    return lambda value: pickle.loads(pickle.dumps(value, protocol))  # noqa: S301 - made here


WAYS = [
    *(pytest.param(pickled(number), id=f"pickle-{number}") for number in range(pickle.HIGHEST_PROTOCOL + 1)),
    pytest.param(copy.copy, id="copy"),
    pytest.param(copy.deepcopy, id="deepcopy"),
]


class TeamError(MisalignmentError):
    """A subclass of a user."""


def failing() -> Report:
    return evalguard.check(indices=[1, 0, 2], labels=[0, 1, 1], predictions=PREDICTIONS, metrics="sklearn:accuracy")


def error_of(kind: type[AlignmentError]) -> AlignmentError:
    error = kind("2 of 3 rows", report=failing(), predictions=PREDICTIONS)
    error.add_note("in fold 3")
    return error


def raise_in_a_process(number: int) -> None:
    """Importable by name, so that a process that is started afresh can run it."""
    msg = f"call {number}"
    raise MisalignmentError(msg, report=failing(), predictions=PREDICTIONS + number)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [AlignmentError, MisalignmentError, UnprovenError, TeamError])
def test_an_error_keeps_its_message_report_predictions_and_notes(kind, way):
    error = error_of(kind)
    again = way(error)
    assert type(again) is kind
    assert again is not error
    assert (str(again), again.args, again.__notes__) == (str(error), error.args, ["in fold 3"])
    assert again.report == error.report
    assert np.array_equal(again.predictions, PREDICTIONS)


def test_a_deep_copy_of_an_error_shares_no_predictions():
    error = error_of(MisalignmentError)
    assert copy.copy(error).predictions is error.predictions
    assert copy.deepcopy(error).predictions is not error.predictions


@pytest.mark.parametrize("way", WAYS)
def test_a_report_is_equal_after_it_was_pickled_or_copied(way):
    report = failing()
    again = way(report)
    assert again == report
    assert again.to_json() == report.to_json()
    assert (again.proof, again.verdict) == (report.proof, report.verdict)
    assert again.verdict is report.verdict


@pytest.mark.slow
def test_an_error_comes_out_of_a_process_pool_with_report_and_predictions():
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        with pytest.raises(MisalignmentError, match="call 7") as caught:
            pool.submit(raise_in_a_process, 7).result(timeout=120)
    assert caught.value.report.verdict is evalguard.Verdict.FAIL
    assert caught.value.report.findings == failing().findings
    assert np.array_equal(caught.value.predictions, PREDICTIONS + 7)
