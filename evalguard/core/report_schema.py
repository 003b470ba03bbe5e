"""The JSON Schema of ``report.json``."""

from __future__ import annotations

from typing import Any

from evalguard.core.findings import Reason, Status
from evalguard.core.policy import Proof, Verdict
from evalguard.core.report import SCHEMA_VERSION
from evalguard.core.report_counts import COUNT_NAMES

MODEL = ("name", "class", "path", "uri", "version", "digest", "weights_digest", "function")


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of ``Report.to_dict()``."""
    text, number, whole = {"type": "string"}, {"type": "number"}, {"type": "integer", "minimum": 0}
    # Null where it is not known.
    count = {"type": ["integer", "null"], "minimum": 0}
    known = {"type": ["string", "null"]}
    texts = {"type": "array", "items": text}
    wholes = {"type": "array", "items": {"type": "integer"}}
    free = {"type": "object"}
    finding = _object(
        reason={"enum": [reason.value for reason in Reason]}, count=whole, message=text, rows=wholes, samples=wholes
    )
    wrong = {
        "type": "object",
        "required": ["row", "sample", "label"],
        "properties": {"row": whole, "sample": {"type": ["integer", "null"]}, "label": {"type": ["integer", "null"]}},
    }
    diagnosis = _object(cause=text, certain={"type": "boolean"}, evidence=text, remedy=text, reproduced=text)
    link = _object(link=text, status={"enum": [status.value for status in Status]}, basis=text)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "evalguard report",
        **_object(
            schema_version={"const": SCHEMA_VERSION},
            verdict={"enum": [verdict.value for verdict in Verdict]},
            proof={"enum": [proof.value for proof in sorted(Proof)]},
            counts=_object(**dict.fromkeys(COUNT_NAMES, count)),
            findings={"type": "array", "items": finding},
            wrong_rows={"type": "array", "items": wrong},
            diagnosis={"type": "array", "items": diagnosis},
            hazards=texts,
            not_proven=texts,
            advice=text,
            identities={"type": "array", "items": free},
            chain={"type": "array", "items": link},
            checks=texts,
            method=text,
            source=free,
            labels=free,
            model={
                "type": "object",
                "properties": {
                    **dict.fromkeys(MODEL, known),
                    "parameters": count,
                },
                "additionalProperties": False,
            },
            caller={
                "type": "object",
                "properties": dict.fromkeys(("step", "command", "line"), text),
                "additionalProperties": False,
            },
            calls=wholes,
            options=free,
            impact={"type": ["object", "null"]},
            repair={"type": ["object", "null"]},
            cost=free,
            order={"type": ["object", "null"]},
            plot={"type": ["object", "null"]},
            name=text,
            versions={"type": "object", "additionalProperties": text},
            checked_at_ms=number,
            violations=count,
            headline=text,
        ),
    }


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }
