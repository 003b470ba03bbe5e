"""The chain of custody: on what each link from the labels to the scored rows rests.

``labels → fed → computed → returned → confirmed``. The proof is named by the
weakest of what was fed and what was returned; the other links are declared by
nature and listed, so that a PASS names its assumptions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evalguard.core.evidence import Evidence
from evalguard.core.findings import Finding, Link, Reason, Status
from evalguard.core.label_table import LabelTable
from evalguard.core.policy import Policy, Proof
from evalguard.core.row_names import OF_PANDAS
from evalguard.core.trace import ROW_WISE

# What breaks a link; every other finding breaks `fed`.
BREAKS: Mapping[str, frozenset[Reason]] = {
    "labels": frozenset({Reason.LABELS, Reason.CLASSES}),
    "computed": frozenset({Reason.COMPUTED}),
    "returned": frozenset({Reason.RETURNED}),
    "confirmed": frozenset({Reason.SCORED}),
}
# What is said of the order of rows: where they moved after the model, that is no fault of the source.
OF_ORDER = frozenset({Reason.REORDERED, Reason.DUPLICATE, Reason.MISSING, Reason.TRANSPORT})
FED_BY = {
    "content": "each row that entered the model was recognised by its content",
    "key": "a key came with each row",
    "index": "the source stated the label row of each row",
    "position": "row i of the array is sample i",
    "part": "each call answers the label rows that g.part names",
}
BY_REFERENCE = "label i belongs to row i of the reference"
IN_PART = "; of each row only what `fingerprint=` returns was compared, the rest is assumed to belong to it"
FINISHED = "the {} passed to check names the sample of the row"
OWN_TARGETS = "x and y of a batch belong together, and y equals the label at every row"
DECLARED_ROW_WISE = "row j of each output is computed from row j that was fed"
TESTED = "one batch, computed again in another order and in two halves, gave the same rows"
SCORED = "what was returned is scored against `labels`, in this order"
JOINED = "each row is scored against the label of its sample, as after a join, wherever it stands (order: any)"
OWN_Y = "the model scored the stream's own y"
WEIGHTED = "the model scored the stream's own y, each row with the sample weight of its label"
CONFIRMED = "each scored row was returned by a guarded call and belongs to its label"


def proof_of(evidence: Evidence, policy: Policy) -> Proof:
    """The proof: named by the weakest link."""
    trace, used = evidence.trace, evidence.used
    counted = evidence.n_rows == len(evidence.labels)
    if used is not None and used.complete and evidence.samples is not None:
        observed = used.observed and trace.method != "check"
        fed = Proof.IDENTITY if observed else max(_without_samples(evidence, policy), Proof.DECLARED)
    elif not counted or trace.unobserved:
        fed = Proof.COUNT if counted else Proof.NONE
    else:
        fed = _without_samples(evidence, policy)
    unseen = trace.not_returned or trace.not_confirmed
    return min(fed, Proof.COUNT if counted else Proof.NONE) if unseen else fed


def _without_samples(evidence: Evidence, policy: Policy) -> Proof:
    """The proof where nothing observed says which sample a row is."""
    trace, comparison = evidence.trace, evidence.comparison
    distinct = trace.fingerprints is not None and not evidence.repeated.size
    equal = comparison.comparable and not comparison.rows.size
    # An identity that was asked for is not replaced: y does not identify rows that content or key do not.
    if (
        equal
        and trace.targets is not None
        and not evidence.asked
        and trace.pairs_x_with_y
        and not trace.unobserved
        and (distinct or policy.duplicate_inputs == "allow")
    ):
        return Proof.LABELS
    return Proof.TRANSPORT if trace.transport_intact else Proof.COUNT


def chain(
    evidence: Evidence, proof: Proof, findings: Sequence[Finding], *, with_labels: bool = False
) -> tuple[Link, ...]:
    """The links, in order from the labels to the scored rows."""
    trace = evidence.trace
    links = (
        _labels(evidence),
        _fed(evidence, proof),
        _computed(evidence),
        _returned(evidence),
        _confirmed(evidence, with_labels=with_labels),
    )
    # What is out of order was put there last by the caller, or by what returned the rows.
    moved_by = "confirmed" if trace.rearranged else "returned" if trace.moved else "fed"
    elsewhere = frozenset.union(*BREAKS.values(), OF_ORDER)
    breaks = {**BREAKS, "fed": frozenset(Reason) - elsewhere}
    breaks[moved_by] |= OF_ORDER
    if any(item.reason in breaks["fed"] for item in findings):
        # Targets that are not those of the labels came with rows that are not those of the samples.
        del breaks["labels"]
    return tuple(_broken(link, findings, breaks.get(link.link, frozenset())) for link in links)


def _broken(link: Link, findings: Sequence[Finding], breaks: frozenset[Reason]) -> Link:
    message = next((item.message for item in findings if item.reason in breaks), "")
    return Link(link.link, Status.BROKEN, message) if message else link


def _labels(evidence: Evidence) -> Link:
    labels = evidence.labels
    if evidence.used is not None and evidence.used.identity == "content":
        part = evidence.trace.in_part
        return Link("labels", Status.DECLARED if part else Status.PROVEN, BY_REFERENCE + IN_PART * part)
    if labels.keys is not None:
        return Link("labels", Status.PROVEN, "each label has the key of its sample" + _whose(labels))
    return Link("labels", Status.DECLARED, f"row i of {labels.name} is the label of sample i")


def _whose(labels: LabelTable) -> str:
    return f" (key: {OF_PANDAS})" if labels.keyed_by_index else ""


def _fed(evidence: Evidence, proof: Proof) -> Link:
    used, finished = evidence.used, evidence.trace.method == "check"
    if used is not None and used.complete and evidence.samples is not None:
        if finished:
            return Link("fed", Status.DECLARED, FINISHED.format(used.identity))
        if proof is Proof.LABELS:
            return Link("fed", Status.DECLARED, f"{OWN_TARGETS}; {FED_BY[used.identity]}")
        by = FED_BY[used.identity] + (_whose(evidence.labels) if used.identity == "key" else "")
        return Link("fed", Status.PROVEN if used.observed else Status.DECLARED, by)
    if proof is Proof.LABELS:
        return Link("fed", Status.DECLARED, OWN_TARGETS)
    return Link("fed", Status.NOT_SEEN, evidence.trace.unobserved or "nothing shows which sample each row is")


def _computed(evidence: Evidence) -> Link:
    trace = evidence.trace
    if trace.method == "check":
        return Link("computed", Status.NOT_APPLICABLE, "no model was called")
    if not trace.one_to_one or trace.no_output_rows:
        return Link("computed", Status.NOT_SEEN, trace.unobserved or "the model's outputs have no rows")
    if trace.verified == ROW_WISE:
        return Link("computed", Status.PROVEN, TESTED)
    return Link("computed", Status.DECLARED, DECLARED_ROW_WISE + (trace.verified and f" ({trace.verified})"))


def _returned(evidence: Evidence) -> Link:
    trace = evidence.trace
    if trace.method == "check":
        return Link("returned", Status.NOT_APPLICABLE, "no model was called")
    if not trace.ordered:
        return Link("returned", Status.NOT_APPLICABLE, f"{trace.method} returns metrics, not rows")
    if trace.not_returned:
        return Link("returned", Status.NOT_SEEN, trace.not_returned)
    return Link("returned", Status.PROVEN, "what the caller got is what the model computed, row by row")


def _confirmed(evidence: Evidence, *, with_labels: bool) -> Link:
    trace, weights = evidence.trace, evidence.weights[1]
    if trace.not_confirmed:
        return Link("confirmed", Status.NOT_SEEN, trace.not_confirmed)
    if trace.joined:
        return Link("confirmed", Status.DECLARED, JOINED)
    if not trace.ordered:
        if evidence.labels.weights is None:
            return Link("confirmed", Status.NOT_APPLICABLE, OWN_Y)
        return (
            Link("confirmed", Status.DECLARED, f"{OWN_Y}; {weights}")
            if weights
            else Link("confirmed", Status.PROVEN, WEIGHTED)
        )
    if not trace.confirmed:
        return Link("confirmed", Status.DECLARED, "; ".join(filter(None, (SCORED, weights))))
    if with_labels:
        return Link("confirmed", Status.PROVEN, f"{CONFIRMED}; the labels passed to confirm are the guard's")
    return Link("confirmed", Status.DECLARED, f"{CONFIRMED}; that it is scored against `labels` is assumed")
