"""From trace and labels to a report: the one place where a verdict is decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evalguard.core import checks
from evalguard.core.checks import Finding, LabelComparison, Reason
from evalguard.core.chunks import counts_up, equal, first_true
from evalguard.core.diagnosis import diagnose
from evalguard.core.hazards import hazards
from evalguard.core.labels import Labels
from evalguard.core.matching import Match, SampleComparison, all_matches, compare_sampled, repeated_rows
from evalguard.core.ordering import order_metrics
from evalguard.core.picture import aligned_runs, alignment_runs
from evalguard.core.policy import Policy, Proof, Verdict
from evalguard.core.report import COUNT_NAMES, Report
from evalguard.core.runs import Runs
from evalguard.core.trace import UNKNOWN, Int64, Trace

MAX_WRONG_ROWS = 20
_NONE: Int64 = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """A report together with the arrays behind it.

    Attributes:
        report: What is told to people.
        samples: Sample of each delivered row, int64; a ``range`` where each
            row is told to be in its place without a look at it; None where no
            identity was at hand.
        padding: Rows at the end that may be cut.
    """

    report: Report
    samples: Int64 | range | None
    padding: int = 0

    @property
    def plain(self) -> Int64 | None:
        """``samples`` as an array."""
        return None if self.samples is None else np.asarray(self.samples)


@dataclass(frozen=True, slots=True, eq=False)
class _Evidence:
    """All that was established before deciding."""

    trace: Trace
    labels: Labels
    matches: tuple[Match, ...]
    used: Match | None
    samples: Int64 | range | None
    order: tuple[Finding, ...]
    comparison: LabelComparison
    repeated: Int64
    padding: int
    sampled: SampleComparison | None

    @property
    def plain(self) -> Int64 | None:
        """The samples as an array."""
        return None if self.samples is None else np.asarray(self.samples)

    @property
    def n_rows(self) -> int:
        """Rows that are judged: those delivered, less padding."""
        return self.trace.n_rows - self.padding


def judge(trace: Trace, labels: Labels, policy: Policy, **context: Any) -> Judgement:
    """Decide what may be claimed of a trace.

    Args:
        trace: What was delivered.
        labels: The external labels.
        policy: What the caller demands.
        **context: Further fields of ``Report`` (name, versions, notes of the
            guard under ``not_proven``, …).
    """
    evidence = _gather(trace, labels, policy)
    proof = _proof(evidence, policy)
    findings = _findings(evidence, proof)
    notes = (*context.pop("not_proven", ()), *_not_proven(evidence, proof, policy))
    verdict = decide(findings, proof, policy, observed=not (trace.unobserved or trace.stopped) and trace.one_to_one)
    report = Report(
        verdict=verdict,
        proof=proof.label,
        counts=_counts(evidence),
        findings=tuple(_finding_dict(finding) for finding in findings),
        wrong_rows=_wrong_rows(evidence),
        diagnosis=diagnose(trace, evidence.plain, labels) if findings else (),
        hazards=hazards(trace, passed=verdict is Verdict.PASS),
        not_proven=tuple(dict.fromkeys(notes)),
        advice="" if verdict is Verdict.PASS else _advice(evidence, policy),
        identities=_identities(evidence),
        stages=_stages(evidence, findings),
        method=trace.method,
        source=_source_dict(trace),
        labels={"name": labels.name, "digest": labels.digest, "n": len(labels)},
        calls=trace.calls,
        options=policy.to_dict(),
        order=_order(evidence),
        plot=_plot(evidence),
        **context,
    )
    return Judgement(report, evidence.samples, evidence.padding)


def decide(findings: Sequence[Finding], proof: Proof, policy: Policy, *, observed: bool) -> Verdict:
    """The verdict. No evidence is never a PASS."""
    if findings:
        return Verdict.FAIL
    if observed and proof >= policy.required_proof and proof > Proof.NONE:
        return Verdict.PASS
    return Verdict.UNPROVEN


def _gather(trace: Trace, labels: Labels, policy: Policy) -> _Evidence:
    in_place, sampled = _all_in_place(trace, labels), compare_sampled(trace, labels)
    if in_place:
        told = range(len(labels))
        comparison = _compare(trace, labels, told)
        return _Evidence(trace, labels, in_place, in_place[0], told, (), comparison, _NONE, 0, sampled)
    matches = all_matches(trace, labels)
    used = next((match for match in matches if match.comparable), None)
    samples = used.samples if used is not None and (used.samples != UNKNOWN).any() else None
    # A figure that counts padding cannot be trimmed.
    padding = _padding(trace, samples, len(labels)) if policy.padding == "trim" and trace.ordered else 0
    if padding:
        samples = samples[: trace.n_rows - padding] if samples is not None else None
    order = () if samples is None else _order_findings(samples, len(labels), ordered=trace.ordered)
    comparison = _compare(trace, labels, samples)
    kept = trace.n_rows - padding
    if padding:
        comparison = replace(comparison, rows=comparison.rows[comparison.rows < kept])
    fingerprints = trace.fingerprints
    # Repetitions are told by identity where there is one; equal content matters only without.
    asked = fingerprints is not None and samples is None
    repeated = repeated_rows(fingerprints[:kept]) if asked and fingerprints is not None else np.zeros(0, np.int64)
    return _Evidence(trace, labels, matches, used, samples, order, comparison, repeated, padding, sampled)


def _all_in_place(trace: Trace, labels: Labels) -> tuple[Match, ...]:
    """What each identity at hand says, strongest first, where all say that row ``i`` is sample ``i``; else nothing.

    Some rows at a time: neither a trace in order nor labels that are mapped come into memory as a whole.
    """
    n_labels = len(labels)
    if trace.n_rows != n_labels:
        return ()
    told: list[tuple[str, bool]] = []
    if trace.index is not None:
        index = trace.index
        whole = index.is_range(n_labels) if isinstance(index, Runs) else counts_up(index)
        told.append(("index" if trace.index_source == "stated" else "position", whole))
    for name, ours, theirs in (("key", trace.keys, labels.keys), ("content", trace.fingerprints, labels.fingerprints)):
        if ours is not None and theirs is not None and all(same for _, same in told):
            told.append((name, ours.dtype.kind == theirs.dtype.kind and equal(ours, theirs)))
    if not all(same for _, same in told):
        return ()
    return tuple(Match(name, _NONE, complete=True) for name, _ in reversed(told))


def _order_findings(samples: Int64, n_labels: int, *, ordered: bool) -> tuple[Finding, ...]:
    """What is wrong with which samples came when; where order does not matter, with which came at all."""
    if ordered:
        return checks.order_findings(samples, n_labels)
    # Sorted, foreign rows last: nothing is out of order, and row numbers mean nothing.
    known = checks.known(samples, n_labels)
    arranged = np.concatenate([np.sort(samples[known]), samples[~known]])
    return tuple(replace(finding, rows=()) for finding in checks.order_findings(arranged, n_labels))


def _compare(trace: Trace, labels: Labels, samples: Int64 | range | None) -> LabelComparison:
    """The stream's targets against the label each row will be scored against, or is."""
    if trace.ordered or isinstance(samples, range):
        return checks.compare_labels(trace.targets, labels.values)
    comparison = checks.compare_labels(trace.targets, labels.values, samples)
    if samples is None and comparison.rows.size and checks.same_multiset(trace.targets, labels.values):
        why = "the targets are the labels in another order, which no figure minds; which sample each is, is not known"
        return LabelComparison(False, np.zeros(0, np.int64), why)
    return comparison


