"""What is true of a source now although nothing is wrong with this call: the next one may not be so lucky."""

from __future__ import annotations

from collections.abc import Callable

from evalguard.core import checks
from evalguard.core.trace import SourceState, Trace

Hazard = Callable[[Trace, SourceState], str]


def hazards(trace: Trace, *, passed: bool) -> tuple[str, ...]:
    """One sentence for each.

    Args:
        trace: What was observed.
        passed: The verdict is PASS: what would have been a finding without
            proof, or is unsafe though it went well, is told too.
    """
    asked = ALWAYS + (ON_A_PASS if passed else ())
    return tuple(text for hazard in asked if (text := hazard(trace, trace.source)))


def ahead(trace: Trace, source: SourceState) -> str:
    """Taken from a generator, and not delivered: lost to the next call."""
    del trace
    if source.kind != "generator" or not source.ahead:
        return ""
    batches = "batch was" if source.ahead == 1 else "batches were"
    return (
        f"the source is ahead: {source.ahead} more {batches} taken from the generator {source.type_name} than the "
        f"{source.delivered} delivered; the next call with the same object will skip what was taken. "
        "Make a new generator for each call."
    )


def spent(trace: Trace, source: SourceState) -> str:
    """A generator that has ended."""
    del trace
    if source.kind != "generator" or not source.exhausted:
        return ""
    return f"the generator {source.type_name} is spent: another call with the same object finds no batch"


def left_in_queue(trace: Trace, source: SourceState) -> str:
    """A PyDataset of several workers that was stopped early keeps the rest for the next pass."""
    del trace
    workers, steps, batches = (_number(source, name) for name in ("workers", "steps", "num_batches"))
    if source.kind != "pydataset" or workers < 2 or not 0 < steps < batches:
        return ""
    return (
        f"{source.type_name} with workers={workers} was stopped after {steps} of {batches} batches: its queue may keep "
        "the following ones, and the next pass begin with them. Use workers=1, or all batches."
    )


def reused(trace: Trace, source: SourceState) -> str:
    """A generator that had been used before, and yet gave the right rows."""
    del source
    if checks.check_reuse(trace) is None:
        return ""
    return "the generator was not at its start when the call began, though the rows delivered are right"


def shuffles(trace: Trace, source: SourceState) -> str:
    """A source that says it shuffles, whose rows came in order: too few of them, or luck."""
    if not trace.ordered:
        return ""
    if source.facts.get("shuffle") is True:
        return (
            f"{source.type_name} says shuffle=True, though these rows came in order; the next pass may differ. "
            "Use shuffle=False where labels are outside."
        )
    if source.facts.get("reshuffled_each_pass") is True:
        return (
            "the dataset is shuffled anew at each pass, though these rows fit these labels; labels gathered in "
            "another pass will not fit. Take the shuffle out where labels are outside."
        )
    return ""


def stateful(trace: Trace, source: SourceState) -> str:
    """Several workers, and items that are not the same when asked for again."""
    del trace
    workers = _number(source, "workers")
    # With one worker it may be a random augmentation, asked for in order.
    if source.facts.get("stateful_getitem") is not True or workers < 2:
        return ""
    return (
        f"an item of {source.type_name} was not the same when it was asked for again, and {workers} workers ask for "
        "items in any order; let __getitem__ depend on its index only"
    )


def _number(source: SourceState, name: str) -> int:
    value = source.facts.get(name)
    return value if isinstance(value, int) else 0


ALWAYS: tuple[Hazard, ...] = (ahead, spent, left_in_queue)
ON_A_PASS: tuple[Hazard, ...] = (reused, shuffles, stateful)
