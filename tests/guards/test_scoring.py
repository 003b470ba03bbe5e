"""What was judged, and what of it is scored."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from evalguard import Verdict
from evalguard.guards.confirming import Confirmation
from evalguard.guards.outcome import Outcome
from evalguard.guards.scoring import MAX_CONFIRMABLE, REPLACED, Scoring


@dataclass(eq=False)
class Report:
    """As much of a report as is read."""

    verdict: Verdict
    not_proven: tuple[str, ...] = ()
    method: str = "predict"
    counts: Mapping[str, int | None] = field(default_factory=lambda: {"n_predictions": 3})


def report(verdict):
    return Report(verdict)


class Records:
    """Keeps what is recorded, and in place of what."""

    def __init__(self):
        self.recorded, self.changed = [], []

    def record(self, outcome):
        self.recorded.append(outcome)

    def change(self, old, outcome):
        self.changed.append((old, outcome))


class Judge:
    """A confirmation says itself what it is worth."""

    def confirmed(self, outcome, confirmation):
        if confirmation.y_true is None:
            raise ZeroDivisionError
        return Outcome(report(confirmation.y_true), None, None, None, columns=outcome.columns)

    def unproven(self, labels, reason, n_predictions=None, method="no call"):
        del labels, method
        return SimpleNamespace(verdict=Verdict.UNPROVEN, reason=reason, counts={"n_predictions": n_predictions})


def rows(*numbers):
    return (np.array(numbers, dtype=np.uint64),)


def scoring():
    return Scoring(Judge(), Records())


def judged(verdict=Verdict.PASS, columns=rows(1, 2, 3)):  # noqa: B008 - never changed
    return Outcome(report(verdict), None, None, None, columns=columns)


def test_what_was_judged_last_is_kept_up_to_a_number():
    kept = scoring()
    for _ in range(MAX_CONFIRMABLE + 3):
        kept.add(judged())
    assert len(kept.judged) == MAX_CONFIRMABLE


def test_without_a_confirmation_outcomes_that_wait_act_as_they_are():
    kept, waiting = scoring(), judged()
    kept.pending.append(waiting)
    assert kept.settle() == [waiting]
    assert kept.settle() == []


def test_the_worst_of_several_confirmations_of_the_same_rows_counts_and_replaces_what_waits():
    kept, first = scoring(), judged()
    kept.add(first)
    kept.pending.append(first)
    kept.confirmations += [Confirmation(rows(1, 2, 3), y_true=each) for each in (Verdict.FAIL, Verdict.PASS)]
    (outcome,) = kept.settle()
    assert outcome.report.verdict is Verdict.FAIL
    assert kept.outcomes.changed == [(first.report, outcome)]
    # Afterwards another one of the same rows replaces both.
    kept.confirmations.append(Confirmation(rows(1, 2, 3), y_true=Verdict.PASS))
    (again,) = kept.settle()
    assert (again.report.verdict, again.report.not_proven) == (Verdict.PASS, (REPLACED,))
    assert kept.outcomes.changed[-1] == (outcome.report, again)


def test_of_several_evaluations_the_one_that_returned_the_rows_is_confirmed():
    kept, first, second = scoring(), judged(), judged(columns=rows(7, 8, 9))
    kept.add(first)
    kept.add(second)
    kept.confirmations.append(Confirmation(rows(2, 1, 3), y_true=Verdict.FAIL))
    kept.settle()
    assert [old for old, _ in kept.outcomes.changed] == [first.report]


def test_rows_of_no_guarded_call_are_unproven():
    kept = scoring()
    kept.confirmations.append(Confirmation(rows(1), y_true=Verdict.PASS))
    (outcome,) = kept.settle()
    assert outcome.report.verdict is Verdict.UNPROVEN
    assert kept.outcomes.recorded == [outcome]


def test_an_error_of_ours_is_unproven(monkeypatch):
    monkeypatch.delenv("EVALGUARD_STRICT", raising=False)
    kept = scoring()
    kept.add(judged())
    kept.confirmations.append(Confirmation(rows(1, 2, 3)))
    (outcome,) = kept.settle()
    assert outcome.report.verdict is Verdict.UNPROVEN
    assert "could not judge what is scored" in outcome.report.reason
    assert outcome.report.counts == {"n_predictions": 3}


def test_rows_are_put_back_only_where_a_call_returned_some():
    with pytest.raises(ValueError, match="expected results of guarded calls"):
        scoring().latest()
