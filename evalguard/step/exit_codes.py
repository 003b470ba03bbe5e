"""Exit codes of every command. ``--help`` prints them; a test compares them with docs/exit-codes.md."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from evalguard.core.policy import Verdict
from evalguard.core.report import Report


class DescribedCode(IntEnum):
    """An exit code with its meaning.

    Attributes:
        meaning: The text in ``--help`` and docs/exit-codes.md.
    """

    meaning: str

    def __new__(cls, number: int, meaning: str) -> DescribedCode:
        """Create a member from its number and meaning."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.meaning = meaning
        return member


class ExitCode(DescribedCode):
    """Exit codes of every command except those below."""

    GOOD = 0, "PASS or REPAIRED"
    # Python exits with 1 after any exception, so `guarded` must catch all of them; otherwise a crash would mean FAIL.
    FAIL = 1, "FAIL"
    USAGE = 2, "usage, configuration or unreadable input"
    NOT_JUDGED = 3, "could not judge: UNPROVEN, the evaluation itself raised, or it was interrupted"
    NOT_LOGGED = 4, "judged but not logged, where logging was required"


class GateExit(DescribedCode):
    """Exit codes of ``evalguard gate``."""

    OPEN = 0, "open: every evaluation in question is proven"
    CLOSED = 1, "closed: an evaluation is not proven, or there is none"
    USAGE = 2, "usage, or the model, run or experiment does not exist"
    NO_ANSWER = 3, "MLflow could not be queried: nothing is known, so do not promote"
    NOT_TAGGED = 4, "open, but the model version could not be tagged"


class ViewExit(DescribedCode):
    """Exit codes of ``evalguard view``."""

    PRINTED = 0, "printed"
    USAGE = 2, "usage, or there is no such experiment"
    NO_ANSWER = 3, "MLflow could not be queried"


class DoctorExit(DescribedCode):
    """Exit codes of ``evalguard doctor``."""

    HEALTHY = 0, "nothing needs attention"
    PROBLEM = 1, "something needs attention"


# Most important first: the first of these codes among several evaluations is the exit code of all.
WORST_FIRST = (ExitCode.USAGE, ExitCode.FAIL, ExitCode.NOT_JUDGED, ExitCode.NOT_LOGGED, ExitCode.GOOD)


def exit_code(report: Report) -> ExitCode:
    """The exit code of a verdict."""
    if report.verdict is Verdict.FAIL:
        return ExitCode.FAIL
    return ExitCode.NOT_JUDGED if report.verdict is Verdict.UNPROVEN else ExitCode.GOOD


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """The exit code of several evaluations: the first of their codes in ``WORST_FIRST``."""
    return min(codes, key=WORST_FIRST.index)


def listed(codes: type[DescribedCode]) -> str:
    r"""The codes for the end of a ``--help`` page; click does not rewrap the lines after ``\b``."""
    return "\n".join(["\b", "Exit codes:", *(f"  {code.value}  {code.meaning}" for code in codes)]) + "\n"
