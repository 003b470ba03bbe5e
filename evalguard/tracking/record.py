"""What is recorded of an evaluation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evalguard.tracking.slots import PENDING, Slot

RECORD_FILE = "record.json"
RECORD_SCHEMA = 1
TOKEN_DIGITS = 6


def choose_slot(record: Record, present: Mapping[str, Slot]) -> str | None:
    """The slot of its name; one of its own where another evaluation of that name went on at the same time.

    An evaluation that ended before this one began is replaced by it, one that
    began after this one had ended is left: newest wins. Two that overlap are
    two, and both are kept: a tag cannot be claimed, but a name that nobody else
    has needs no claim.
    """
    alone = f"{record.name}-{record.token[-TOKEN_DIGITS:]}"
    found = present.get(record.name)
    if alone in present:
        return alone
    if found is None or found["record"] in {record.token, record_digest(record_content(record, record.name))}:
        return record.name
    # Whoever is PENDING now came after our own PENDING, or is dead: a beginning takes over, a verdict lets it be.
    ended = found["verdict"] != PENDING or record.verdict == PENDING
    if ended and found.checked_at_ms < record.began_at_ms:
        return record.name
    later = (found.began_at_ms or found.checked_at_ms) > record.checked_at_ms
    return None if later else alone


def record_content(record: Record, slot: str) -> bytes:
    """``record.json``: what binds tags, report and run together; the slot's tag ``record`` is its digest."""
    body = {
        "schema_version": RECORD_SCHEMA,
        "run_id": record.run_id,
        "name": slot,
        "began_at_ms": record.began_at_ms,
        "checked_at_ms": record.checked_at_ms,
        "counts": _counts_text(record.counts),
        "fields": dict(record.fields),
        "files": {name: record_digest(content) for name, content in sorted(record.artifacts.items())},
    }
    return (json.dumps(body, indent=2, sort_keys=True) + "\n").encode()


def record_digest(content: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _counts_text(counts: Mapping[str, int]) -> str:
    """Counts as the tag holds them: what matters most comes first, for it may be cut."""
    return " ".join(f"{name}={value}" for name, value in counts.items())


def own_slot(record: Record, name: str) -> Slot:
    """The tags of a record, under the name that its run gives it."""
    fields = {
        **record.fields,
        "counts": _counts_text(record.counts),
        "record": record_digest(record_content(record, name)) if record.artifacts else record.token,
        "began_at_ms": str(record.began_at_ms),
        "checked_at_ms": str(record.checked_at_ms),
    }
    return Slot(name, fields)


VERSION = 2


@dataclass(frozen=True, slots=True)
class Record:
    """One verdict on its way to one run.

    Attributes:
        tracking_uri: Server or store.
        run_id: Run that gets the verdict.
        name: Slot of the evaluation in the run.
        fields: What the slot says: ``verdict``, ``proof``, …
        began_at_ms: When the evaluation began, milliseconds since the epoch.
        checked_at_ms: When it was judged.
        token: Names this very evaluation, among others of the same name.
        counts: Exact integers by name.
        figures: Figures of metrics by name, such as ``accuracy/as_scored``.
        labels: ``name``, ``digest`` and ``n`` of the external labels.
        artifacts: File name → content, bytes.
        version: Form of the record.
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
    figures: Mapping[str, float] = field(default_factory=dict)
    version: int = VERSION

    @property
    def verdict(self) -> str:
        """The verdict, or PENDING or ERROR."""
        return self.fields["verdict"]
