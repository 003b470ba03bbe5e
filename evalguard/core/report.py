"""The report of one judged call or session: plain data, and its JSON form.

The JSON form is versioned and deterministic: same evidence, same bytes. Times
and costs are data that the caller passes in.
Longer than 300 lines because a report is read back, saved and summed up here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from evalguard.core.files import FOR_ALL, as_bytes, write_whole
from evalguard.core.findings import Cause, Finding, Link, MetricImpact, Status
from evalguard.core.plural import plural
from evalguard.core.policy import Proof, Verdict
from evalguard.core.report_counts import CHECK_OF, counted, grouped, stored_checks, stored_counts
from evalguard.core.visible import visible
from evalguard.errors import ConfigError

SCHEMA_VERSION = 2
# Its reports have `stages` instead of the chain, and count the position of a row as an identity.
BEFORE_CHAIN = 1
# The method of a report where no guarded call was observed.
NO_CALL = "no call"
# Characters of a headline that are printed.
MAX_HEADLINE = 400
# What `save` writes to a folder. Each suffix is there once, so that it also names the form of a single file.
FILES = ("report.json", "report.txt", "report.html", "report.md", "junit.xml", "wrong_rows.csv")


@dataclass(frozen=True, slots=True)
class Report:
    """What was judged, and what may be claimed.

    Attributes:
        verdict: PASS, REPAIRED, UNPROVEN or FAIL.
        proof: How the alignment was established.
        counts: Integers by the names in ``COUNT_NAMES``; None if a count was
            not determined. A count is a lower bound if its check did not cover
            all rows (``checks``).
        findings: What is wrong, each with its first cases.
        wrong_rows: The first misaligned rows: ``row``, ``sample``, ``label``
            and, if keys are known, ``sample_key`` and ``label_key``.
        diagnosis: Likely causes, the most likely first.
        hazards: Facts about the source that may harm the next call.
        not_proven: What was not shown, and what would show it.
        advice: One line of code that would prove it; empty after a PASS.
        identities: What each available identity shows, strongest first.
        chain: The links from the labels to the scored rows, each with its
            evidence.
        checks: Reasons of the checks that could be made.
        method: The guarded call; ``no call`` if none was observed.
        source: Kind, type, location (``place``) and known facts of the source.
        labels: Name, digest and number of the external labels, and the file
            and columns that they were read from.
        model: Name, class and number of parameters of the model; if known,
            its ``path``, ``uri``, registered ``version`` and ``digest`` (of
            the file); and ``weights_digest``, of its weights when the report
            was made, whatever their file or names (not of a ``fit``, whose
            epochs have different ones).
        caller: The step file and the command, or the line of the call.
        calls: Rows that each call contributed.
        options: The options that the verdict depends on.
        impact: Effect of the misalignment on each metric, by its name, or None.
        repair: What was done to the predictions, or None.
        cost: The guard's own cost: seconds, share, bytes.
        order: Order metrics of the delivered samples, or None.
        plot: Runs of the alignment for drawing, or None.
        name: Name of the evaluation.
        versions: Versions of the software that was used.
        checked_at_ms: Milliseconds since the epoch, 0 if not given.
    """

    verdict: Verdict
    proof: Proof
    counts: Mapping[str, int | None]
    findings: tuple[Finding, ...] = ()
    wrong_rows: tuple[Mapping[str, Any], ...] = ()
    diagnosis: tuple[Cause, ...] = ()
    hazards: tuple[str, ...] = ()
    not_proven: tuple[str, ...] = ()
    advice: str = ""
    identities: tuple[Mapping[str, Any], ...] = ()
    chain: tuple[Link, ...] = ()
    checks: tuple[str, ...] = ()
    method: str = "check"
    source: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    caller: Mapping[str, str] = field(default_factory=dict)
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
    def violations(self) -> int | None:
        """Total of all findings' counts: 0 is good; None where no prediction was judged."""
        judged = self.checks or self.findings or self.verdict is not Verdict.UNPROVEN
        return sum(finding.count for finding in self.findings) if judged else None

    def is_at_least(self, count: str) -> bool:
        """Whether a count is a lower bound, because its check did not cover all rows."""
        # A record without a list of checks does not show which were made.
        check = CHECK_OF.get(count)
        return bool(self.checks and check and self.counts[count]) and check not in self.checks

    @property
    def unconfirmed(self) -> bool:
        """Whether nothing shows which row is scored where."""
        return any(link.link == "confirmed" and link.status is Status.NOT_SEEN for link in self.chain)

    @property
    def headline(self) -> str:
        """The verdict and the number that matters most, in one sentence."""
        return headline(self)

    def __repr__(self) -> str:
        # Our own words and numbers only: keys and other user text must not get into a log or a traceback.
        return f"<{type(self).__name__} {self.verdict}: {_in_short(self)}, proof {self.proof}>"

    def __str__(self) -> str:
        return self.to_text().removesuffix("\n")

    @property
    def in_one_line(self) -> str:
        """The headline for a terminal: only visible characters, 400 at most."""
        # A message may contain the name of a type or a file, and such a name may hold terminal escapes.
        return visible(self.headline, MAX_HEADLINE)

    def _repr_html_(self) -> str | None:
        """The page for a notebook; None, so that it shows text, if no renderer is registered."""
        return _shown_as[-1](self, "frame") if _shown_as else None

    def to_text(self) -> str:
        """The report for a terminal, as ``print(report)`` shows it: at most 25 lines, without colour."""
        return self._as(".txt")

    def to_html(self) -> str:
        """The report as one self-contained page."""
        return self._as(".html")

    def to_markdown(self) -> str:
        """The report in Markdown, for a merge request or a wiki; keys and names in it are inert."""
        return self._as(".md")

    def save(self, path: str | Path) -> Path:
        """Write the report to a file, in the form of its suffix, or in every form to a folder.

        Args:
            path: ``….html``, ``….json``, ``….md``, ``….txt``, ``….xml`` (JUnit) or ``….csv`` (the first wrong rows);
                a name without a suffix, or an existing folder, is a folder. Folders are created.

        Returns:
            The path.

        Raises:
            ConfigError: There is no form of that suffix.
            OSError: It could not be written.
        """
        target = Path(path)
        folder = target.is_dir() or not target.suffix or str(path).endswith("/")
        suffixes = [Path(name).suffix for name in FILES]
        if not folder and target.suffix.lower() not in suffixes:
            msg = f"save: expected a name that ends in {', '.join(suffixes)}, or a folder; found {str(path)!r}"
            raise ConfigError(msg)
        files = [target / name for name in FILES] if folder else [target]
        # Rendered before the first is written: an error leaves no half of the files behind.
        contents = {file: self._as(file.suffix.lower()) for file in files}
        for file, content in contents.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, as_bytes(content), FOR_ALL)
        return target

    def _as(self, form: str) -> str:
        """The report in the form of a file with this suffix; its headline where only ``evalguard.core`` is loaded."""
        if form == ".json":
            return self.to_json()
        return _shown_as[-1](self, form) if _shown_as else f"{self.in_one_line}\n"

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data, in the form of the JSON Schema."""
        body = {item.name: _plain(getattr(self, item.name)) for item in fields(self)}
        return {"schema_version": SCHEMA_VERSION, **body, "violations": self.violations, "headline": self.headline}

    def to_json(self) -> str:
        """Deterministic JSON: sorted keys, two spaces, ending in a newline."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Report:
        """The report that ``to_dict`` gave, also in an earlier version.

        Raises:
            ValueError: ``data`` is of another schema version or lacks a field.
        """
        version = data.get("schema_version")
        if version not in {BEFORE_CHAIN, SCHEMA_VERSION}:
            msg = f"expected a report of schema version {SCHEMA_VERSION}, found {version!r}"
            raise ValueError(msg)
        names = {item.name for item in fields(cls)}
        values = {key: _frozen(value) for key, value in data.items() if key in names}
        missing = {"verdict", "proof", "counts"} - values.keys()
        if missing:
            msg = f"not an evalguard report: {', '.join(sorted(missing))} missing"
            raise ValueError(msg)
        values["verdict"], values["proof"] = Verdict(values["verdict"]), Proof(values["proof"])
        values["checks"] = stored_checks(values)
        values["counts"] = stored_counts(values)
        if counts_as_declared(data):
            values["proof"] = Proof.DECLARED
        values["findings"] = tuple(map(Finding.from_dict, values.get("findings", ())))
        values["chain"] = tuple(map(Link.from_dict, values.get("chain", ())))
        values["diagnosis"] = tuple(map(Cause.from_dict, values.get("diagnosis", ())))
        if values.get("impact") is not None:
            values["impact"] = {name: MetricImpact.from_dict(item) for name, item in values["impact"].items()}
        return cls(**values)