def _padding(trace: Trace, samples: Int64 | None, n_labels: int) -> int:
    """Rows after the last label, if each is a known sample or a declared dummy."""
    extra = trace.n_rows - n_labels
    if extra <= 0:
        return 0
    declared = trace.padding[n_labels:] if trace.padding is not None else np.zeros(extra, dtype=bool)
    if samples is not None:
        copies = checks.known(samples, n_labels)[n_labels:]
    elif trace.fingerprints is not None:
        copies = np.isin(trace.fingerprints[n_labels:], trace.fingerprints[:n_labels])
    else:
        copies = np.zeros(extra, dtype=bool)
    return extra if (declared | copies).all() else 0


def _proof(evidence: _Evidence, policy: Policy) -> Proof:
    trace = evidence.trace
    if evidence.used is not None and evidence.used.complete and evidence.samples is not None:
        return Proof.IDENTITY
    counted = evidence.n_rows == len(evidence.labels)
    if not counted or trace.unobserved:
        return Proof.COUNT if counted else Proof.NONE
    distinct = trace.fingerprints is not None and not evidence.repeated.size
    if (
        evidence.comparison.comparable
        and not evidence.comparison.rows.size
        and (distinct or policy.equal_samples == "allow")
    ):
        return Proof.LABELS
    if evidence.sampled is not None and evidence.sampled.right:
        return Proof.SAMPLE
    return Proof.TRANSPORT if trace.transport_intact else Proof.COUNT


