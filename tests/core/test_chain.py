"""The chain of custody: on what each link rests, and the proof that follows."""

from dataclasses import replace

import numpy as np
import pytest

from evalguard.core.findings import Status
from evalguard.core.judge import judge
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
def test_what_was_asked_for_never_gives_way_to_something_weaker(weaker):
    of_other_data = np.arange(5000, 5000 + N, dtype=np.uint64)
    trace = replace(trace_of(ALIGNED, weaker), fingerprints=of_other_data)
    report = report_of(trace, {"content"})
    assert report.verdict is Verdict.UNPROVEN
    assert report.proof < Proof.DECLARED
    assert statuses(report)["fed"] is Status.NOT_SEEN
    keys = np.asarray([f"other{number}" for number in range(N)])
    assert report_of(replace(trace_of(ALIGNED, weaker), keys=keys), {"key"}).verdict is Verdict.UNPROVEN


def test_a_reference_that_no_row_could_be_compared_with_does_not_give_way_either():
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


# -- Rows that moved after the model ----------------------------------------------------------------------------------


def returned(evidence, source, fed=ALIGNED, values=None):
    """A trace of samples ``fed``; row i returned is row ``source[i]`` computed."""
    values = np.arange(100, 100 + N, dtype=np.uint64) if values is None else np.asarray(values, dtype=np.uint64)
    computed = values[np.asarray(fed)]
    return trace_of(fed, evidence, outputs=np.stack([computed, computed[np.asarray(source)]]))


REVERSED = ALIGNED[::-1]


@pytest.mark.parametrize("evidence", [{"content"}, {"key"}, {"index"}, {"position"}, {"targets", "rows"}, {"tags"}])
def test_rows_that_moved_after_the_model_are_a_fault(evidence):
    report = report_of(returned(evidence, REVERSED), evidence)
    assert report.verdict is Verdict.FAIL
    assert "rows_moved_after_model" in [finding.reason for finding in report.findings]
    found = statuses(report)
    assert found["returned"] is Status.BROKEN
    assert found["fed"] is not Status.BROKEN


def test_rows_that_were_fed_in_another_order_and_put_back_pass():
    trace = returned({"content"}, REVERSED, fed=REVERSED)
    report = report_of(trace, {"content"})
    assert (report.verdict, report.proof) == (Verdict.PASS, Proof.IDENTITY)
    assert statuses(report)["returned"] is Status.PROVEN


def test_equal_outputs_are_interchangeable_and_put_back_among_themselves():
    values = [5, 5, 5, 8, 8, 9, 7]
    assert report_of(returned({"content"}, REVERSED, fed=REVERSED, values=values), {"content"}).verdict is Verdict.PASS
    assert report_of(returned({"content"}, REVERSED, values=values), {"content"}).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(np.arange(900, 900 + N), id="scaled"),
        pytest.param([100, 100, 100, 106, 106, 106, 106], id="few values, as a threshold leaves them"),
    ],
)
def test_values_that_changed_are_not_seen_and_no_fault(changed):
    computed = np.arange(100, 100 + N, dtype=np.uint64)
    outputs = np.stack([computed, np.asarray(changed, dtype=np.uint64)])
    report = report_of(trace_of(ALIGNED, {"content"}, outputs=outputs), {"content"})
    assert (report.verdict, report.proof) == (Verdict.UNPROVEN, Proof.COUNT)


def test_repeated_rows_after_the_model_are_a_fault():
    report = report_of(returned({"content"}, [0, 0, 1, 2, 3, 4, 5]), {"content"})
    assert report.verdict is Verdict.FAIL
    assert (report.counts["missing"], report.counts["duplicate"]) == (1, 1)


def test_every_column_follows_the_rows_that_moved():
    trace = returned({"content", "key", "index", "tags", "targets"}, REVERSED)
    trace = replace(trace, targets={"a": trace.targets, "b": (trace.targets,)}, padding=np.arange(N) > 5)
    from evalguard.core.returned import as_returned

    moved = as_returned(trace, labels_for(N, ()))
    assert isinstance(moved, Trace)
    assert moved.index is not None
    assert np.asarray(moved.index).tolist() == REVERSED
    assert np.asarray(moved.tags).tolist() == np.asarray(trace.tags)[::-1].tolist()
    assert moved.targets["b"][0].tolist() == moved.targets["a"].tolist() == trace.targets["a"][::-1].tolist()
    assert (moved.padding is not None and moved.padding.tolist()) == [True, *[False] * 6]
    assert (moved.moved, moved.outputs) == (6, None)


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


def test_rows_that_were_put_back_after_the_model_are_no_second_fault():
    trace = replace(returned({"content"}, REVERSED, fed=REVERSED), moved_in_model=4)
    report = report_of(trace, {"content"})
    assert [finding.reason for finding in report.findings] == ["rows_moved_in_model"]
