"""Hazards: facts about a source that did not harm this call and may harm the next one."""

from __future__ import annotations

from collections.abc import Callable

from evalguard.core import checks
from evalguard.core.evidence import VERSION, Evidence
from evalguard.core.plural import plural
from evalguard.core.target_comparison import OTHER_COUNTS, OTHER_QUANTITY
from evalguard.core.trace import SourceState, Trace

# Pairs of an encoding that a hazard names.
MAX_PAIRS = 5

Hazard = Callable[[Trace, SourceState], str]


def hazards(trace: Trace, *, passed: bool) -> tuple[str, ...]:
    """One sentence for each hazard.

    Args:
        trace: What was observed.
        passed: The verdict is PASS. Then the hazards of ``ON_A_PASS`` are
            reported too; after a FAIL the diagnosis names them as causes.
    """
    applicable = ALWAYS + (ON_A_PASS if passed else ())
    return tuple(text for hazard in applicable if (text := hazard(trace, trace.source)))


def of_targets(evidence: Evidence) -> tuple[str, ...]:
    """The stream's own targets are not the labels, which contradicts nothing."""
    comparison = evidence.comparison
    if comparison.version and evidence.observed:
        return (VERSION.format(plural(comparison.rows.size, "row")),)
    if comparison.why_not not in {OTHER_COUNTS, OTHER_QUANTITY}:
        return ()
    if comparison.mapping:
        pairs = ", ".join(f"{ours} for {theirs}" for ours, theirs in list(comparison.mapping.items())[:MAX_PAIRS])
        return (f"the stream's targets are another encoding of the labels ({pairs}), so they were not compared",)
    return (f"{comparison.why_not}, so they were not compared",)


def ahead(trace: Trace, source: SourceState) -> str:
    """More batches were taken from a generator than delivered: the next call will miss them."""
    del trace
    if source.kind != "generator" or not source.ahead:
        return ""
    batches = "batch was" if source.ahead == 1 else "batches were"
    return (
        f"the source is ahead: {source.ahead:,} more {batches} taken from the generator {source.type_name} than the "
        f"{source.delivered:,} delivered; the next call with the same object will skip them. "
        "Create a new generator for each call."
    )


def spent(trace: Trace, source: SourceState) -> str:
    """The generator has ended."""
    del trace
    if source.kind != "generator" or not source.exhausted:
        return ""
    return f"the generator {source.type_name} has ended: another call with the same object gets no batch"


def left_in_queue(trace: Trace, source: SourceState) -> str:
    """A PyDataset with several workers was stopped early: its queue keeps batches for the next pass."""
    del trace
    workers, steps, batches = (_number(source, name) for name in ("workers", "steps", "num_batches"))
    if source.kind != "pydataset" or workers < 2 or not 0 < steps < batches:
        return ""
    return (
        f"{source.type_name} with workers={workers} was stopped after {steps:,} of {batches:,} batches: its queue may "
        "keep batches that were made ahead, and the next pass may begin with them. Use workers=1, or read all batches."
    )


def reused(trace: Trace, source: SourceState) -> str:
    """The generator had been used before, and still emitted the right rows."""
    del source
    if checks.check_reuse(trace) is None:
        return ""
    return "the generator was not at its start when the call began, although the delivered rows are right"


def shuffles(trace: Trace, source: SourceState) -> str:
    """The source shuffles, but these rows were in order: there were few of them, or it was chance."""
    if not trace.ordered:
        return ""
    if source.facts.get("shuffle") is True:
        return (
            f"{source.type_name} has shuffle=True, although these rows were in order; the next pass may differ. "
            "Use shuffle=False if the labels are not part of the stream."
        )
    if source.facts.get("reshuffled_each_pass") is True:
        return (
            "the dataset is reshuffled at each pass: labels collected in another pass will not match. Remove the "
            "shuffle if the labels are not part of the stream."
        )
    return ""


def stateful(trace: Trace, source: SourceState) -> str:
    """Several workers read items that differ when read again."""
    del trace
    workers = _number(source, "workers")
    # With one worker it may be a random augmentation, and the items are read in order.
    if source.facts.get("stateful_getitem") is not True or workers < 2:
        return ""
    return (
        f"`__getitem__` of {source.type_name} returned different data on a second call, and {workers} workers call it "
        "in any order. Let it depend on its index only."
    )


def _number(source: SourceState, name: str) -> int:
    value = source.facts.get(name)
    return value if isinstance(value, int) else 0


ALWAYS: tuple[Hazard, ...] = (ahead, spent, left_in_queue)
ON_A_PASS: tuple[Hazard, ...] = (reused, shuffles, stateful)