def _findings(evidence: _Evidence, proof: Proof) -> tuple[Finding, ...]:
    trace, n_labels = evidence.trace, len(evidence.labels)
    if not trace.one_to_one:
        return ()
    if evidence.samples is not None:
        found: list[Finding | None] = list(evidence.order)
    else:
        found = [checks.check_count(np.full(evidence.n_rows, UNKNOWN), n_labels)]
    found.append(checks.check_labels(evidence.comparison))
    found += [_disagreement(evidence), _sampled_finding(evidence)]
    if evidence.used is None or evidence.used.identity != "content":  # content is that of the very rows fed
        found.append(checks.check_altered(trace))
    # Tags say where order was lost; they decide only where nothing stronger says that it was kept.
    weak = proof < Proof.LABELS
    if weak:
        found.append(checks.check_transport(trace))
    # A source that had gone on would not have its first row, and its last one, in their places.
    if proof < Proof.SAMPLE:
        found.append(checks.check_reuse(trace))
    # What a call that was stopped did not come to is not known.
    open_end = {Reason.COUNT, Reason.MISSING} if trace.stopped and evidence.n_rows <= n_labels else set()
    return tuple(finding for finding in found if finding is not None and finding.reason not in open_end)


def _disagreement(evidence: _Evidence) -> Finding | None:
    """What the source says of a row and what the row contains are two different samples."""
    trace, labels = evidence.trace, evidence.labels
    if evidence.used is None or isinstance(evidence.samples, range):
        return None
    for match in evidence.matches:
        if match is evidence.used or match.identity == "position" or not match.comparable:
            continue
        other, used = match.samples[: evidence.n_rows], evidence.used.samples[: evidence.n_rows]
        both = checks.known(other, len(labels)) & checks.known(used, len(labels))
        rows = np.flatnonzero(both & (other != used))
        if evidence.used.identity == "content" and labels.fingerprints is not None and trace.fingerprints is not None:
            # Equal samples are interchangeable: only a different content contradicts.
            rows = rows[labels.fingerprints[other[rows]] != trace.fingerprints[rows]]
        if rows.size:
            message = (
                f"{match.identity} rides with the wrong row: at {rows.size} rows it names another sample "
                f"than the {evidence.used.identity} does (row {int(rows[0])}: {match.identity} says "
                f"{int(other[rows[0]])}, {evidence.used.identity} says {int(used[rows[0]])})"
            )
            cases = tuple(int(row) for row in rows[: checks.MAX_CASES])
            return Finding(Reason.IDENTITIES, int(rows.size), message, cases, tuple(int(used[row]) for row in cases))
    return None


def _sampled_finding(evidence: _Evidence) -> Finding | None:
    """Rows chosen by their place that are not the sample of it."""
    sampled, used = evidence.sampled, evidence.used
    if sampled is None or not sampled.comparable or not sampled.wrong.size:
        return None
    of = f"of {sampled.n_chosen:,} rows chosen by their place"
    if evidence.samples is None or used is None:
        message = (
            f"at least {sampled.wrong.size:,} rows are not the samples of their labels ({of}; no other was looked at)"
        )
        return Finding(Reason.SAMPLED, int(sampled.wrong.size), message, _first_cases(sampled.wrong))
    # A row that is said to be out of place is a finding already.
    rows = sampled.wrong[np.asarray(evidence.samples)[sampled.wrong] == sampled.wrong]
    if not rows.size:
        return None
    message = (
        f"{used.identity} rides with the wrong row: at {rows.size:,} {of} it names the sample of the row's place, "
        f"which the row does not contain (first: row {int(rows[0])})"
    )
    return Finding(Reason.IDENTITIES, int(rows.size), message, _first_cases(rows), _first_cases(rows))


def _first_cases(rows: Int64) -> tuple[int, ...]:
    return tuple(int(row) for row in rows[: checks.MAX_CASES])


def _counts(evidence: _Evidence) -> dict[str, int]:
    counts = dict.fromkeys(COUNT_NAMES, 0)
    n_labels = len(evidence.labels)
    counts["n_labels"] = n_labels
    counts["n_predictions"] = evidence.n_rows
    counts["padding"] = evidence.padding
    counts["label_disagreements"] = int(evidence.comparison.rows.size)
    if evidence.used is not None and evidence.used.identity == "content":
        counts["equal_samples"] = evidence.labels.equal_samples
    samples = evidence.samples
    if samples is None:
        known = evidence.trace.one_to_one and not evidence.trace.stopped
        counts["missing"] = max(0, n_labels - evidence.n_rows) if known else 0
        if evidence.sampled is not None and evidence.sampled.comparable:
            counts["misaligned"] = int(evidence.sampled.wrong.size)
        return counts
    by_reason = {finding.reason: finding.count for finding in evidence.order}
    for reason in (Reason.MISSING, Reason.DUPLICATE, Reason.FOREIGN, Reason.REORDERED):
        counts[reason.value] = by_reason.get(reason, 0)
    if evidence.trace.stopped:
        counts["missing"] = 0
    if evidence.trace.ordered and not isinstance(samples, range):
        counts["misaligned"] = int(np.count_nonzero(checks.misaligned(samples)))
    return counts


def _finding_dict(finding: Finding) -> dict[str, Any]:
    return {
        "reason": finding.reason.value,
        "count": finding.count,
        "message": finding.message,
        "rows": list(finding.rows),
        "samples": list(finding.samples),
    }


def _wrong_rows(evidence: _Evidence) -> tuple[dict[str, Any], ...]:
    n_labels = len(evidence.labels)
    if evidence.samples is None:
        seen = evidence.sampled
        rows = seen.wrong if seen is not None and seen.comparable and seen.wrong.size else evidence.comparison.rows
        return tuple({"row": int(row), "sample": None, "label": int(row)} for row in rows[:MAX_WRONG_ROWS])
    if not evidence.trace.ordered:
        rows = evidence.comparison.rows[:MAX_WRONG_ROWS]
        return tuple({"row": int(row), "sample": (at := int(evidence.samples[row])), "label": at} for row in rows)
    if isinstance(evidence.samples, range):
        return ()
    rows = first_true(checks.misaligned(evidence.samples), MAX_WRONG_ROWS)
    return tuple(_wrong_row(int(row), int(evidence.samples[row]), n_labels, evidence) for row in rows)


def _wrong_row(row: int, sample: int, n_labels: int, evidence: _Evidence) -> dict[str, Any]:
    known = 0 <= sample < n_labels
    entry: dict[str, Any] = {
        "row": row,
        "sample": sample if known else None,
        "label": row if row < n_labels else None,
    }
    keys = evidence.labels.keys
    if keys is not None:
        carried = evidence.trace.keys
        if known:
            entry["sample_key"] = str(keys[sample])
        elif carried is not None:
            entry["sample_key"] = str(carried[row])
        if row < n_labels:
            entry["label_key"] = str(keys[row])
    return entry


def _identities(evidence: _Evidence) -> tuple[dict[str, Any], ...]:
    found = [_identity_dict(match, evidence) for match in evidence.matches]
    sampled = evidence.sampled
    if sampled is not None:
        says = f"{sampled.wrong.size:,} of {sampled.n_chosen:,} rows chosen by their place are another sample"
        if not sampled.comparable:
            says = "nothing: next to no chosen row was recognised"
        elif sampled.right:
            says = f"{sampled.n_chosen:,} rows chosen by their place are in it"
        used = evidence.samples is None and sampled.comparable
        found.append({"identity": "sample", "says": says, "used": used, "chosen": sampled.n_chosen})
    return tuple(found)


def _identity_dict(match: Match, evidence: _Evidence) -> dict[str, Any]:
    if isinstance(evidence.samples, range):
        return {"identity": match.identity, "says": "aligned", "used": match is evidence.used}
    n_labels = len(evidence.labels)
    samples = match.samples[: evidence.n_rows]
    used, ordered = match is evidence.used, evidence.trace.ordered
    found = evidence.order if used else _order_findings(samples, n_labels, ordered=ordered)
    if not match.comparable:
        says = "nothing: next to no row was recognised"
    elif not match.complete:
        says = f"{int((samples == UNKNOWN).sum())} rows not named"
    elif not found:
        says = "aligned"
    else:
        says = f"{int(np.count_nonzero(checks.misaligned(samples)))} rows misaligned"
    return {"identity": match.identity, "says": says, "used": used}


def _stages(evidence: _Evidence, findings: Sequence[Finding]) -> dict[str, str]:
    """Where order was lost: inside the source, on the way, or in the labels."""
    intact = evidence.trace.transport_intact
    transport = "unknown" if intact is None else ("right" if intact else "wrong")
    if evidence.samples is None:
        seen = evidence.sampled
        source = "wrong" if seen is not None and seen.comparable and seen.wrong.size and intact else "unknown"
    elif evidence.order:
        source = "wrong" if intact else "unknown"
    else:
        source = "right"
    reasons = {finding.reason for finding in findings}
    if Reason.LABELS in reasons and source == "right":
        labels = "wrong"
    elif evidence.comparison.comparable and not evidence.comparison.rows.size:
        labels = "right"
    else:
        labels = "unknown"
    return {"source": source, "transport": transport, "labels": labels}


def _order(evidence: _Evidence) -> dict[str, Any] | None:
    """Order metrics of a stream that is not in order."""
    if evidence.samples is None or not evidence.order or not evidence.trace.ordered:
        return None
    trace = evidence.trace
    sizes = np.asarray(trace.batch_sizes) if not evidence.padding else None
    return order_metrics(np.asarray(evidence.samples), len(evidence.labels), sizes)


def _plot(evidence: _Evidence) -> dict[str, Any] | None:
    if evidence.samples is None or not evidence.trace.ordered:
        return None
    n_labels = len(evidence.labels)
    if isinstance(evidence.samples, range):
        return aligned_runs(n_labels)
    whole = not evidence.order and len(evidence.samples) == n_labels and bool((evidence.samples >= 0).all())
    return aligned_runs(n_labels) if whole else alignment_runs(evidence.samples, n_labels)


def _source_dict(trace: Trace) -> dict[str, Any]:
    state = trace.source
    return {
        "kind": state.kind,
        "type": state.type_name,
        "pulled": state.pulled,
        "delivered": sum(item.delivered for item in trace.sources),
        "started": state.started,
        "handed_before": state.handed_before,
        "facts": dict(state.facts),
    }


def _not_proven(evidence: _Evidence, proof: Proof, policy: Policy) -> list[str]:
    notes: list[str] = []
    if evidence.trace.stopped:
        rows, total = evidence.trace.n_rows, len(evidence.labels)
        notes.append(f"stopped after {rows:,} of {total:,} rows (fail_fast): {evidence.trace.stopped}; no row after")
    if evidence.trace.unobserved:
        notes.append(f"not every row was observed: {evidence.trace.unobserved}")
    for match in evidence.matches:
        if not match.comparable:
            notes.append(f"{match.identity}: next to no row was recognised, so it says nothing")
            fed, known = evidence.trace.spec, evidence.labels.spec
            if match.identity == "content" and fed != known:
                notes.append(f"content: the model is fed {', '.join(fed)}, the fingerprints are of {', '.join(known)}")
        elif not match.complete:
            notes.append(f"{match.identity}: {int((match.samples == UNKNOWN).sum())} rows were not named by the source")
    notes += _not_looked_at(evidence)
    if proof is Proof.LABELS:
        notes.append("which of several samples with equal labels a row is; label-based metrics are right all the same")
    if proof < Proof.LABELS:
        notes += _why_not_labels(evidence, policy)
    return notes


