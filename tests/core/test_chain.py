"""The chain of custody: on what each link rests, and the proof that follows."""

from dataclasses import replace

import numpy as np
import pytest

from evalguard.core.findings import Status
from evalguard.core.judge import judge
from evalguard.core.label_table import LabelTable
from evalguard.core.policy import Policy, Proof, Verdict
from evalguard.core.report import Report
from evalguard.core.trace import ROW_WISE, Trace
from tests.core.traces import ALIGNED, SWAPPED, N, labels_for, trace_of


def report_of(trace, evidence=(), **options):
    return judge(trace, labels_for(N, evidence), Policy(**options)).report


def statuses(report):
    return {link.link: link.status for link in report.chain}


@pytest.mark.parametrize(
    ("evidence", "labels", "fed", "proof"),
    [
        ({"content"}, Status.PROVEN, Status.PROVEN, Proof.IDENTITY),
        ({"key"}, Status.PROVEN, Status.PROVEN, Proof.IDENTITY),
        ({"index"}, Status.DECLARED, Status.PROVEN, Proof.IDENTITY),
        ({"position"}, Status.DECLARED, Status.DECLARED, Proof.DECLARED),
        ({"targets", "rows"}, Status.DECLARED, Status.DECLARED, Proof.LABELS),
        ({"position", "targets", "rows"}, Status.DECLARED, Status.DECLARED, Proof.LABELS),
        ({"tags"}, Status.DECLARED, Status.NOT_SEEN, Proof.TRANSPORT),
        (set(), Status.DECLARED, Status.NOT_SEEN, Proof.COUNT),
    ],
)
def test_each_link_has_its_status_and_the_weakest_names_the_proof(evidence, labels, fed, proof):
    report = report_of(trace_of(ALIGNED, evidence), evidence)
    assert [link.link for link in report.chain] == ["labels", "fed", "computed", "returned", "confirmed"]
    found = statuses(report)
    assert (found["labels"], found["fed"], report.proof) == (labels, fed, proof)
    assert (found["computed"], found["returned"], found["confirmed"]) == ("declared", "proven", "declared")
    assert all(link.basis for link in report.chain)


def test_the_chain_survives_json():
    report = report_of(trace_of(SWAPPED, {"content"}), {"content"})
    assert statuses(report)["fed"] is Status.BROKEN
    assert Report.from_dict(report.to_dict()).chain == report.chain


@pytest.mark.parametrize("evidence", [{"content"}, {"index"}, {"position"}, {"targets", "rows"}])
@pytest.mark.parametrize("require", ["identity", "labels", "declared", "transport"])
def test_what_was_not_seen_to_be_returned_is_no_more_than_a_count(evidence, require):
    trace = replace(trace_of(ALIGNED, evidence), not_returned="values were changed")
    report = report_of(trace, evidence, require=require)
    assert (report.verdict, report.proof) == (Verdict.UNPROVEN, Proof.COUNT)
    assert statuses(report)["returned"] is Status.NOT_SEEN
    assert "what was returned: values were changed" in report.not_proven


def test_a_metric_has_no_rows_that_could_be_returned():
    report = report_of(trace_of(ALIGNED, {"content"}, ordered=False, method="evaluate"), {"content"})
    found = statuses(report)
    assert found["returned"] is found["confirmed"] is Status.NOT_APPLICABLE
    assert report.proof is Proof.IDENTITY


@pytest.mark.parametrize("evidence", ["key", "index"])
def test_finished_predictions_are_declared_to_be_those_of_their_keys(evidence):
    report = report_of(trace_of(ALIGNED, {evidence}, method="check"), {evidence})
    assert (report.verdict, report.proof) == (Verdict.PASS, Proof.DECLARED)
    assert statuses(report)["fed"] is Status.DECLARED
    assert statuses(report)["computed"] is Status.NOT_APPLICABLE
    assert report_of(trace_of(ALIGNED, {evidence}, method="check"), require="labels").verdict is Verdict.UNPROVEN


