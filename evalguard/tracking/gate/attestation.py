"""Compare an attestation with files: is it about these files, and did they pass?

evalguard does not sign attestations; use the tool that signed one to verify that it
is genuine. This module checks whether the statement holds for the given files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalguard.core.policy import Verdict
from evalguard.core.report import Report
from evalguard.data.digests import file_sha256, possible_sha256
from evalguard.errors import ConfigError
from evalguard.reporting.intoto import PREDICATE, RESULTS, STATEMENT


@dataclass(frozen=True, slots=True)
class Statement:
    """The content of an attestation.

    Attributes:
        path: The file it was read from.
        result: ``PASSED``, ``WARNED`` or ``FAILED``.
        subjects: Name of each file that was judged → SHA-256.
        annotations: The evaluation: ``evaluation``, ``verdict``, ``proof``,
            ``labels``, ``report_sha256``, ``checked_at_ms``.
    """

    path: Path
    result: str
    subjects: dict[str, str]
    annotations: dict[str, str]


def read(path: str | Path) -> Statement:
    """The statement in a file.

    Raises:
        ConfigError: The file holds no statement, or one of another kind.
    """
    path = Path(path)
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
        kind = (data["_type"], data["predicateType"])
        subjects = {str(item["name"]): str(item["digest"]["sha256"]).lower() for item in data["subject"]}
        predicate = data["predicate"]
        annotations = predicate["configuration"][0]["annotations"]
        statement = Statement(
            path, str(predicate["result"]), subjects, {str(k): str(v) for k, v in annotations.items()}
        )
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        problem = f"{type(error).__name__}: {error}"[:120]
        msg = f"{path}: expected an attestation.json that evalguard wrote (an in-toto test result), found: {problem}"
        raise ConfigError(msg) from error
    if kind != (STATEMENT, PREDICATE):
        msg = f"{path}: expected {STATEMENT} with {PREDICATE}, found {kind[0]!r:.80} with {kind[1]!r:.80}"
        raise ConfigError(msg)
    return statement


def inconsistencies(statement: Statement) -> list[str]:
    """Where the statement contradicts itself, or the report in the same folder."""
    wrong = []
    verdict = statement.annotations.get("verdict", "")
    if verdict not in set(Verdict) or RESULTS[Verdict(verdict)] != statement.result:
        wrong.append(f"result {statement.result} does not fit the verdict {verdict or '(missing)'}")
    # The report is optional here: only the attestation may have been archived with the model.
    report = statement.path.with_name(re.sub(r"^attestation", "report", statement.path.name))
    if report != statement.path and report.is_file():
        if file_sha256(report) != statement.annotations.get("report_sha256"):
            wrong.append(f"{report.name} beside it is another report: its digest differs")
        else:
            wrong += _against_report(statement, report)
    return wrong


def _against_report(statement: Statement, path: Path) -> list[str]:
    """Where the statement differs from the report whose digest it names."""
    try:
        report = Report.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"{path.name} beside it is not a report that this version of evalguard can read: {error}"]
    claimed = {"verdict": report.verdict.value, "proof": report.proof}
    return [
        f"{name} is {statement.annotations.get(name) or 'missing'}, and {value} in {path.name} beside it"
        for name, value in claimed.items()
        if statement.annotations.get(name, "") != value
    ]


def compare(statement: Statement, files: Sequence[str | Path]) -> tuple[dict[str, str], list[str], list[str]]:
    """Find each file among the subjects, by digest; their names are not compared.

    Returns:
        Each file → the subjects with its digest, the files that the statement is not about, and the subjects that
        match none of the files.

    Raises:
        ConfigError: A file cannot be read.
    """
    by_digest = {digest: name for name, digest in statement.subjects.items()}
    matched: dict[str, str] = {}
    unmatched: list[str] = []
    seen: set[str] = set()
    for path in map(Path, files):
        # A file has several digests, because labels from memory are attested by their array, which any file may hold.
        found = [by_digest[digest] for digest in possible_sha256(path) if digest in by_digest]
        seen.update(found)
        if found:
            matched[str(path)] = ", ".join(sorted(set(found)))
        else:
            unmatched.append(str(path))
    return matched, unmatched, sorted(statement.subjects.keys() - seen)
