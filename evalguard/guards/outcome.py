"""A judged call: recorded first, then raised or warned about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from evalguard.core.judge import Judgement
from evalguard.core.label_table import LabelTable
from evalguard.core.report import Report
from evalguard.core.trace import Trace
from evalguard.guards.calls import BATCH_METHODS


@dataclass(slots=True, eq=False)
class Outcome:
    """A judged call or session, with the arrays a caller may want.

    Attributes:
        parts: Calls that it is made of; several give a list of predictions.
    """

    report: Report
    judgement: Judgement | None
    labels: LabelTable | None
    predictions: Any
    samples: Any = None
    trace: Trace | None = None
    parts: int = 1


def replace_outcome(outcome: Outcome, report: Report, result: Any, samples: Any) -> Outcome:
    """The same outcome after a repair."""
    return Outcome(report, outcome.judgement, outcome.labels, result, samples, outcome.trace, outcome.parts)


def refused(outcome: Outcome, reason: str) -> Outcome:
    """The same outcome, with the reason why it was not repaired."""
    report = replace(outcome.report, repair={"summary": "", "refused": reason})
    return replace_outcome(outcome, report, outcome.predictions, outcome.samples)


def already_returned(method: str, scope: str) -> str:
    """Why rows that were judged at the end cannot be moved any more, and what can be done."""
    if method in BATCH_METHODS:
        when = "the rows of a loop were handed back batch by batch; model.predict(source) in one call"
    elif scope == "session":
        when = "the parts of a session were handed back before its end; model.predict(source) in one call"
    else:
        when = "the rows were handed back before the labels were known; a guard that is given labels=..."
    return f"{when} can be repaired, or put the rows in order by g.index"