def counts_as_declared(data: Mapping[str, Any]) -> bool:
    """Whether a report says identity, and was made when that included what a caller declares."""
    if data.get("schema_version") != BEFORE_CHAIN or data.get("proof") != Proof.IDENTITY:
        return False
    used = {item.get("identity") for item in data.get("identities", ()) if item.get("used")}
    return used == {"position"} or data.get("method") == "check"


# What renders a report in other forms than JSON. `evalguard.reporting` sets it, as core must not import it.
_shown_as: list[Callable[[Report, str], str]] = []


def show_as(render: Callable[[Report, str], str]) -> None:
    """Register the function that renders reports: it takes a suffix of ``FILES``, or ``frame`` for a notebook."""
    _shown_as[:] = [render]


# What is shown at each proof, and what is not: a PASS must not claim more than its proof, an UNPROVEN says what is
# missing. Identity and labels have no second part in a PASS: all that a metric needs is shown.
SHOWN = {
    Proof.IDENTITY: "{predictions} {were} identified",
    Proof.LABELS: "the stream's own targets equal the labels at all {rows}",
    Proof.SAMPLE: "{chosen} of {predictions}, sampled by position, match their labels",
    Proof.DECLARED: "{predictions} {have} the position or key of a label",
    Proof.TRANSPORT: "{predictions} arrived in the order the source emitted them",
    Proof.COUNT: "there are as many predictions as labels ({total})",
    Proof.NONE: "{predictions} {were} observed",
}
NOT_SHOWN = {
    Proof.IDENTITY: "not every row could be observed and paired with a label",
    Proof.SAMPLE: "the others were not checked",
    Proof.DECLARED: "nothing observed shows that the samples are those of the labels",
}
WHICH_SAMPLE = "nothing shows which sample each one is"
WHERE_SCORED = "nothing shows which row is scored where"
WHOSE_LABELS = "nothing shows that these labels are theirs"