def _not_looked_at(evidence: _Evidence) -> list[str]:
    """What a sample leaves open."""
    sampled = evidence.sampled
    if sampled is None:
        return []
    if not sampled.comparable:
        return ["content: next to no row that was chosen by its place was recognised, so it says nothing"]
    if not sampled.right:
        return []
    return [
        f"content of each row: {sampled.n_chosen:,} of {sampled.n_rows:,} rows, chosen by their place, are the samples "
        "of their labels; a fault that touches 1 row in 100 at random is missed with probability "
        f"{sampled.missed():.2g}, one that touches 2 rows with {sampled.missed(2 / sampled.n_rows):.2g}"
    ]


def _why_not_labels(evidence: _Evidence, policy: Policy) -> list[str]:
    comparison = evidence.comparison
    if not comparison.comparable:
        return [f"which sample each row is: {comparison.why_not}"] if comparison.why_not else []
    if comparison.rows.size:
        return []
    if evidence.repeated.size and policy.equal_samples == "forbid":
        row = int(evidence.repeated[0])
        return [f"that no sample was repeated: {evidence.repeated.size} rows equal an earlier one (first: row {row})"]
    return []


def _advice(evidence: _Evidence, policy: Policy) -> str:
    """One line to paste that would prove (or disprove) the alignment, or fits what was done."""
    option = _fitting_option(evidence, policy)
    if option:
        return option
    if evidence.samples is not None and evidence.used is not None and evidence.used.complete:
        return ""
    if evidence.comparison.comparable and evidence.repeated.size and policy.equal_samples == "forbid":
        return 'evalguard.guard(labels=..., equal_samples="allow")  # if the data holds equal samples; else reference=x'
    if evidence.sampled is not None and evidence.sampled.comparable:
        return (
            'evalguard.guard(labels=..., reference=..., content="all")  # each row; or require="sample" if some will do'
        )
    kind = evidence.trace.source.kind
    if evidence.labels.keys is not None and evidence.trace.keys is None:
        return 'evalguard.guard(labels=..., key="id")  # name of the entry of x that holds the key'
    lines: Mapping[str, str] = {
        "generator": "evalguard.guard(labels=..., reference=x_test)  # inputs in label order",
        "pydataset": "def sample_indices(self, batch_index): ...  # label rows of that batch; or reference=x_test",
        "tf.data": "labels = evalguard.Labels.collect(dataset)  # labels and inputs in one pass; or reference=x_test",
    }
    return lines.get(kind, "evalguard.guard(labels=..., reference=x_test)  # inputs in label order")


def _fitting_option(evidence: _Evidence, policy: Policy) -> str:
    """The option under which what was found would be in order."""
    n_labels, samples, trace = len(evidence.labels), evidence.samples, evidence.trace
    if samples is None or isinstance(samples, range):
        return ""
    head = samples[:n_labels]
    whole = len(samples) > n_labels and counts_up(head)
    if policy.padding == "forbid" and whole and _padding(trace, samples, n_labels):
        return "evalguard.guard(labels=..., padding='trim')  # if the rows after the last label are padding"
    short = 0 < len(samples) < n_labels and bool(samples[0] >= 0)
    if trace.method != "check" and policy.scope == "call" and short and counts_up(samples, int(samples[0])):
        return "evalguard.guard(labels=..., scope='session')  # if several calls answer the labels together"
    return ""


def unproven(labels: Labels | None, policy: Policy, reason: str, **context: Any) -> Report:
    """A report without evidence: nothing could be observed or judged, for the reason given."""
    counts = dict.fromkeys(COUNT_NAMES, 0)
    counts["n_labels"] = 0 if labels is None else len(labels)
    about = {} if labels is None else {"name": labels.name, "digest": labels.digest, "n": len(labels)}
    return Report(
        verdict=Verdict.UNPROVEN,
        proof=Proof.NONE.label,
        counts=counts,
        not_proven=(reason,),
        labels=about,
        options=policy.to_dict(),
        **context,
    )
