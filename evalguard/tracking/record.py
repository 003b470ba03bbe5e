"""The record of an evaluation, and the choice of its slot in the run."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evalguard.tracking.new_run import NewRun
from evalguard.tracking.slots import ERROR, MAX_ENVELOPE, PENDING, Slot

RECORD_FILE, ENVELOPE_FILE = "record.json", "envelope.json"
# In place of an envelope that is too long for a tag.
IN_A_FILE = "file"
RECORD_SCHEMA = 1
TOKEN_DIGITS = 6


def choose_slot(record: Record, present: Mapping[str, Slot]) -> str | None:
    """The slot for a record: that of its name, a separate one, or None if the slot holds a newer evaluation.

    A record replaces an evaluation of the same labels and model that ended before
    it began, and is dropped if such a one began after it ended. All others are
    kept, and the record is in a slot with a unique name: one that overlaps with
    it, one of other labels or of another model, and any that has ended while this
    one is PENDING.
    """
    # MLflow has no compare-and-set for a tag (mlflow 3.17, sqlalchemy_store.py, `_set_tags`: the last write wins), so a
    # writer cannot reserve a slot. A name that no other writer can choose need not be reserved.
    alone = separate_slot(record)
    found = present.get(record.name)
    if alone in present and (record.again or found is None):
        return alone
    if found is None or found["record"] in {record.token, record_digest(record_content(record, record.name))}:
        return record.name
    if found["verdict"] == PENDING:
        # That evaluation is running, or its process was killed. A PENDING record takes the slot. A verdict does not,
        # because that evaluation may still be running.
        replaces = record.verdict == PENDING
    else:
        replaces = record.again or replaces_it(record, found)
        # That an earlier one raised is not missed.
        if (replaces or record.verdict == ERROR) and (found.began_at_ms or found.checked_at_ms) > record.checked_at_ms:
            return None
    return record.name if replaces and found.checked_at_ms < record.began_at_ms else alone


def separate_slot(record: Record) -> str:
    """The slot of a record whose name is in use."""
    return f"{record.name}-{record.token[-TOKEN_DIGITS:]}"


def unused_slots(record: Record, present: Mapping[str, Slot], chosen: str | None) -> set[str]:
    """Slots with nothing to keep once a record is in the chosen slot, or is dropped: their tags are deleted.

    The one of its PENDING mark, and those of earlier evaluations of this name and
    model that were killed or raised. None of them has files.
    """
    separate = re.compile(rf"{re.escape(record.name)}-[\w-]{{{TOKEN_DIGITS}}}", re.ASCII)
    unused = {separate_slot(record)} & present.keys()
    for slot in present.values():
        earlier = slot.checked_at_ms < record.began_at_ms and slot["model"] == record.fields.get("model", "")
        ended = slot["verdict"] == (PENDING if record.verdict == PENDING else ERROR)
        if earlier and ended and separate.fullmatch(slot.name):
            unused.add(slot.name)
    return unused - {chosen}


def replaces_it(record: Record, found: Slot) -> bool:
    """Whether both are the same evaluation: a PASS on fewer labels, or of another model, hides no FAIL."""
    if record.verdict in {PENDING, ERROR} or record.fields.get("model", "") != found["model"]:
        return False
    # An evaluation that raised has no labels.
    return found["verdict"] == ERROR or found["labels"] == record.fields.get("labels", "")


def record_content(record: Record, slot: str) -> bytes:
    """``record.json``, which binds tags, report and run together; the slot's tag ``record`` is its digest."""
    body = {
        "schema_version": RECORD_SCHEMA,
        "run_id": record.run_id,
        "name": slot,
        "began_at_ms": record.began_at_ms,
        "checked_at_ms": record.checked_at_ms,
        "counts": _counts_text(record.counts),
        "fields": dict(record.fields),
        "files": {name: record_digest(content) for name, content in sorted(record.artifacts.items())},
        # Left out if empty: a record that an earlier version spooled has no `about`, and its digest must not change.
        **({"about": dict(record.about)} if record.about else {}),
    }
    return (json.dumps(body, indent=2, sort_keys=True) + "\n").encode()


