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
from evalguard.tracking.record import RECORD_FILE, record_digest
from evalguard.tracking.slots import FIELDS, FOLDER, MAX_TAG, Slot
from evalguard.tracking.store import Store


def contradictions(store: Store, run_id: str, slot: Slot, require: str) -> list[str]:
    """The differences between tag, record and report; empty if they agree.

    Args:
        store: The store of the run.
        run_id: The run.
        slot: The tags of the evaluation.
        require: The weakest proof that may pass.
    """
    folder = f"{FOLDER}/{slot.name}"
    try:
        record_text = store.content(run_id, f"{folder}/{RECORD_FILE}")
        report_text = store.content(run_id, f"{folder}/report.json")
    except (LookupError, SinkError, OSError) as error:
        return [f"no record: {error}. A tag alone proves nothing; if the files did not arrive, run `evalguard replay`"]
    # Any user of the server can edit a tag (`set_tag`) or overwrite a file (`log_artifact`) without a trace. Only a
    # change of both, with a digest that fits, is not detected.
    if record_digest(record_text) != slot["record"]:
        return [f"the digest in its tag is not that of {folder}/{RECORD_FILE}: one of them was changed"]
    try:
        record = json.loads(record_text)
        if record_digest(report_text) != record["files"]["report.json"]:
            return [f"{folder}/report.json is not the report that was recorded"]
        data = json.loads(report_text)
        report = Report.from_dict(data)
        if counts_as_declared(data) and slot["proof"] == "identity":
            if report.proof < require:
                return [f"its proof is each row's position in an array, which is declared: weaker than {require}"]
            report = replace(report, proof=Proof.IDENTITY)
        return [*_against_record(run_id, slot, record), *_against_report(slot, report)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"{folder}: not a record that this version of evalguard can read: {error}"]


def _against_record(run_id: str, slot: Slot, record: Mapping[str, Any]) -> list[str]:
    wrong = []
    # A record that was copied from a run that passed fits the copied tag, but names its own run.
    if record["run_id"] != run_id or record["name"] != slot.name:
        wrong.append(f"its record belongs to {record['name']} in run {record['run_id']}")
    recorded = {**record["fields"], **{name: record[name] for name in ("counts", "began_at_ms", "checked_at_ms")}}
    # Cut as in `Slot.to_tags`, because the record holds the whole value.
    expected = {name: str(recorded.get(name, ""))[:MAX_TAG] for name in FIELDS if name not in {"record", "envelope"}}
    wrong += [
        f"its tag {name} says {slot[name][:60]!r}, its record {value[:60]!r}"
        for name, value in expected.items()
        if slot[name] != value
    ]
    return wrong


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
