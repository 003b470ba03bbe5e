"""The report of one judged call or session: plain data, and its JSON form.

The JSON form is versioned and deterministic: same evidence, same bytes. Times
and costs are data that the caller passes in.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from evalguard.core.findings import Cause, Finding, MetricImpact
from evalguard.core.policy import Proof, Verdict
from evalguard.core.visible import visible

SCHEMA_VERSION = 1
# Characters of a headline that are printed.
MAX_HEADLINE = 400

COUNT_NAMES = (
    "n_labels",
    "n_predictions",
    "missing",
    "duplicate",
    "foreign",
    "reordered",
    "misaligned",
    "label_disagreements",
    "padding",
    "equal_samples",
)


@dataclass(frozen=True, slots=True)
class Report:
    """What was judged, and what may be claimed.

    Attributes:
        verdict: PASS, REPAIRED, UNPROVEN or FAIL.
        proof: How the alignment was established.
        counts: Exact integers by the names in ``COUNT_NAMES``; of the rows that
            were looked at, where a share of them was (``content``).
        findings: What is wrong, each with its first cases.
        wrong_rows: The first misaligned rows: ``row``, ``sample``, ``label``
            and, where keys are known, ``sample_key`` and ``label_key``.
        diagnosis: Most likely cause first.
        hazards: True now although this call passed.
        not_proven: What was not shown, and what would show it.
        advice: One line to paste that would prove it; empty after a PASS.
        identities: What each identity at hand said, the one used first.
        stages: ``source``, ``transport`` and ``labels``, each ``right``,
            ``wrong`` or ``unknown``.
        method: The guarded call.
        source: Kind, type and known facts of what was streamed.
        labels: Name, digest and number of the external labels.
        calls: Rows that each call contributed.
        options: What the caller demanded.
        impact: What the misalignment did to each metric, by its name, or None.
        repair: What was done to the predictions, or None.
        cost: What guarding cost: seconds, share, bytes.
        order: Order metrics of the delivered samples, or None.
        plot: Runs of the alignment for drawing, or None.
        name: Name of the evaluation.
        versions: Versions of the software that took part.
        checked_at_ms: Milliseconds since the epoch, 0 where not given.
    """

    verdict: Verdict
    proof: Proof
    counts: Mapping[str, int]
    findings: tuple[Finding, ...] = ()
    wrong_rows: tuple[Mapping[str, Any], ...] = ()
    diagnosis: tuple[Cause, ...] = ()
    hazards: tuple[str, ...] = ()
    not_proven: tuple[str, ...] = ()
    advice: str = ""
    identities: tuple[Mapping[str, Any], ...] = ()
    stages: Mapping[str, str] = field(default_factory=dict)
    method: str = "check"
    source: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, Any] = field(default_factory=dict)
    calls: tuple[int, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    impact: Mapping[str, MetricImpact] | None = None
    repair: Mapping[str, Any] | None = None
    cost: Mapping[str, Any] = field(default_factory=dict)
    order: Mapping[str, Any] | None = None
    plot: Mapping[str, Any] | None = None
    name: str = "evaluation"
    versions: Mapping[str, str] = field(default_factory=dict)
    checked_at_ms: int = 0

    @property
    def violations(self) -> int:
        """Total of all findings' counts: 0 is good."""
        return sum(finding.count for finding in self.findings)

    @property
    def headline(self) -> str:
        """The one sentence that says it: verdict, and how many rows are wrong."""
        return headline(self)

    def __repr__(self) -> str:
        # Words and numbers of ours only: 24 attributes, with keys among them, have no place in a log or a traceback.
        return f"<{type(self).__name__} {self.verdict}: {_in_short(self)}, proof {self.proof}>"

    def __str__(self) -> str:
        # A message may name a type or a file: whoever chose that name must not write to the reader's terminal.
        return visible(self.headline, MAX_HEADLINE)

    def _repr_html_(self) -> str | None:
        """In a notebook a report is shown as its page; as text where nothing renders pages."""
        return _shown_as[-1](self) if _shown_as else None

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data, in the form of the JSON Schema."""
        body = {item.name: _plain(getattr(self, item.name)) for item in fields(self)}
        return {"schema_version": SCHEMA_VERSION, **body, "violations": self.violations, "headline": self.headline}

    def to_json(self) -> str:
        """Deterministic JSON: sorted keys, two spaces, ending in a newline."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Report:
        """The report that ``to_dict`` gave.

        Raises:
            ValueError: ``data`` is of another schema version or lacks a field.
        """
        version = data.get("schema_version")
        if version != SCHEMA_VERSION:
            msg = f"expected a report of schema version {SCHEMA_VERSION}, found {version!r}"
            raise ValueError(msg)
        names = {item.name for item in fields(cls)}
        values = {key: _frozen(value) for key, value in data.items() if key in names}
        missing = {"verdict", "proof", "counts"} - values.keys()
        if missing:
            msg = f"not an evalguard report: {', '.join(sorted(missing))} missing"
            raise ValueError(msg)
        values["verdict"], values["proof"] = Verdict(values["verdict"]), Proof(values["proof"])
        values["findings"] = tuple(map(Finding.from_dict, values.get("findings", ())))
        values["diagnosis"] = tuple(map(Cause.from_dict, values.get("diagnosis", ())))
        if values.get("impact") is not None:
            values["impact"] = {name: MetricImpact.from_dict(item) for name, item in values["impact"].items()}
        return cls(**values)


