"""What was not proven, and the line to paste that would prove it."""

from __future__ import annotations

from collections.abc import Mapping

from evalguard.core.columns.chunks import counts_up
from evalguard.core.evidence import Evidence, padding_rows
from evalguard.core.policy import Policy, Proof
from evalguard.core.trace import ALTERED, UNKNOWN


def not_proven(evidence: Evidence, proof: Proof, policy: Policy) -> list[str]:
    """What the report says of it, line by line."""
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
    notes += _not_checked(evidence)
    if proof is Proof.LABELS:
        notes.append("which of several samples with equal labels a row is; label-based metrics are right all the same")
    if proof < Proof.LABELS:
        notes += _why_not_labels(evidence, policy)
    return notes


def _not_checked(evidence: Evidence) -> list[str]:
    """What a sample leaves open."""
    sampled = evidence.sampled
    if sampled is None:
        return []
    if not sampled.comparable:
        return ["content: next to no row that was chosen by its place was recognised, so it says nothing"]
    if not sampled.all_match:
        return []
    one_in_100, two_rows = sampled.miss_probability(), sampled.miss_probability(2 / sampled.n_rows)
    return [
        f"content of each row: {sampled.n_chosen:,} of {sampled.n_rows:,} rows, chosen by their position, are the "
        "samples of their labels; a fault that touches 1 row in 100 at random is missed with probability "
        f"{one_in_100:.2g}, one that touches 2 rows with {two_rows:.2g}"
    ]


def _why_not_labels(evidence: Evidence, policy: Policy) -> list[str]:
    comparison = evidence.comparison
    if not comparison.comparable:
        return [f"which sample each row is: {comparison.why_not}"] if comparison.why_not else []
    if comparison.rows.size:
        return []
    if evidence.repeated.size and policy.duplicate_inputs == "forbid":
        row = int(evidence.repeated[0])
        return [f"that no sample was repeated: {evidence.repeated.size} rows equal an earlier one (first: row {row})"]
    return []


def advice_for(evidence: Evidence, policy: Policy) -> str:
    """One line to paste that would prove (or disprove) the alignment, or fits what was done."""
    option = _fitting_option(evidence, policy)
    if option:
        return option
    if evidence.samples is not None and evidence.used is not None and evidence.used.complete:
        return ""
    if evidence.trace.rows_tagged(ALTERED).size:
        # Nothing could be shown of rows that were written into on their way; the cause says what cures that.
        return ""
    if evidence.comparison.comparable and evidence.repeated.size and policy.duplicate_inputs == "forbid":
        return (
            'evalguard.guard(labels=..., duplicate_inputs="allow")  # if the data holds equal inputs; else reference=x'
        )
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


def _fitting_option(evidence: Evidence, policy: Policy) -> str:
    """The option under which what was found would be in order."""
    n_labels, samples, trace = len(evidence.labels), evidence.samples, evidence.trace
    if samples is None or isinstance(samples, range):
        return ""
    head = samples[:n_labels]
    whole = len(samples) > n_labels and counts_up(head)
    if policy.padding == "forbid" and whole and padding_rows(trace, samples, n_labels):
        return "evalguard.guard(labels=..., padding='trim')  # if the rows after the last label are padding"
    short = 0 < len(samples) < n_labels and bool(samples[0] >= 0)
    if trace.method != "check" and policy.scope == "call" and short and counts_up(samples, int(samples[0])):
        return "evalguard.guard(labels=..., scope='session')  # if several calls answer the labels together"
    return ""
