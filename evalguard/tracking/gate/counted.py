"""Which evaluations count: those on the labels in question that no later one replaces.

A later evaluation replaces one of the same name, model and labels only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from evalguard.core.report_counts import counted
from evalguard.tracking.gate.held import Held
from evalguard.tracking.gate.labels_at_hand import LabelsAsked, other_labels
from evalguard.tracking.slots import GOOD


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
    # What proves nothing leaves a FAIL as it is: on labels that were not asked for, nothing else would refuse it.
    proves = later.stated["verdict"] in GOOD and not later.unsigned
    if each.stated["verdict"] == "FAIL" and later.stated["verdict"] != "FAIL" and not proves:
        return False
    return _same_name(later, each) and _same_model(later, each)


def _same_name(later: Held, each: Held) -> bool:
    same_slot = later.slot.name == each.slot.name
    # In one run, each slot is another evaluation: a PASS beside a FAIL does not hide it.
    if later.run.info.run_id == each.run.info.run_id:
        return same_slot
    # Several names may have one slot, `测试` and `验证`. A record of an earlier version names its slot only.
    return later.evaluation == each.evaluation or (same_slot and later.slot.name in {later.evaluation, each.evaluation})


def _same_model(later: Held, each: Held) -> bool:
    """Whether both are of the model in question: one that names no model may be of other weights."""
    named = [bool(each.stated["model"]) for each in (later, each)]
    return named[0] == named[1] or (later.weights != "" and later.weights == each.weights)


def on_these_labels(those: Sequence[Held], asked: LabelsAsked) -> tuple[list[Held], list[Held]]:
    """Evaluations on labels that were asked for, or that are not known, and those on others."""
    found = [each for each in those if not each.stated["labels"] or not _other(asked, each)]
    return found, [each for each in those if each not in found]


def _other(asked: LabelsAsked, each: Held) -> list[str]:
    return other_labels(asked, each.stated["labels"], each.labels)


def about_labels(question: str, found: Sequence[Held], aside: Sequence[Held], asked: LabelsAsked) -> Iterable[str]:
    """What is wrong with the labels of all evaluations together."""
    for name, one in asked.each().items():
        present = [each for each in (*found, *aside) if each.stated["labels"]]
        tried = [_other(one, each) for each in present]
        if not all(tried):
            continue
        if one.digests:
            others = "; ".join(dict.fromkeys(_shown(each) for each in present))
            yield f"no evaluation on labels {name}; found {others or 'none'}"
        else:
            why = "; ".join(dict.fromkeys(text for each in tried for text in each))
            yield f"no evaluation on the labels of {name}: {why or 'found none'}"
    most = max((n_labels(each) or 0 for each in found), default=0)
    for each in aside:
        n = n_labels(each)
        if each.stated["verdict"] == "FAIL" and (n is None or n > most):
            yield (
                f"{each.where}: FAIL on more labels ({_shown(each)}) than those that were asked for. If it does not "
                f"count any more, name its run as superseded (--superseded)"
            )
    if asked.each() or not question.startswith("models:/"):
        return
    # Of one model, evaluations of one name on different labels do not replace each other: which ones count is not
    # known.
    for name in dict.fromkeys(each.evaluation for each in found if not each.stated.is_validation):
        of_name = [each for each in found if each.evaluation == name and each.stated["labels"]]
        shown = {each.stated["labels"]: _shown(each) for each in of_name}
        if len(shown) > 1:
            found_ones = "; ".join(shown.values())
            yield f"{name} was evaluated on different labels: {found_ones}. Pass those that count (--labels)"


def n_labels(each: Held) -> int | None:
    """Number of its labels; None if it is not known."""
    return each.stated.counts.get("n_labels")


def _shown(each: Held) -> str:
    n = n_labels(each)
    number = "labels" if n is None else counted(n, "label")
    return f"{number} with digest {each.stated['labels']}"
