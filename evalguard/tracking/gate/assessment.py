"""Assess the evaluations in question: whether each passes the gate, and if not, why."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from evalguard.core.policy import Proof, Require
from evalguard.tracking.gate import attestation
from evalguard.tracking.gate.counted import about_labels, n_labels, on_these_labels
from evalguard.tracking.gate.held import PARALLEL, Held
from evalguard.tracking.gate.labels_at_hand import LabelsAsked, other_labels, stated_in_report
from evalguard.tracking.gate.record_check import contradictions
from evalguard.tracking.gate.selection import Question
from evalguard.tracking.gate.signatures import UNSIGNED, Chain, Trust, chain_of
from evalguard.tracking.slots import Slot, worst
from evalguard.tracking.store import Store

ACCEPTABLE = ("PASS", "REPAIRED")
UNGUARDED, REFUSED = "UNGUARDED", "REFUSED"
UNCHECKED = "none of the files is it or holds it; give that file, or pass --allow-unchecked (allow_unchecked)"
# Tolerated difference between two clocks, ms. A record further in the future has no known age, so `max_age` would
# accept it forever.
CLOCK_MS = 5 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation that the gate assessed.

    Attributes:
        run_id: The run of the evaluation.
        name: Name of its slot in that run.
        verdict: The verdict in its tag.
        proof: The proof in its tag.
        labels: Digest of the labels.
        n_labels: Number of the labels; None if it is not known.
        model: The model that it names; empty if it names no model.
        checked_at_ms: When it was judged, milliseconds since the epoch.
        refused: The reasons why it does not pass; empty if it passes.
        signature: ``unsigned``, ``not verified`` (no key is trusted), or the id of the trusted key that signed it.
    """

    run_id: str
    name: str
    verdict: str
    proof: str = ""
    labels: str = ""
    n_labels: int | None = None
    model: str = ""
    checked_at_ms: int = 0
    refused: tuple[str, ...] = ()
    signature: str = "unsigned"


@dataclass(frozen=True, slots=True)
class GateResult:
    """The gate's answer: open or closed, with the reasons.

    Attributes:
        asked: What the gate was asked about.
        passed: Whether there is an evaluation in question, and every one is proven.
        evaluations: The evaluations in question.
        unguarded: Runs in question without any guarded evaluation.
        superseded: Evaluations that a later one of the same name, model and labels replaces, or that the caller set
            aside.
        aside: Evaluations on other labels than those that were asked for, which prove nothing here.
        reasons: The reasons why the gate is closed; empty if it is open.
        notes: What the gate could not know, whether it is open or closed.
        files: With ``attestation``: path of a given file → the subjects that it is or holds.
        unchecked: With ``attestation``: subjects that none of the given files is or holds.
        not_tagged: The error that prevented tagging the model version; empty if
            it was tagged or no tag was requested.
    """

    asked: str
    passed: bool
    evaluations: tuple[Evaluation, ...] = ()
    unguarded: tuple[str, ...] = ()
    superseded: tuple[Evaluation, ...] = ()
    aside: tuple[Evaluation, ...] = ()
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    unchecked: tuple[str, ...] = ()
    not_tagged: str = ""

    def __bool__(self) -> bool:
        """Whether the gate is open."""
        return self.passed

    @property
    def verdict(self) -> str:
        """One word for a tag: a verdict, UNGUARDED, or REFUSED if a good verdict did not pass for another reason."""
        if not self.evaluations:
            return UNGUARDED
        shown_verdict = worst({f"{item.run_id}/{item.name}": _slot_of(item) for item in self.evaluations})["verdict"]
        return shown_verdict if self.passed or shown_verdict not in ACCEPTABLE else REFUSED

    def to_dict(self) -> dict[str, Any]:
        """The result as plain data."""
        return {**asdict(self), "verdict": self.verdict}

    def to_json(self) -> str:
        """The result as JSON, with a newline at the end."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"


@dataclass(frozen=True, slots=True)
class Demand:
    """The requirements that each evaluation must meet.

    Attributes:
        accept: Verdicts that may pass.
        require: The weakest proof that may pass.
        labels: The labels that count; on each of them an evaluation must pass.
        not_before_ms: Earliest time of judging, milliseconds since the epoch; 0 for any.
        now_ms: The current time, milliseconds since the epoch.
        superseded: Ids of runs whose evaluations do not count.
        trust: The keys that must have signed what passes; without keys, no signature is asked for.
    """

    accept: tuple[str, ...]
    require: Require
    labels: LabelsAsked
    not_before_ms: int
    now_ms: int
    superseded: tuple[str, ...] = ()
    trust: Trust = field(default_factory=Trust)


def answer(store: Store, selection: Question, requirements: Demand) -> GateResult:
    """The gate's answer: each evaluation with the reasons why it does not pass."""
    trust, chosen = requirements.trust, [*selection.found, *selection.superseded]
    set_aside = [each for each in selection.found if each.run.info.run_id in requirements.superseded]
    counted = [each for each in selection.found if each not in set_aside]
    found, aside = on_these_labels(counted, requirements.labels)
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="evalguard-gate") as pool:
        evaluations = tuple(pool.map(lambda each: _assessed(store, each, requirements), found))
    chain = chain_of(store, chosen, trust, selection) if trust.keys else Chain()
    reasons = [*selection.reasons, *chain.reasons]
    reasons += [
        f"run {run_id}: its records could not be listed: {why}"
        for run_id, why in selection.unread.items()
        if run_id not in requirements.superseded
    ]
    reasons += [f"run {run_id} has no guarded evaluation" for run_id in selection.unguarded]
    reasons += [f"{item.name} in run {item.run_id}: {why}" for item in evaluations for why in item.refused]
    reasons += about_labels(selection.asked, found, aside, requirements.labels)
    # What was replaced, or is on other labels, says so only by its tags, which anyone can edit.
    reasons += [f"{each.where}: {why}" for each in (*aside, *selection.superseded) for why in _edited(each)]
    # Also true without any evaluation.
    if all(each.stated.is_validation for each in found):
        reasons.append(f"{selection.asked} has no guarded evaluation: no evidence is not a pass")
    unknown = set(requirements.superseded) - {each.run.info.run_id for each in chosen} - selection.unread.keys()
    return GateResult(
        asked=selection.asked,
        passed=not reasons,
        evaluations=evaluations,
        unguarded=tuple(selection.unguarded),
        superseded=tuple(_evaluation(each, ()) for each in (*selection.superseded, *set_aside)),
        aside=tuple(_evaluation(each, ()) for each in aside),
        reasons=tuple(reasons),
        notes=(
            *chain.notes,
            *(f"run {each} (superseded) holds no evaluation in question" for each in sorted(unknown)),
            *dict.fromkeys(requirements.labels.notes),
        ),
    )


