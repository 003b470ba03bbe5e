"""A report as a list of tests, one for the verdict and one per check; JUnit and in-toto both use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from evalguard.core.findings import Finding, Reason
from evalguard.core.policy import Verdict
from evalguard.core.report import WHERE_SCORED, Report

CaseOutcome = Literal["passed", "warned", "failed", "error", "skipped"]

ALIGNMENT = "alignment"
OF_VERDICT: Mapping[Verdict, CaseOutcome] = {
    Verdict.PASS: "passed",
    Verdict.REPAIRED: "warned",
    Verdict.UNPROVEN: "error",
    Verdict.FAIL: "failed",
}
# Checks that are always listed. The others are listed only if they found something.
CHECKS = (
    Reason.COUNT,
    Reason.FOREIGN,
    Reason.MISSING,
    Reason.DUPLICATE,
    Reason.REORDERED,
    Reason.LABELS,
    Reason.TRANSPORT,
)


# Why a check could not be made.
NOT_MADE: Mapping[str, str] = {
    Reason.LABELS: "the stream has no targets that could be compared with the labels",
    Reason.TRANSPORT: "the order of the rows between source and model was not observed",
    Reason.COUNT: "no prediction was observed",
}


@dataclass(frozen=True, slots=True)
class Case:
    """One test.

    Attributes:
        name: ``alignment``, or the reason code of a check.
        outcome: Result of the test. ``error``: a proof was required and could
            not be given; ``skipped``: not checked.
        message: One sentence; raw text.
    """

    name: str
    outcome: CaseOutcome
    message: str = ""


def cases(report: Report) -> tuple[Case, ...]:
    """The verdict first, then the checks.

    A check that was not made is skipped, not passed: no evidence is never a pass.
    """
    found = {finding.reason.value: finding for finding in report.findings}
    names = (*(reason.value for reason in CHECKS), *sorted(set(found) - {reason.value for reason in CHECKS}))
    verdict = Case(ALIGNMENT, OF_VERDICT[report.verdict], report.headline)
    return (verdict, *(_check(name, found.get(name), report) for name in names))


def _check(name: str, finding: Finding | None, report: Report) -> Case:
    if finding is not None:
        # What was repaired is not a failure any more, and not a clean pass.
        outcome: CaseOutcome = "warned" if report.verdict is Verdict.REPAIRED else "failed"
        return Case(name, outcome, finding.message)
    not_made = _why_not_made(name, report)
    return Case(name, "skipped", not_made) if not_made else Case(name, "passed")


def _why_not_made(name: str, report: Report) -> str:
    """Why a check without a finding could not be made; empty if it was made."""
    if name in report.checks:
        return ""
    if name == Reason.REORDERED and report.unconfirmed:
        return WHERE_SCORED
    if name == Reason.REORDERED and Reason.MISSING in report.checks:
        return f"the metrics of {report.method} do not depend on the order of the rows"
    return NOT_MADE.get(name, "nothing shows which sample each row is")
