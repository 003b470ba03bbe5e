"""Compare the tags of an evaluation with its record, and the record with the report.

Anyone who can write to the server can edit one of them; the gate trusts an
evaluation only if all three agree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from evalguard.core.plural import plural
from evalguard.core.policy import Proof
from evalguard.core.report import Report, counts_as_declared
from evalguard.errors import SinkError
from evalguard.tracking.record import RECORD_FILE, is_of_run, record_digest
from evalguard.tracking.slots import FIELDS, FOLDER, MAX_TAG, Slot, slug
from evalguard.tracking.store import Store

# Fields that a record cannot state, as they are of the record itself.
NOT_STATED = frozenset({"record", "envelope"})
# What reading something raises that is no record.
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)


def contradictions(store: Store, run: Any, slot: Slot, content: bytes, require: str) -> list[str]:
    """The differences between tag, record and report; empty if they agree.

    Args:
        store: The store of the run.
        run: The run.
        slot: The tags of the evaluation.
        content: The record, ``record.json``; empty if it has not been read.
        require: The weakest proof that may pass.
    """
    folder = f"{FOLDER}/{slot.name}"
    try:
        content = content or store.content(run, f"{folder}/{RECORD_FILE}")
        report_text = store.content(run, f"{folder}/report.json")
    except (LookupError, SinkError, OSError) as error:
        return [no_record(error)]
    try:
        record = json.loads(content)
        wrong = against_digest(slot, content) or against_record(run, slot, record)
        if wrong:
            return wrong
        if record_digest(report_text) != record["files"]["report.json"]:
            return [f"{folder}/report.json is not the report that was recorded"]
        data = json.loads(report_text)
        report = Report.from_dict(data)
        if counts_as_declared(data) and slot["proof"] == "identity":
            if report.proof < require:
                return [f"its proof is each row's position in an array, which is declared: weaker than {require}"]
            report = replace(report, proof=Proof.IDENTITY)
        return _against_report(slot, report)
    except UNREADABLE as error:
        return [unreadable(slot, error)]


def no_record(error: Exception) -> str:
    """Why an evaluation without a record is refused."""
    return f"no record: {error}. A tag alone proves nothing; if the files did not arrive, run `evalguard replay`"


def unreadable(slot: Slot, error: Exception) -> str:
    """Why an evaluation is refused whose record is something else."""
    return f"{FOLDER}/{slot.name}: not a record that this version of evalguard can read: {error}"


def against_digest(slot: Slot, content: bytes) -> list[str]:
    """Whether the tag holds the digest of the record."""
    # Any user of the server can edit a tag (`set_tag`) or overwrite a file (`log_artifact`) without a trace. Only a
    # change of both, with a digest that fits, is not detected.
    if record_digest(content) == slot["record"]:
        return []
    return [f"the digest in its tag is not that of {FOLDER}/{slot.name}/{RECORD_FILE}: one of them was changed"]


def against_record(run: Any, slot: Slot, record: Mapping[str, Any]) -> list[str]:
    """Where the tags differ from what a record, or a signed one, states."""
    wrong = []
    name = str(record["name"])
    # What is signed names the evaluation, whose second one in a run is in the slot `name-…`; only there is a nonce.
    fits = slot.name == name or ("nonce" in record and f"{slot.name}-".startswith(f"{slug(name)}-"))
    # A record that was copied from a run that passed fits the copied tags, and names its run, or says when that began.
    if not is_of_run(record, run) or not fits:
        where = f"run {str(record['run_id'])[:40]}" if record["run_id"] else "a run that began at another time"
        wrong.append(f"its record belongs to {name[:60]} in {where}")
    stated = stated_fields(record)
    # Cut as in `Slot.to_tags`, because the record holds the whole value.
    expected = {each: stated.get(each, "")[:MAX_TAG] for each in FIELDS if each not in NOT_STATED}
    return wrong + [
        f"its tag {each} says {slot[each][:60]!r}, its record {value[:60]!r}"
        for each, value in expected.items()
        if slot[each] != value
    ]


def stated_fields(record: Mapping[str, Any]) -> dict[str, str]:
    """The fields of an evaluation, as its record states them.

    Raises:
        KeyError, TypeError, AttributeError: It is no record.
    """
    besides = {name: record[name] for name in ("counts", "began_at_ms", "checked_at_ms")}
    return {name: str(value) for name, value in {**record["fields"], **besides}.items()}


def _against_report(slot: Slot, report: Report) -> list[str]:
    recorded = {"verdict": report.verdict.value, "proof": report.proof, "labels": str(report.labels.get("digest", ""))}
    wrong = [
        f"its tag {name} says {slot[name]!r}, its report {value!r}"
        for name, value in recorded.items()
        if slot[name] != value
    ]
    if report.verdict.value == "PASS" and report.violations:
        wrong.append(f"its report says PASS and has {plural(report.violations, 'violation')}")
    return wrong
