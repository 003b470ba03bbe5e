"""The counts of a report: their names, which of them is known, and how one that is not is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalguard.core.findings import Reason
from evalguard.core.plural import plural
from evalguard.core.policy import Verdict

COUNT_NAMES = (
    "n_labels",
    "n_predictions",
    "missing",
    "duplicate",
    "foreign",
    "reordered",
    "misaligned",
    "label_disagreements",
    "padding",
    "equal_samples",
)
# The check that a count comes from. Where it was not made, or not of all rows, a zero would be a claim that nothing
# shows: such a count has no value, and one above zero is a lower bound.
CHECK_OF: Mapping[str, Reason] = {
    "missing": Reason.MISSING,
    "duplicate": Reason.DUPLICATE,
    "foreign": Reason.FOREIGN,
    "reordered": Reason.REORDERED,
    "misaligned": Reason.REORDERED,
    "label_disagreements": Reason.LABELS,
}
# How a number is shown that was not determined.
NOT_KNOWN = "–"


def grouped(count: int | None) -> str:
    """``4,999,990``; a dash where the number is not known."""
    return NOT_KNOWN if count is None else f"{count:,}"


def counted(count: int | None, word: str) -> str:
    """``1 row``, ``4,999,990 rows``; a dash where the number is not known."""
    return f"{NOT_KNOWN} {word}s" if count is None else plural(count, word)


def stored_counts(data: Mapping[str, Any]) -> dict[str, int | None]:
    """The counts of a stored report: earlier ones have a zero for what was not determined."""
    counts, checks = dict.fromkeys(COUNT_NAMES) | dict(data["counts"]), data["checks"]
    unknown = {name for name, check in CHECK_OF.items() if check not in checks}
    if not any(item.get("identity") == "content" for item in _used(data)):
        unknown.add("equal_samples")
    if not checks and not counts["n_predictions"] and data["verdict"] is Verdict.UNPROVEN:
        unknown |= {"n_labels", "n_predictions", "padding"}
    return {name: None if not count and name in unknown else count for name, count in counts.items()}


def stored_checks(data: Mapping[str, Any]) -> tuple[str, ...]:
    """The checks of a stored report; the first reports do not list them."""
    if "checks" in data:
        return tuple(data["checks"])
    if not any("unidentified" not in str(item.get("says")) for item in _used(data)):
        return ()
    named = (Reason.FOREIGN, Reason.MISSING, Reason.DUPLICATE, Reason.REORDERED)
    return tuple(reason.value for reason in named)


def _used(data: Mapping[str, Any]) -> list[Any]:
    """The identity that decided, if one did."""
    return [item for item in data.get("identities", ()) if item.get("used")]