@pytest.mark.parametrize("weaker", [{"position"}, {"targets", "rows"}, {"position", "targets", "rows"}])
def test_what_was_asked_for_is_never_replaced_by_something_weaker(weaker):
    of_other_data = np.arange(5000, 5000 + N, dtype=np.uint64)
    trace = replace(trace_of(ALIGNED, weaker), fingerprints=of_other_data)
    report = report_of(trace, {"content"})
    assert report.verdict is Verdict.UNPROVEN
    assert report.proof < Proof.DECLARED
    assert statuses(report)["fed"] is Status.NOT_SEEN
    keys = np.asarray([f"other{number}" for number in range(N)])
    assert report_of(replace(trace_of(ALIGNED, weaker), keys=keys), {"key"}).verdict is Verdict.UNPROVEN


def test_a_reference_that_no_row_could_be_compared_with_is_not_replaced_either():
    assert report_of(trace_of(ALIGNED, {"position"}), {"content"}).verdict is Verdict.UNPROVEN


def test_an_index_that_the_source_states_is_observed_and_stands_for_content_that_matches_nothing():
    trace = replace(trace_of(ALIGNED, {"index"}), fingerprints=np.arange(5000, 5000 + N, dtype=np.uint64))
    assert report_of(trace, {"content"}).verdict is Verdict.PASS
    trace = replace(trace_of(SWAPPED, {"index"}), fingerprints=np.arange(5000, 5000 + N, dtype=np.uint64))
    assert report_of(trace, {"content"}).verdict is Verdict.FAIL


def test_an_output_without_rows_is_not_seen():
    trace = replace(trace_of(ALIGNED, {"content"}), no_output_rows=True, unobserved="an output has no rows")
    report = report_of(trace, {"content"}, require="count")
    assert report.verdict is Verdict.UNPROVEN
    assert statuses(report)["computed"] is Status.NOT_SEEN
    assert "an output has no rows" in report.not_proven


# -- Rows that moved in the model -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verified", "status", "words"),
    [
        ("", Status.DECLARED, "row j of each output is computed from row j that was fed"),
        (ROW_WISE, Status.PROVEN, "computed again"),
        ("untestable: it draws", Status.DECLARED, "(untestable: it draws)"),
    ],
)
def test_a_test_of_the_model_proves_the_computed_link_or_leaves_it_declared(verified, status, words):
    report = report_of(replace(trace_of(ALIGNED, {"content"}), verified=verified), {"content"})
    (link,) = (link for link in report.chain if link.link == "computed")
    assert (report.verdict, report.proof, link.status) == (Verdict.PASS, Proof.IDENTITY, status)
    assert words in link.basis


@pytest.mark.parametrize("evidence", [{"content"}, {"key"}, {"index"}, {"position"}, {"targets", "rows"}, {"tags"}])
def test_rows_that_moved_in_the_model_are_a_fault_of_no_other_link(evidence):
    report = report_of(replace(trace_of(ALIGNED, evidence), moved_in_model=4), evidence, require="count")
    assert report.verdict is Verdict.FAIL
    assert [(finding.reason, finding.count) for finding in report.findings] == [("rows_moved_in_model", 4)]
    assert [link.link for link in report.chain if link.status is Status.BROKEN] == ["computed"]


@pytest.mark.parametrize("weighted", [False, True])
def test_sample_weights_that_were_not_seen_are_declared(weighted):
    labels = LabelTable(values=np.arange(4), weights=np.arange(4) + 1.0 if weighted else None)
    trace = Trace(4, np.arange(4), index=np.arange(4), targets=np.arange(4), method="evaluate", ordered=False)
    link = judge(trace, labels, Policy()).report.chain[-1]
    assert link.status is (Status.DECLARED if weighted else Status.NOT_APPLICABLE)
    assert ("sample weights of these labels were not among" in link.basis) is weighted


@pytest.mark.parametrize("in_part", [False, True])
def test_what_a_fingerprint_leaves_out_is_declared(in_part):
    trace = replace(trace_of(ALIGNED, {"content"}), in_part=in_part)
    report = judge(trace, labels_for(N, {"content"}), Policy()).report
    assert (report.verdict, report.proof) == (Verdict.PASS, "identity")
    assert report.chain[0].status is (Status.DECLARED if in_part else Status.PROVEN)
    assert ("only what `fingerprint=` returns" in report.chain[0].basis) is in_part
