"""Which evaluations a trusted key signed, and whether the chain of their records is whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evalguard.errors import SinkError
from evalguard.tracking.chain import gaps
from evalguard.tracking.gate.record_check import UNREADABLE, against_record
from evalguard.tracking.record import ENVELOPE_FILE, IN_A_FILE
from evalguard.tracking.signing import SignatureError, Signed, opened
from evalguard.tracking.slots import FOLDER, GOOD, Slot, slots
from evalguard.tracking.store import Store

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from evalguard.tracking.gate.held import Held
    from evalguard.tracking.gate.selection import Question

UNSIGNED = "it is not signed"
LATER = "a later record may have been deleted: pass the digest of the newest record as head, kept outside of the server"


@dataclass(frozen=True, slots=True)
class Trust:
    """What the gate trusts.

    Attributes:
        keys: Public keys by id; empty: signatures are not asked for.
        heads: Digests of records that must be there.
        deleted: Digests of records that were deleted on purpose.
    """

    keys: Mapping[str, Ed25519PublicKey] = field(default_factory=dict)
    heads: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chain:
    """What the signed records of a question show together.

    Attributes:
        reasons: Why the gate is closed.
        notes: What it could not know.
    """

    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def signed(store: Store, run: Any, slot: Slot, keys: Mapping[str, Ed25519PublicKey]) -> Signed:
    """The signed record of an evaluation.

    Raises:
        SignatureError: There is none that one of these keys signed, or its tags say something else.
    """
    found = opened(_envelope(store, run, slot), keys)
    try:
        wrong = against_record(run, slot, found.payload)
    except UNREADABLE as error:
        msg = "what was signed is no record"
        raise SignatureError(msg) from error
    if wrong:
        raise SignatureError("; ".join(wrong))
    return found


def _envelope(store: Store, run: Any, slot: Slot) -> str | bytes:
    text = slot["envelope"]
    if text != IN_A_FILE:
        if not text:
            raise SignatureError(UNSIGNED)
        return text
    try:
        return store.content(run, f"{FOLDER}/{slot.name}/{ENVELOPE_FILE}")
    except (LookupError, SinkError, OSError) as error:
        msg = f"its signature did not arrive: {error}"
        raise SignatureError(msg) from error


def chain_of(
    store: Store,
    chosen: Sequence[Held],
    trust: Trust,
    question: Question,
) -> Chain:
    """What the records show together with all others of their experiments.

    Args:
        store: Holds the runs.
        chosen: The evaluations in question, those that were replaced included.
        trust: What is trusted.
        question: The runs and the names of the model in question: records of these must be among the chosen ones.
    """
    records = {each.place: each.signed for each in chosen if each.signed is not None}
    experiments = sorted({each.run.info.experiment_id for each in chosen})
    present = dict(_signed_records(store, experiments, trust)) | dict(records) if experiments else dict(records)
    reasons = list(_twice(records, present))
    about = {_subject(each.payload) for each in records.values()}
    found = [*present.values(), *(_in_the_trash(store, experiments, trust) if experiments else ())]
    same = {each.digest: each.payload for each in found if _subject(each.payload) in about}
    # Two names that differ only where a tag cannot hold them share the tag that names the record before.
    there = {each.digest for each in found} | _replaced(found)
    for missing, named_by in gaps(same).items():
        if missing not in there and missing not in trust.deleted:
            name = same[named_by]["name"] if named_by in same else "another record"
            reasons.append(
                f"the record {missing} before that of {name} is not there: it was deleted, or its signature was. If "
                "that was on purpose, pass it as deleted"
            )
    verified = set(records)
    reasons += [
        f"{each.payload['name']} in run {run_id} is signed, and its tags do not show it"
        for (run_id, slot), each in present.items()
        if (run_id, slot) not in verified and _is_about(each.payload, run_id, question)
    ]
    there = {each.digest for each in present.values()} | _replaced(present.values())
    reasons += [
        f"the record {head} (head) is not there: it was deleted, or its signature was"
        for head in trust.heads
        if head not in there
    ]
    unknown = [each.payload["name"] for each in records.values() if each.payload.get("previous") is None]
    notes = [f"what was recorded before {name} is not known: the server did not say" for name in dict.fromkeys(unknown)]
    return Chain(tuple(reasons), (*notes, *(() if trust.heads else (LATER,))))


def _signed_records(store: Store, experiments: Sequence[str], trust: Trust) -> Iterable[tuple[tuple[str, str], Signed]]:
    for run in store.runs("", experiments):
        for slot in slots(run.data.tags).values():
            try:
                yield (run.info.run_id, slot.name), opened(_envelope(store, run, slot), trust.keys)
            except SignatureError:
                continue


def _in_the_trash(store: Store, experiments: Sequence[str], trust: Trust) -> Iterable[Signed]:
    """Good records in deleted runs, where their tags fit: what can still be read was not taken out of the chain."""
    for run in store.runs("", experiments, deleted=True):
        for slot in slots(run.data.tags).values() if run.info.lifecycle_stage != "active" else ():
            try:
                found = signed(store, run, slot, trust.keys)
            except SignatureError:
                continue
            # Of a bad one, the question is whether it was deleted on purpose.
            if slot["verdict"] in GOOD:
                yield found


def _is_about(payload: Mapping[str, Any], run_id: str, question: Question) -> bool:
    """Whether a record in this run is of what was asked; it may have been moved here from where it was signed."""
    model = _subject(payload)[1]
    if question.names and model:
        return model in question.names
    return bool({run_id, payload.get("run_id"), payload.get("parent_run_id")} & question.runs)


def _twice(records: Mapping[tuple[str, str], Signed], present: Mapping[tuple[str, str], Signed]) -> Iterable[str]:
    """Records in question whose nonce another record has: one is a copy of the other."""
    times = Counter(str(each.payload.get("nonce")) for each in present.values())
    for nonce in dict.fromkeys(str(each.payload.get("nonce")) for each in records.values()):
        if times[nonce] > 1:
            where = {run_id for (run_id, _), each in present.items() if str(each.payload.get("nonce")) == nonce}
            yield f"one signed record is in {times[nonce]:,} places: {', '.join(sorted(where))}"


def _replaced(present: Iterable[Signed]) -> set[str]:
    """Digests of the records whose place a later one in the same run took, as that one was signed to say."""
    return {str(digest) for each in present for digest in each.payload.get("replaced") or ()}


def _subject(payload: Mapping[str, Any]) -> tuple[str, str]:
    """The evaluation and the model that a record is about."""
    fields = payload.get("fields")
    return str(payload.get("name")), str(fields.get("model", "")) if isinstance(fields, dict) else ""