def headline(report: Report) -> str:
    """Verdict and the number that matters most, in one sentence."""
    counts, total = report.counts, report.counts["n_predictions"]
    if report.verdict is Verdict.PASS and report.method == "fit":
        validations = f"{plural(len(report.calls), 'validation')} were scored on the same {grouped(total)} samples"
        return f"PASS: {validations} (proof: {report.proof})"
    if report.verdict is Verdict.PASS:
        return f"PASS: {_claim(report)} (proof: {report.proof})"
    if report.verdict is Verdict.REPAIRED:
        done = (report.repair or {}).get("summary", "rows were corrected")
        right = f"the {grouped(total)} rows returned match their labels"
        return f"REPAIRED: {done}; {right if total != 1 else 'the row returned matches its label'}"
    if report.verdict is Verdict.UNPROVEN and not total:
        return "UNPROVEN: no prediction was observed"
    if report.verdict is Verdict.UNPROVEN and report.method == "fit":
        return f"UNPROVEN: nothing shows that {plural(len(report.calls), 'validation')} used the same samples"
    if report.verdict is Verdict.UNPROVEN:
        left = WHERE_SCORED if report.unconfirmed else NOT_SHOWN.get(report.proof, WHICH_SAMPLE)
        if report.proof is Proof.IDENTITY and any(
            link.link == "fed" and link.status is Status.PROVEN for link in report.chain
        ):
            left = WHOSE_LABELS
        return f"UNPROVEN: {_shown(report)}, but {left}"
    if counts["misaligned"]:
        return f"FAIL: {_misaligned(report)} predictions would be scored against another sample's label"
    if report.findings:
        return f"FAIL: {report.findings[0].message}"
    return "FAIL"


def _claim(report: Report) -> str:
    """What a PASS claims: everything a metric needs, or what was shown and what was not."""
    total = report.counts["n_predictions"]
    if report.proof >= Proof.DECLARED and report.proof is not Proof.SAMPLE:
        declared = ", as declared" * (report.proof is Proof.DECLARED)
        every = (
            f"all {grouped(total)} predictions match their labels" if total != 1 else "the prediction matches its label"
        )
        return every + declared
    every = "all " * (report.proof is Proof.TRANSPORT)
    return f"{every}{_shown(report)}; {NOT_SHOWN.get(report.proof, WHICH_SAMPLE)}"


def _shown(report: Report) -> str:
    """The part of ``SHOWN`` with the report's numbers."""
    total = report.counts["n_predictions"]
    return SHOWN[report.proof].format(
        total=grouped(total),
        predictions=counted(total, "prediction"),
        rows=counted(total, "row"),
        were="was" if total == 1 else "were",
        have="has" if total == 1 else "have",
        chosen=grouped(_chosen(report)),
    )


def _in_short(report: Report) -> str:
    """``98 of 100 predictions misaligned``, or the number of predictions and the reasons of the findings."""
    total = counted(report.counts["n_predictions"], "prediction")
    if report.verdict is not Verdict.FAIL:
        return total
    if report.counts["misaligned"]:
        return f"{_misaligned(report)} predictions misaligned"
    found = ", ".join(f"{finding.reason} {finding.count:,}" for finding in report.findings)
    return f"{total} ({found})" if found else total


def _misaligned(report: Report) -> str:
    """``2 of 100``; ``at least 2 of 100`` where rows are unidentified, or only a sample of them was checked."""
    least = "at least " * (bool(_chosen(report)) or report.is_at_least("misaligned"))
    return f"{least}{grouped(report.counts['misaligned'])} of {grouped(report.counts['n_predictions'])}"


def _chosen(report: Report) -> int:
    """Number of sampled rows in a record made before 0.2 that checked only these; else 0."""
    used = (item for item in report.identities if item.get("used"))
    return sum(int(item.get("chosen", 0)) for item in used)


def _plain(value: Any) -> Any:
    """JSON types only: tuples to lists, enums to their values, NumPy to Python, NaN and infinity to None."""
    if isinstance(value, (Finding, Cause, Link, MetricImpact)):
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
    """Text that can be written as UTF-8: a file name in another encoding holds lone surrogates."""
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