# How a notebook shows a report, set by whoever renders: nothing is imported from here.
_shown_as: list[Callable[[Report], str]] = []


def show_as(page: Callable[[Report], str]) -> None:
    """Let notebooks show reports in this form."""
    _shown_as[:] = [page]


# A PASS says no more than was shown: these say nothing of labels.
CLAIMS = {
    Proof.SAMPLE: (
        "{chosen:,} of {total:,} predictions, chosen by their place, stand at their own label, others were not seen"
    ),
    Proof.TRANSPORT: "all {total:,} predictions came out as the source gave them, which samples those are is not known",
    Proof.COUNT: "there are as many predictions as labels, {total:,}, more is not known",
}


def headline(report: Report) -> str:
    """Verdict and the number that matters most, in one sentence."""
    counts, total = report.counts, report.counts["n_predictions"]
    if report.verdict is Verdict.PASS and report.method == "fit":
        return (
            f"PASS: {len(report.calls)} validations were scored on the same {total:,} samples (proof: {report.proof})"
        )
    if report.verdict is Verdict.PASS:
        claim = CLAIMS.get(report.proof, "all {total:,} predictions stand at their own label")
        return f"PASS: {claim.format(total=total, chosen=_chosen(report))} (proof: {report.proof})"
    if report.verdict is Verdict.REPAIRED:
        done = (report.repair or {}).get("summary", "rows were put right")
        return f"REPAIRED: {done}; the {total:,} rows handed back stand at their own label"
    if report.verdict is Verdict.UNPROVEN and not total:
        return "UNPROVEN: nothing was judged"
    if report.verdict is Verdict.UNPROVEN and report.method == "fit":
        return f"UNPROVEN: whether {len(report.calls)} validations were scored on the same samples is not known"
    if report.verdict is Verdict.UNPROVEN:
        return f"UNPROVEN: nothing wrong was seen in {total:,} predictions, but the proof is only: {report.proof}"
    if counts["misaligned"]:
        return f"FAIL: {_misaligned(report)} predictions would be scored against another sample's label"
    if report.findings:
        return f"FAIL: {report.findings[0].message}"
    return "FAIL"


def _in_short(report: Report) -> str:
    """``98 of 100 predictions misaligned``, or how many there are and what is wrong with them."""
    total = f"{report.counts['n_predictions']:,} predictions"
    if report.verdict is not Verdict.FAIL:
        return total
    if report.counts["misaligned"]:
        return f"{_misaligned(report)} predictions misaligned"
    found = ", ".join(f"{finding.reason} {finding.count:,}" for finding in report.findings)
    return f"{total} ({found})" if found else total


def _misaligned(report: Report) -> str:
    """``2 of 100``; at least so many where some rows were not looked at."""
    least = "at least " * bool(_chosen(report))
    return f"{least}{report.counts['misaligned']:,} of {report.counts['n_predictions']:,}"


def _chosen(report: Report) -> int:
    """Rows chosen by their place, where nothing but they were looked at; else 0."""
    used = (item for item in report.identities if item.get("used"))
    return sum(int(item.get("chosen", 0)) for item in used)


def _plain(value: Any) -> Any:
    """JSON types only: tuples to lists, enums to their values, NumPy to Python, what is no number to None."""
    if isinstance(value, (Finding, Cause, MetricImpact)):
        return _plain(value.to_dict())
    if isinstance(value, Mapping):
        return {_text(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return _text(str(value))
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int)):
        return value
    return _plain(value.tolist()) if isinstance(value, (np.ndarray, np.generic)) else _text(str(value))


def _text(value: str) -> str:
    """Text that can be written as UTF-8: a file name that is none holds lone surrogates."""
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
