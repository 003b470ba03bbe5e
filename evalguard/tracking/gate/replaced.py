"""Which evaluations a later one replaces: only one of the same name, model and labels."""

from __future__ import annotations

from collections.abc import Iterable

from evalguard.tracking.gate.held import Held


def latest(linked: Iterable[Held]) -> tuple[list[Held], list[Held]]:
    """The evaluations of a model that no later one replaces, and those that one does."""
    kept: list[Held] = []
    replaced: list[Held] = []
    # The run's id breaks a tie, so that two calls of the gate give the same answer.
    for later in sorted(linked, key=lambda each: (each.stated.checked_at_ms, each.run.info.run_id)):
        before = [each for each in kept if _replaces(later, each)]
        replaced += before
        kept = [each for each in kept if each not in before] + [later]
    return kept, replaced


def _replaces(later: Held, each: Held) -> bool:
    """Whether it is the same evaluation, made again."""
    if later.is_deleted or not each.stated["labels"] or later.stated["labels"] != each.stated["labels"]:
        return False
    # In one run, each slot is another evaluation: a PASS beside a FAIL does not hide it.
    same_run = later.run.info.run_id == each.run.info.run_id
    same_name = later.slot.name == each.slot.name or (not same_run and later.evaluation == each.evaluation)
    return same_name and _same_model(later, each)


def _same_model(later: Held, each: Held) -> bool:
    """Whether both are of the model in question: one that names no model may be of other weights."""
    named = [bool(each.stated["model"]) for each in (later, each)]
    return named[0] == named[1] or (later.weights != "" and later.weights == each.weights)