def record_digest(content: bytes) -> str:
    """SHA-256 of the content, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _counts_text(counts: Mapping[str, int]) -> str:
    """Counts as text for the tag, the most important first, because a long tag is cut."""
    return " ".join(f"{name}={value}" for name, value in counts.items())


def own_slot(record: Record, name: str) -> Slot:
    """The slot of this name with the fields of a record."""
    fields = {
        **record.fields,
        "counts": _counts_text(record.counts),
        # PENDING and ERROR have no files and so no record.json; the token identifies the evaluation.
        "record": record_digest(record_content(record, name)) if record.artifacts else record.token,
        "began_at_ms": str(record.began_at_ms),
        "checked_at_ms": str(record.checked_at_ms),
        # A tag that is cut cannot be read.
        "envelope": record.envelope if len(record.envelope) <= MAX_ENVELOPE else IN_A_FILE,
    }
    return Slot(name, fields)


def stated(record: Record, name: str, before: Mapping[str, Any]) -> dict[str, Any]:
    """What a signed record states.

    Args:
        record: The record.
        name: Name of the evaluation.
        before: ``previous`` and ``replaced``, see ``chain.Before``.
    """
    return {
        "schema_version": RECORD_SCHEMA,
        "name": name,
        "run_id": record.run_id,
        # Until a server answers, the run has no id. Its start is known, and nobody can change it later (mlflow 3.17,
        # store/tracking/abstract_store.py, `update_run_info`).
        **({} if record.run_id or record.new_run is None else {"run_began_at_ms": record.new_run.began_at_ms}),
        # One record in two places has one nonce.
        "nonce": uuid.uuid4().hex,
        "began_at_ms": record.began_at_ms,
        "checked_at_ms": record.checked_at_ms,
        "counts": _counts_text(record.counts),
        "fields": dict(record.fields),
        "files": {name: record_digest(content) for name, content in sorted(record.artifacts.items())},
        "about": dict(record.about),
        **before,
    }


def is_of_run(payload: Mapping[str, Any], run: Any) -> bool:
    """Whether a signed record is of this run, by its id or, if there was none yet, by its start."""
    if payload.get("run_id") == "" and "run_began_at_ms" in payload:
        return bool(payload["run_began_at_ms"] == run.info.start_time)
    return bool(payload.get("run_id") == run.info.run_id)


VERSION = 2


@dataclass(frozen=True, slots=True)
class Record:
    """One verdict to be sent to one run.

    Attributes:
        tracking_uri: Tracking URI of the server or store.
        run_id: Run that gets the verdict; empty for one that is created when the record is sent.
        name: Slot of the evaluation in the run.
        fields: Fields of the slot: ``verdict``, ``proof``, …
        began_at_ms: When the evaluation began, milliseconds since the epoch.
        checked_at_ms: When it was judged, milliseconds since the epoch.
        token: Identifies this evaluation among others of the same name.
        counts: Exact integers by name.
        metrics: Metric values by name, such as ``accuracy/as_scored``.
        labels: ``name``, ``digest`` and ``n`` of the external labels.
        artifacts: File name → content, bytes.
        alone: Whether the run was created for this evaluation.
        new_run: That run; with its final status, sending also ends it.
        envelope: The record as it was signed, see ``signing``; empty if it was not signed.
        about: ``evaluation``, ``model``, ``source``, ``labels`` and ``caller`` of the report.
        again: Whether it is the same evaluation as the one in its slot, judged again.
        version: Version of the record's format.
    """

    tracking_uri: str
    run_id: str
    name: str
    fields: Mapping[str, str]
    began_at_ms: int
    checked_at_ms: int
    token: str
    counts: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, bytes] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    alone: bool = False
    envelope: str = ""
    again: bool = False
    new_run: NewRun | None = None
    version: int = VERSION

    @property
    def verdict(self) -> str:
        """The verdict, or PENDING or ERROR."""
        return self.fields["verdict"]
