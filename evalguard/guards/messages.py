"""What exceptions and warnings say, and what software took part."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from typing import Any

from evalguard.core.report import Report


def message(report: Report) -> str:
    """What an exception or a warning says: the verdict, the first rows, the cause, the next step."""
    lines = [f"{report.name}: {report.headline}"]
    lines += [f"  {finding.message}" for finding in report.findings]
    lines += [f"  {wrong_row(row)}" for row in report.wrong_rows[:3]]
    for cause in report.diagnosis[:1]:
        lines += [f"  cause: {cause.cause} ({cause.evidence})", *(f"  {line}" for line in cause.remedy.splitlines())]
    lines += [f"  not proven: {note}" for note in report.not_proven]
    if report.repair and report.repair.get("refused"):
        lines.append(f"  not repaired: {report.repair['refused']}")
    if report.advice:
        lines.append(f"  to prove it: {report.advice}")
    return "\n".join(lines)


def wrong_row(row: Mapping[str, Any]) -> str:
    """``row 7: prediction of sample 12, scored against label 7``."""
    sample = "a row that is no labelled sample" if row["sample"] is None else f"prediction of sample {row['sample']}"
    if row["sample"] is None and row["label"] is not None and "sample_key" not in row:
        sample = "prediction"
    label = "beyond the last label" if row["label"] is None else f"scored against label {row['label']}"
    return f"row {row['row']}: {sample}, {label}"


def versions() -> dict[str, str]:
    """Versions of the software that took part; only what is imported is asked."""
    from importlib import metadata

    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in ("evalguard", "keras", "tensorflow", "tf_keras", "numpy", "mlflow"):
        if name in sys.modules:
            version = getattr(sys.modules[name], "__version__", None)
            found[name] = str(version or metadata.version(name))
    return found


def stacklevel() -> int:
    """Frames up to the first one outside evalguard and Keras' own wrappers."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in {"evalguard", "contextlib"}:
        frame, level = frame.f_back, level + 1
    return max(1, level - 1)
