"""From trace and labels to a report: the one place where a verdict is decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evalguard.core import arrivals, checks, report_fields
from evalguard.core.advice import advice_for, not_proven
from evalguard.core.chain import chain, proof_of
from evalguard.core.checks import MAX_CASES, first_cases
from evalguard.core.confirmed import Scored, as_scored
from evalguard.core.diagnosis import diagnose, keys_of_no_use
from evalguard.core.diagnosis.labelling import class_codes
from evalguard.core.diagnosis.scored import other_labels
from evalguard.core.diagnosis.view import View
from evalguard.core.evidence import Evidence, gather
from evalguard.core.findings import Cause, Finding, Reason
from evalguard.core.hazards import hazards, of_targets
from evalguard.core.label_table import LabelTable
from evalguard.core.plural import plural
from evalguard.core.policy import Policy, Proof, Verdict
from evalguard.core.report import Report
from evalguard.core.report_counts import COUNT_NAMES
from evalguard.core.returned import as_returned
from evalguard.core.row_names import IndexComparison
from evalguard.core.shown_keys import keys_shown
from evalguard.core.stages import stage
from evalguard.core.trace import UNKNOWN, Int64, Trace


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """A report together with the arrays behind it.

    Attributes:
        report: The verdict and everything that explains it.
        samples: Sample of each delivered row, int64; a ``range`` if all rows
            are in position; None if no identity was available.
        trace: What was observed, in the order of the rows that the caller got.
        padding: Number of rows at the end that may be removed.
    """

    report: Report
    samples: Int64 | range | None
    trace: Trace
    padding: int = 0

    @property
    def samples_array(self) -> Int64 | None:
        """``samples`` as an array."""
        return None if self.samples is None else np.asarray(self.samples)


def judge(
    trace: Trace,
    labels: LabelTable,
    policy: Policy,
    *,
    scored: Scored | None = None,
    found: Sequence[Finding] = (),
    doubt: str = "",
    **context: Any,
) -> Judgement:
    """Judge a trace: verdict, findings, diagnosis.

    Args:
        trace: What was delivered.
        labels: The external labels.
        policy: What the caller requires.
        scored: What the caller scores, where it was confirmed.
        found: What was found wrong besides.
        doubt: Why it is not known whether the labels are right.
        **context: Further fields of ``Report`` (name, versions, notes of the
            guard under ``not_proven``, …).
    """
    with keys_shown(policy.show_keys), stage(f"judging {plural(trace.n_rows, 'row')}"):
        return _judge(trace, labels, policy, scored, found, doubt, **context)


def _judge(
    trace: Trace,
    labels: LabelTable,
    policy: Policy,
    scored: Scored | None,
    found: Sequence[Finding],
    doubt: str,
    **context: Any,
) -> Judgement:
    trace = as_returned(trace, labels)
    if scored is not None:
        trace = as_scored(trace, labels, scored)
    evidence = gather(trace, labels, policy)
    proof = proof_of(evidence, policy)
    of_index = labels.by_index or IndexComparison("")
    findings = (*_findings(evidence, proof), *found, *filter(None, (of_index.finding,)))
    findings = (*findings, *(() if scored is None else scored.findings))
    notes = (*context.pop("not_proven", ()), *filter(None, (doubt,)), *not_proven(evidence, proof, policy))
    unseen = trace.unobserved or trace.not_confirmed or trace.stopped
    observed = trace.one_to_one and not (unseen or doubt or evidence.doubt)
    verdict = decide(findings, proof, policy, observed=observed)
    report = Report(
        verdict=verdict,
        proof=proof,
        counts=report_fields.counts(evidence),
        findings=findings,
        wrong_rows=report_fields.wrong_rows(evidence),
        diagnosis=_causes(evidence, findings),
        hazards=(
            *hazards(trace, passed=verdict is Verdict.PASS),
            *of_targets(evidence),
            *filter(None, (of_index.hazard,)),
        ),
        not_proven=tuple(dict.fromkeys(notes)),
        advice="" if verdict is Verdict.PASS else advice_for(evidence, policy),
        identities=report_fields.identities(evidence),
        chain=chain(evidence, proof, findings, with_labels=scored is not None and scored.with_labels),
        checks=report_fields.checks_made(evidence),
        method=trace.method,
        source=report_fields.source(trace),
        labels=_about(labels, by_key=evidence.used is not None and evidence.used.identity == "key"),
        calls=trace.parts or trace.calls,
        options=policy.to_dict(),
        order=report_fields.order(evidence),
        plot=report_fields.plot(evidence),
        **context,
    )
    return Judgement(report, evidence.samples, trace, evidence.padding)


def _causes(evidence: Evidence, findings: Sequence[Finding]) -> tuple[Cause, ...]:
    if not findings:
        # What keeps the keys from showing anything.
        found = keys_of_no_use(View(evidence.trace, evidence.labels, None)) if _no_key_matches(evidence) else None
        return () if found is None else (found,)
    if all(finding.reason is Reason.SCORED for finding in findings):
        return (other_labels(View(evidence.trace, evidence.labels, evidence.samples_array)),)
    if all(finding.reason is Reason.CLASSES for finding in findings):
        view = View(evidence.trace, evidence.labels, evidence.samples_array)
        return (class_codes(view, findings, evidence.comparison.mapping),)
    return diagnose(evidence.trace, evidence.samples_array, evidence.labels)


def _no_key_matches(evidence: Evidence) -> bool:
    """Whether keys were compared and none is known on both sides, and nothing else shows which sample a row is."""
    known = evidence.used is not None and evidence.used.complete
    return not known and any(match.identity == "key" and not match.comparable for match in evidence.matches)


def decide(findings: Sequence[Finding], proof: Proof, policy: Policy, *, observed: bool) -> Verdict:
    """The verdict. No evidence is never a PASS."""
    if findings:
        return Verdict.FAIL
    if observed and proof >= policy.required_proof and proof > Proof.NONE:
        return Verdict.PASS
    return Verdict.UNPROVEN


def _findings(evidence: Evidence, proof: Proof) -> tuple[Finding, ...]:
    trace, n_labels = evidence.trace, len(evidence.labels)
    if not trace.one_to_one:
        return ()
    if evidence.samples is not None:
        found: list[Finding | None] = list(evidence.order)
    else:
        found = [checks.check_count(np.full(evidence.n_rows, UNKNOWN), n_labels, ordered=trace.ordered)]
    found += [checks.check_labels(evidence.comparison), _disagreement(evidence), evidence.weights[0]]
    if evidence.used is None or evidence.used.identity != "content":  # content already is that of the rows received
        found.append(checks.check_altered(trace))
    # Tags show where the order was lost, and a used source has lost its first rows. Both decide only without a stronger
    # proof, which shows that every row is there.
    if proof < Proof.DECLARED:
        # Where rows moved after the model, they may have been put back in an order that nothing shows.
        found += [None if trace.moved else checks.check_transport(trace), checks.check_reuse(trace)]
    # After a stop, rows that are not there yet are not missing.
    open_end = {Reason.COUNT, Reason.MISSING} if trace.stopped and evidence.n_rows <= n_labels else set()
    found += [checks.check_returned(trace, wrong=any(found)), checks.check_computed(trace)]
    sure = tuple(finding for finding in found if finding is not None and finding.reason not in open_end)
    if trace.stopped and trace.ordered and not sure and evidence.samples is not None:
        # The source skipped samples: no row is late or comes twice, but the rows behind are out of position.
        return tuple(filter(None, [checks.check_positions(np.asarray(evidence.samples))]))
    return sure


def _disagreement(evidence: Evidence) -> Finding | None:
    """Two identities name different samples for the same row."""
    trace, labels = evidence.trace, evidence.labels
    if evidence.used is None or isinstance(evidence.samples, range):
        return None
    for match in evidence.matches:
        if match is evidence.used or not (match.observed and match.comparable):
            continue
        other, used = match.samples[: evidence.n_rows], evidence.used.samples[: evidence.n_rows]
        both = arrivals.known(other, len(labels)) & arrivals.known(used, len(labels))
        rows = np.flatnonzero(both & (other != used))
        if evidence.used.identity == "content" and labels.fingerprints is not None and trace.fingerprints is not None:
            # Equal samples are interchangeable: only a different content contradicts.
            rows = rows[labels.fingerprints[other[rows]] != trace.fingerprints[rows]]
        if rows.size:
            message = (
                f"{match.identity} and {evidence.used.identity} name different samples at {plural(rows.size, 'row')} "
                f"(first: row {int(rows[0]):,}, {match.identity} {int(other[rows[0]]):,}, "
                f"{evidence.used.identity} {int(used[rows[0]]):,}): the {match.identity} belongs to another row"
            )
            first = rows[:MAX_CASES]
            return Finding(Reason.IDENTITIES, int(rows.size), message, first_cases(first), first_cases(used[first]))
    return None


def unproven(
    labels: LabelTable | None, policy: Policy, reason: str, *, n_predictions: int | None = None, **context: Any
) -> Report:
    """An UNPROVEN report without evidence: no prediction could be judged, for the reason given."""
    counts: dict[str, int | None] = dict.fromkeys(COUNT_NAMES)
    counts |= {"n_labels": None if labels is None else len(labels), "n_predictions": n_predictions}
    return Report(
        verdict=Verdict.UNPROVEN,
        proof=Proof.NONE,
        counts=counts,
        not_proven=(reason,),
        labels={} if labels is None else _about(labels),
        options=policy.to_dict(),
        **context,
    )


def _about(labels: LabelTable, *, by_key: bool = False) -> dict[str, Any]:
    """The labels, as a report names them.

    Args:
        labels: The labels.
        by_key: Whether their keys identified the rows. If not, the order of the labels matters, and ``digest``, which
            is of pairs of key and label, does not show it.
    """
    order = {} if by_key or labels.keys is None or labels.keyed_by_index else {"values_digest": labels.values_digest}
    return {"name": labels.name, "digest": labels.digest, **order, "n": len(labels), **labels.origin.named()}