def _edited(each: Held) -> tuple[str, ...]:
    """Why an evaluation is not what its tags show."""
    return (*each.wrong, *((each.unsigned,) if each.unsigned not in {"", UNSIGNED} else ()))


def about_statement(
    path: str | Path, files: Sequence[str | Path], requirements: Demand, *, allow_unchecked: bool = False
) -> GateResult:
    """The gate's answer for an attestation and the given files.

    Args:
        path: The attestation.
        files: Files and folders.
        requirements: What the evaluation must meet.
        allow_unchecked: Whether a subject that none of the files holds closes the gate.

    Raises:
        ConfigError: The attestation or a file cannot be read.
    """
    statement = attestation.read(path)
    compared = attestation.compare(statement, files)
    annotations = statement.annotations
    fields = {name: annotations.get(name, "") for name in ("verdict", "proof", "labels", "checked_at_ms")}
    slot = Slot(annotations.get("evaluation", ""), fields)
    report = attestation.report_beside(statement)
    refused = [
        *_refusals(slot, requirements),
        # One evaluation: it must be on all of them.
        *(
            why
            for one in requirements.labels.each().values()
            for why in other_labels(one, slot["labels"], stated_in_report(report))
        ),
        *attestation.inconsistencies(statement),
    ]
    reasons = [f"{slot.name}: {why}" for why in refused]
    reasons += compared.wrong
    if not allow_unchecked:
        reasons += [f"{subject}: {UNCHECKED}" for subject in compared.unchecked]
    return GateResult(
        asked=f"attestation {path}",
        passed=not reasons,
        evaluations=(
            Evaluation(
                "", slot.name, slot["verdict"], slot["proof"], slot["labels"], None, "", slot.checked_at_ms, (*refused,)
            ),
        ),
        reasons=tuple(reasons),
        notes=tuple(requirements.labels.notes),
        files=compared.matched,
        unchecked=tuple(compared.unchecked),
    )


def _evaluation(each: Held, refused: Sequence[str]) -> Evaluation:
    slot = each.slot if each.slot.fields else each.stated
    signature = "not verified" if slot["envelope"] else "unsigned"
    return Evaluation(
        each.run.info.run_id,
        slot.name,
        slot["verdict"],
        slot["proof"],
        slot["labels"],
        n_labels(each),
        slot["model"],
        slot.checked_at_ms,
        (*refused,),
        signature if each.signed is None else each.signed.key_id,
    )


def _slot_of(item: Evaluation) -> Slot:
    return Slot(item.name, {"verdict": item.verdict, "checked_at_ms": str(item.checked_at_ms)})


def _assessed(store: Store, each: Held, requirements: Demand) -> Evaluation:
    slot = each.slot if each.slot.fields else each.stated
    refused = _refusals(slot, requirements)
    if each.is_deleted:
        refused.append("its run was deleted. If that was on purpose, name the run as superseded")
    if requirements.trust.keys and slot["verdict"] in requirements.accept:
        refused += [each.unsigned] if each.unsigned else []
    elif not requirements.trust.keys and slot["verdict"] in requirements.accept and not each.wrong:
        # A download, which an evaluation with a refused verdict does not need.
        refused += contradictions(store, each.run, slot, each.content, requirements.require)
    return _evaluation(each, [*refused, *each.wrong])


def _refusals(slot: Slot, requirements: Demand) -> list[str]:
    if slot["verdict"] in requirements.accept:
        return _unmet(slot, requirements)
    why = f" ({slot['reason']})" if slot["reason"] else ""
    return [f"the verdict is {slot['verdict'] or 'missing'}{why}"]


def _unmet(slot: Slot, requirements: Demand) -> list[str]:
    """The requirements that the evaluation does not meet."""
    unmet = []
    # The tags are enough here: `contradictions` refuses an evaluation whose record or report differs from them.
    if _level(slot["proof"]) < _level(requirements.require):
        unmet.append(f"proof {slot['proof'] or 'missing'}, weaker than {requirements.require}")
    if requirements.not_before_ms and slot.checked_at_ms < requirements.not_before_ms:
        days = (requirements.now_ms - slot.checked_at_ms) / 86_400_000
        unmet.append(f"judged {days:.1f} days ago, older than allowed")
    if slot.checked_at_ms > requirements.now_ms + CLOCK_MS:
        unmet.append("judged in the future: its age is not known")
    return unmet


def _level(proof: str) -> Proof:
    """The proof that a tag names; any other word, as in an edited tag, counts as no proof."""
    return Proof(proof) if proof in set(Proof) else Proof.NONE
