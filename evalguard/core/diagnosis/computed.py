"""Rows that move inside the model, or after it."""

from __future__ import annotations

from evalguard.core.diagnosis.view import View, cause
from evalguard.core.findings import Cause
from evalguard.core.plural import plural

MOVED_AFTER_MODEL = "rows moved between the model and the caller"
MOVED_IN_MODEL = "the model moves rows between its input and its output"


def moved_in_model(view: View) -> Cause | None:
    """One batch, computed again in another order, gave other rows their outputs."""
    moved = view.trace.moved_in_model
    if not moved:
        return None
    rows = plural(moved, "row")
    return cause(
        MOVED_IN_MODEL,
        certain=True,
        evidence=f"one batch was computed again in another order, and {rows} of it got the output of another row",
        before="tf.sort(y, axis=0)  # or reverse, roll, shuffle, gather: along the batch, in call or predict_step",
        after="y  # computed row by row; sort or shuffle what predict returns, with its labels",
        reproduced="keras 3.15, tf_keras 2.21",
    )


def moved_after_model(view: View) -> Cause | None:
    """What the caller got is what the model computed, in another order."""
    moved = view.trace.moved
    if not moved:
        return None
    rows = plural(moved, "row")
    return cause(
        MOVED_AFTER_MODEL,
        certain=True,
        evidence=f"{rows} of what was returned stand elsewhere than the compiled function gave them",
        before="return super().predict(x)[order]  # or sorted, reversed, repeated: in what overrides or wraps predict",
        after="return super().predict(x)  # in the order of x; or put back: [np.argsort(order)]",
        reproduced="keras 3.15, tf_keras 2.21",
    )
