"""The chain of signed records: each names the one before it, so that one that is deleted leaves a gap.

The newest record of an evaluation and model is named by a tag of the experiment. Anyone can edit that tag; what a
record says of the one before it is signed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from evalguard.core.own_errors import swallow
from evalguard.tracking.client import client_of, log, short_error
from evalguard.tracking.record import Record, is_of_run
from evalguard.tracking.signing import SignatureError, Signed, opened, unverified
from evalguard.tracking.slots import FOLDER, number, slots, slug

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

HEAD = f"{FOLDER}.head"


@dataclass(frozen=True, slots=True)
class Before:
    """What was recorded before an evaluation, as far as it is known.

    Attributes:
        previous: Digest of the record before; empty if nothing was recorded before, None if the server did not say.
        replaced: Digest of each record whose slot this one takes → the digest of the record before that one.
        of: Labels and model of the record whose slot this one takes; None if it is the same evaluation in any case.
        parent: Id of the run in which the run of the evaluation is nested; empty if it is in none.
    """

    previous: str | None = None
    replaced: Mapping[str, str | None] = field(default_factory=dict)
    of: tuple[str, str] | None = None
    parent: str = ""

    def stated(self, fields: Mapping[str, str]) -> dict[str, Any]:
        """What a signed record with these fields states of the records before it."""
        # A record of other labels or of another model takes no place, see `record.choose_slot`.
        same = self.of is None or self.of == (fields["labels"], fields["model"])
        parent = {"parent_run_id": self.parent} if self.parent else {}
        return {"previous": self.previous, "replaced": dict(self.replaced) if same else {}, **parent}


def head_tag(name: str, model: str) -> str:
    """The experiment's tag that names the newest record of an evaluation and model."""
    return ".".join(filter(None, (HEAD, slug(name), model and slug(model))))


def before(tracking_uri: str, run_id: str, slot: str, tag: str, key: Ed25519PrivateKey) -> Before:
    """What the server holds before an evaluation begins.

    Args:
        tracking_uri: Server or store.
        run_id: The run of the evaluation.
        slot: The slot that it takes.
        tag: See ``head_tag``.
        key: The key that signs the evaluation: anyone can write an envelope that another one signed, or none.
    """
    client = client_of(tracking_uri)
    run = client.get_run(run_id)
    present = slots(run.data.tags).get(slot)
    found = _signed(present["envelope"], key) if present is not None else None
    # A record of another run that was copied here is not replaced: it could then be deleted there unnoticed.
    if found is not None and not is_of_run(found.payload, run):
        found = None
    head = _head(client.get_experiment(run.info.experiment_id).tags.get(tag, ""))[1]
    known = Before(head, parent=run.data.tags.get("mlflow.parentRunId", ""))
    if found is None:
        return known
    fields = found.payload["fields"]
    of = str(fields["labels"]), str(fields["model"])
    return replace(known, replaced=replacing(found.payload, found.digest), of=of)


def _signed(envelope: str, key: Ed25519PrivateKey) -> Signed | None:
    try:
        return opened(envelope, {"": key.public_key()})
    except SignatureError:
        return None


def replacing(payload: Mapping[str, Any], digest: str) -> Mapping[str, str | None]:
    """``Before.replaced`` of what takes the place of this record."""
    earlier = payload.get("replaced")
    previous = payload.get("previous")
    return {
        **({str(name): _text(value) for name, value in earlier.items()} if isinstance(earlier, dict) else {}),
        digest: _text(previous),
    }


def name_as_head(client: Any, record: Record) -> None:
    """Name a record as the newest one of its evaluation and model; an error is logged, as the gate does not need it."""
    found = unverified(record.envelope)
    if found is None:
        return
    payload, digest = found
    tag = head_tag(str(payload["name"]), record.fields.get("model", ""))
    try:
        experiment = client.get_run(record.run_id).info.experiment_id
        newest_ms, newest = _head(client.get_experiment(experiment).tags.get(tag, ""))
        # A record that was kept during an outage may arrive after a later one.
        if newest != digest and newest_ms <= record.checked_at_ms:
            client.set_experiment_tag(experiment, tag, f"{record.checked_at_ms} {digest}")
    except Exception as error:  # noqa: BLE001 - the record has arrived; the next one then names an older one
        swallow(error)
        log.warning("evalguard: the record is sent, and not named as the newest one: %s", short_error(error))


def gaps(records: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Digests that a record names and that are not there → the digest of the record that names it.

    Args:
        records: Payloads by digest, of every record that can be found.
    """
    replaced = [replacing(payload, "") for payload in records.values()]
    known = {name: value for each in replaced for name, value in each.items() if name}
    links = [(digest, _text(payload.get("previous"))) for digest, payload in records.items()]
    links += [(digest, previous) for digest, previous in known.items() if digest not in records]
    there = {*records, *known}
    return {previous: digest for digest, previous in links if previous and previous not in there}


def _head(value: str) -> tuple[int, str]:
    """When the record was judged that a tag names, and its digest."""
    found = re.fullmatch(r"(\d{1,18}) ([0-9a-f]{64})", value, re.ASCII)
    return (number(found[1]), found[2]) if found else (0, "")


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
