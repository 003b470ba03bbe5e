"""Rows that move inside the model, or after it."""

from __future__ import annotations

from evalguard.core.diagnosis.catalogue import cause
from evalguard.core.diagnosis.view import View
from evalguard.core.findings import Cause
from evalguard.core.plural import plural


def moved_in_model(view: View) -> Cause | None:
    """One batch, computed again in another order, gave other rows their outputs."""
    moved = view.trace.moved_in_model
    if not moved:
        return None
    rows = plural(moved, "row")
    evidence = f"one batch was computed again in another order, and {rows} of it got the output of another row"
    return cause(view, "moved_in_model", certain=True, evidence=evidence)


def moved_after_model(view: View) -> Cause | None:
    """What the caller got is what the model computed, in another order."""
    moved = view.trace.moved
    if not moved:
        return None
    rows = plural(moved, "row")
    evidence = f"{rows} of what was returned stand elsewhere than the compiled function gave them"
    return cause(view, "moved_after_model", certain=True, evidence=evidence)
