"""The evaluations that runs hold: each as the tags of its run show it, and as its record states it.

Anyone who can write to the server can edit a tag. What an evaluation is about, and
which one it replaces, is therefore read from its record: from the envelope where
a trusted key signed it, else from ``record.json``. The files of many runs are read in
parallel.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from evalguard.errors import SinkError
from evalguard.tracking.gate.record_check import (
    UNREADABLE,
    against_digest,
    against_record,
    no_record,
    stated_fields,
    unreadable,
)
from evalguard.tracking.gate.signatures import UNSIGNED, signed
from evalguard.tracking.record import RECORD_FILE
from evalguard.tracking.signing import SignatureError, Signed
from evalguard.tracking.slots import ERROR, FOLDER, PENDING, Slot, slots
from evalguard.tracking.store import Store

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
# Requests at the same time. Each one waits for the server, and a server of MLflow has four workers by default.
PARALLEL = 16


@dataclass(frozen=True, slots=True)
class Held:
    """One evaluation of a run.

    Attributes:
        run: The run, as MLflow returns it.
        slot: The evaluation as the tags show it; without fields if the run has no tag of it.
        stated: The evaluation as its record states it; as the tags show it where there is no record.
        evaluation: Name of the evaluation, which several slots may share.
        weights: Digest of the model's weights; empty if it is not known.
        labels: Name, file and columns of its labels, as far as they are known.
        wrong: Where the tags differ from the record.
        signed: Its record as a trusted key signed it; None without.
        unsigned: Why no trusted key signed it; empty if one did, or if no key is trusted.
        content: Its ``record.json``; empty if that was not read.
    """

    run: Any
    slot: Slot
    stated: Slot
    evaluation: str = ""
    weights: str = ""
    labels: Mapping[str, Any] = field(default_factory=dict)
    wrong: tuple[str, ...] = ()
    signed: Signed | None = None
    unsigned: str = ""
    content: bytes = b""

    @property
    def place(self) -> tuple[str, str]:
        """Id of the run, and name of the slot."""
        return self.run.info.run_id, self.slot.name

    @property
    def where(self) -> str:
        """Name and run, for a message."""
        return f"{self.slot.name} in run {self.run.info.run_id}"

    @property
    def is_deleted(self) -> bool:
        """Whether its run was deleted."""
        return bool(self.run.info.lifecycle_stage != "active")


@dataclass(frozen=True, slots=True)
class Holdings:
    """What runs hold.

    Attributes:
        found: Their evaluations.
        unread: Runs whose files cannot be listed → why.
    """

    found: tuple[Held, ...] = ()
    unread: Mapping[str, str] = field(default_factory=dict)


def of_runs(store: Store, runs: Iterable[Any], keys: Mapping[str, Ed25519PublicKey]) -> Holdings:
    """The evaluations of these runs.

    Args:
        store: Holds the runs.
        runs: The runs, with their tags.
        keys: Public keys that are trusted, by id; empty: no signature is verified.
    """
    found: list[tuple[Any, Slot, bool]] = []
    unread: dict[str, str] = {}
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="evalguard-gate") as pool:
        for run, folders in pool.map(lambda run: (run, _folders(store, run)), runs):
            present = slots(run.data.tags)
            if isinstance(folders, str):
                unread[run.info.run_id] = folders
                folders = ()
            # A record whose tags were deleted.
            lost = (Slot(name, {}) for name in folders if name not in present)
            found += [(run, slot, slot.name in folders) for slot in (*present.values(), *lost)]
        held = pool.map(lambda each: _held(store, each[0], each[1], each[2], keys), found)
        # A folder without tags and without a record belongs to an evaluation that has not ended.
        return Holdings(tuple(each for each in held if each is not None), unread)


def _folders(store: Store, run: Any) -> tuple[str, ...] | str:
    """Names of the folders in which a run has records; why they cannot be listed."""
    try:
        return tuple(store.folders(run, FOLDER))
    except (LookupError, SinkError) as error:
        return str(error)


def _held(
    store: Store,
    run: Any,
    slot: Slot,
    has_files: bool,
    keys: Mapping[str, Ed25519PublicKey],
) -> Held | None:
    unfinished = slot["verdict"] in {PENDING, ERROR} and not slot["envelope"]
    if unfinished and not has_files and not DIGEST.fullmatch(slot["record"]):
        # Neither has a record. With one, it is something else whose tag was edited.
        return Held(run, slot, slot, slot.name, unsigned=UNSIGNED if keys else "")
    trusted, unsigned = None, ""
    if keys:
        try:
            trusted = signed(store, run, slot, keys)
        except SignatureError as error:
            unsigned = str(error)
    if trusted is not None:
        return replace(_stated(run, slot, trusted.payload), signed=trusted)
    held = _read(store, run, slot)
    return None if held is None else replace(held, unsigned=unsigned)


def _read(store: Store, run: Any, slot: Slot) -> Held | None:
    """The evaluation as its ``record.json`` states it; None if there are neither tags nor a record."""
    try:
        content = store.content(run, f"{FOLDER}/{slot.name}/{RECORD_FILE}")
    except (LookupError, SinkError, OSError) as error:
        return Held(run, slot, slot, slot.name, wrong=(no_record(error),)) if slot.fields else None
    changed = tuple(against_digest(slot, content)) if slot.fields else ("its tags were deleted, its record was not",)
    try:
        record = json.loads(content)
        wrong = (*changed, *(against_record(run, slot, record) if slot.fields else ()))
        return replace(_stated(run, slot, record), wrong=wrong, content=content)
    except UNREADABLE as error:
        return Held(run, slot, slot, slot.name, wrong=(*changed, unreadable(slot, error)))


def _stated(run: Any, slot: Slot, record: Mapping[str, Any]) -> Held:
    about = _mapping(record.get("about"))
    weights = _mapping(about.get("model")).get("weights_digest")
    stated = Slot(slot.name, {**slot.fields, **stated_fields(record)})
    name = str(about.get("evaluation") or slot.name)
    return Held(run, slot, stated, name, str(weights or ""), _mapping(about.get("labels")))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
