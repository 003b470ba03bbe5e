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
from evalguard.data.digests import file_sha256
from evalguard.errors import ConfigError
from evalguard.reporting.intoto import PREDICATE, RESULTS, STATEMENT
from evalguard.tracking.gate.at_hand import Attested, FilePart, parts_of


@dataclass(frozen=True, slots=True)
class Statement:
    """The content of an attestation.

    Attributes:
        path: The file it was read from.
        result: ``PASSED``, ``WARNED`` or ``FAILED``.
        subjects: Name of each file that was judged → SHA-256.
        annotations: The evaluation: ``evaluation``, ``verdict``, ``proof``,
            ``labels``, ``report_sha256``, ``checked_at_ms``.
        columns: Name of each array in a table of the rows → SHA-256 of its columns.
        row_shapes: Name of each array there whose rows have several axes → shape of a row.
    """

    path: Path
    result: str
    subjects: dict[str, str]
    annotations: dict[str, str]
    columns: dict[str, str]
    row_shapes: dict[str, tuple[int, ...]]


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
        _refuse_twice([str(item["name"]) for item in data["subject"]])
        predicate = data["predicate"]
        annotations = dict(predicate["configuration"][0]["annotations"])
        columns = {str(k): str(v) for k, v in annotations.pop("columns", {}).items()}
        shapes = {str(k): tuple(map(int, v)) for k, v in annotations.pop("row_shapes", {}).items()}
        texts = {str(k): str(v) for k, v in annotations.items()}
        statement = Statement(path, str(predicate["result"]), subjects, texts, columns, shapes)
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        problem = f"{type(error).__name__}: {error}"[:120]
        msg = f"{path}: expected an attestation.json that evalguard wrote (an in-toto test result), found: {problem}"
        raise ConfigError(msg) from error
    if kind != (STATEMENT, PREDICATE):
        msg = f"{path}: expected {STATEMENT} with {PREDICATE}, found {kind[0]!r:.80} with {kind[1]!r:.80}"
        raise ConfigError(msg)
    return statement


def _refuse_twice(names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        msg = f"two subjects of one name: {sorted(names)}"
        raise ValueError(msg)


def report_beside(statement: Statement) -> Path:
    """Where the report of a statement is, if it was kept."""
    return statement.path.with_name(re.sub(r"^attestation", "report", statement.path.name))


def inconsistencies(statement: Statement) -> list[str]:
    """Where the statement contradicts itself, or the report in the same folder."""
    wrong = []
    verdict = statement.annotations.get("verdict", "")
    if verdict not in set(Verdict) or RESULTS[Verdict(verdict)] != statement.result:
        wrong.append(f"result {statement.result} does not fit the verdict {verdict or '(missing)'}")
    # The report is optional here: only the attestation may have been archived with the model.
    report = report_beside(statement)
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


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the given files show.

    Attributes:
        matched: Each file → the subjects that it holds.
        wrong: The files, or arrays in them, that are not what was judged, with the reason.
        unchecked: The subjects that no file holds.
    """

    matched: dict[str, str]
    wrong: list[str]
    unchecked: list[str]


def compare(statement: Statement, files: Sequence[str | Path]) -> Comparison:
    """Find what each file holds among the subjects, by digest and by the names of its arrays.

    Raises:
        ConfigError: A file cannot be read.
    """
    attested = Attested(statement.subjects, statement.columns, statement.row_shapes)
    held = {str(path): parts_of(path, attested) for path in dict.fromkeys(map(Path, files))}
    chosen = _chosen([part for parts in held.values() for part in parts])
    matched = {
        file: ", ".join(sorted({chosen[id(part)] for part in parts if id(part) in chosen})) or "columns of the rows"
        for file, parts in held.items()
        if not all(part.wrong for part in parts)
    }
    wrong = [f"{part.place}: {part.wrong}" for parts in held.values() for part in parts if part.wrong]
    return Comparison(matched, wrong, sorted(statement.subjects.keys() - set(chosen.values())))


def _chosen(parts: Sequence[FilePart]) -> dict[int, str]:
    """The subject that each part is, by the part's id.

    If several subjects have one digest (labels that were predicted without a
    mistake), one part is one subject: it does not stand for the others.
    """
    chosen: dict[int, str] = {}
    # Parts with the fewest choices first, so that none takes the only choice of another.
    for part in sorted(parts, key=lambda part: len(part.subjects)):
        if part.subjects:
            free = [subject for subject in part.subjects if subject not in chosen.values()]
            chosen[id(part)] = (free or part.subjects)[0]
    return chosen
