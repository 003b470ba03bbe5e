"""An in-toto statement of the test result: which files were judged, with which result.

Statement v1, predicate test-result v0.1. The statement is not signed; sign the file.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from evalguard.core.policy import Verdict
from evalguard.core.report import Report
from evalguard.reporting import words
from evalguard.reporting.cases import CaseOutcome, cases

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"
# REPAIRED is a warning. UNPROVEN is a failure and not a warning, as a policy may accept warnings.
RESULTS = {Verdict.PASS: "PASSED", Verdict.REPAIRED: "WARNED", Verdict.UNPROVEN: "FAILED", Verdict.FAIL: "FAILED"}


def to_statement(
    report: Report, subjects: Mapping[str, str], rows: Mapping[str, Mapping[str, Any]] | None = None
) -> str:
    """The statement as deterministic JSON, ending in a newline.

    Args:
        report: What was judged.
        subjects: Name of each file (model, labels, predictions) → its SHA-256
            in hexadecimal.
        rows: ``columns``, name of each array in a table of the rows (sample,
            key, labels) → SHA-256 of its columns, and ``row_shapes``.

    Raises:
        ValueError: There is no subject, or a digest is not a SHA-256.
    """
    report = words.plain(report)
    tests = {name: [test.name for test in cases(report) if test.outcome in of] for name, of in _LISTS.items()}
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": _checked(name, subjects[name])}} for name in sorted(subjects)],
        "predicateType": PREDICATE,
        "predicate": {
            "result": RESULTS[report.verdict],
            "configuration": [_configuration(report, rows or {})],
            **tests,
        },
    }
    if not subjects:
        msg = "to_statement: expected at least one subject (name → sha256), found none; a statement is about files"
        raise ValueError(msg)
    return json.dumps(statement, indent=2, sort_keys=True) + "\n"


_LISTS: Mapping[str, tuple[CaseOutcome, ...]] = {
    "passedTests": ("passed",),
    "warnedTests": ("warned",),
    "failedTests": ("failed", "error"),
}


def _checked(name: str, digest: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", digest):
        msg = f"to_statement: expected a SHA-256 of 64 hexadecimal digits for {name[:60]!r}, found {digest[:80]!r}"
        raise ValueError(msg)
    return digest.lower()


def _about(report: Report) -> dict[str, str]:
    """Model, data, labels and caller, as the report names them."""
    named = (words.model, words.source, words.labels, words.caller)
    return dict(zip(("model", "source", "labels_file", "caller"), (name(report) for name in named), strict=True))


def _configuration(report: Report, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The options as a resource descriptor; its annotations name the evaluation and its report."""
    options = json.dumps(report.options, sort_keys=True).encode()
    return {
        "name": "evalguard/options.json",
        "mediaType": "application/json",
        "digest": {"sha256": hashlib.sha256(options).hexdigest()},
        "content": base64.b64encode(options).decode(),
        "annotations": {
            "evaluation": report.name,
            "verdict": report.verdict.value,
            "proof": report.proof,
            "labels": report.labels.get("digest", ""),
            **({"weights": str(report.model["weights_digest"])} if report.model.get("weights_digest") else {}),
            "checked_at_ms": str(report.checked_at_ms),
            **{name: text for name, text in _about(report).items() if text},
            **{name: dict(stated) for name, stated in rows.items()},
            "report_sha256": hashlib.sha256(report.to_json().encode()).hexdigest(),
        },
    }
