"""Rows that moved after the model: the trace in the order of what the caller got."""

from dataclasses import replace

import numpy as np
import pytest

from evalguard.core.findings import Status
from evalguard.core.policy import Proof, Verdict
from evalguard.core.returned import as_returned
from evalguard.core.trace import Trace
from tests.core.test_chain import report_of, statuses
from tests.core.traces import ALIGNED, N, labels_for, trace_of


def returned(evidence, source, fed=ALIGNED, values=None):
    """A trace of samples ``fed``; row i returned is row ``source[i]`` computed."""
    values = np.arange(100, 100 + N, dtype=np.uint64) if values is None else np.asarray(values, dtype=np.uint64)
    computed = values[np.asarray(fed)]
    return trace_of(fed, evidence, outputs=np.stack([computed, computed[np.asarray(source)]]))


REVERSED = ALIGNED[::-1]


@pytest.mark.parametrize("evidence", [{"content"}, {"key"}, {"index"}, {"position"}, {"targets", "rows"}])
def test_rows_that_moved_after_the_model_are_a_fault(evidence):
    report = report_of(returned(evidence, REVERSED), evidence)
    assert report.verdict is Verdict.FAIL
    assert "rows_moved_after_model" in [finding.reason for finding in report.findings]
    found = statuses(report)
    assert found["returned"] is Status.BROKEN
    assert found["fed"] is not Status.BROKEN


def test_rows_that_nothing_identifies_may_have_been_put_back():
    report = report_of(returned({"tags"}, REVERSED), require="transport")
    assert (report.verdict, report.proof, report.findings) == (Verdict.UNPROVEN, Proof.COUNT, ())


@pytest.mark.parametrize("named", [ALIGNED, REVERSED], ids=["as-fed", "as-returned"])
def test_a_part_that_names_rows_says_nothing_once_they_have_moved(named):
    trace = replace(returned({"index"}, REVERSED), index=np.asarray(named), index_source="part")
    report = report_of(trace, {"index"})
    assert report.verdict is Verdict.UNPROVEN
    assert "which of the two orders is named" in " ".join(report.not_proven)
    still = replace(returned({"index"}, ALIGNED), index=np.asarray(ALIGNED), index_source="part")
    assert report_of(still, {"index"}).verdict is Verdict.PASS


def test_a_part_whose_rows_are_recognised_needs_no_order():
    trace = replace(returned({"content", "index"}, REVERSED, fed=REVERSED), index_source="part")
    assert report_of(trace, {"content", "index"}).verdict is Verdict.PASS


def test_rows_that_were_fed_in_another_order_and_put_back_pass():
    trace = returned({"content"}, REVERSED, fed=REVERSED)
    report = report_of(trace, {"content"})
    assert (report.verdict, report.proof) == (Verdict.PASS, Proof.IDENTITY)
    assert statuses(report)["returned"] is Status.PROVEN


def test_equal_outputs_are_interchangeable_and_put_back_among_themselves():
    values = [5, 5, 5, 8, 8, 9, 7]
    assert report_of(returned({"content"}, REVERSED, fed=REVERSED, values=values), {"content"}).verdict is Verdict.PASS
    assert report_of(returned({"content"}, REVERSED, values=values), {"content"}).verdict is Verdict.FAIL


@pytest.mark.parametrize("values", [[5, 5, 6, 6, 7, 7, 8], [5, 6, 5, 6, 5, 6, 5], [5, 6, 6, 6, 6, 6, 5]])
def test_each_of_equal_rows_is_another_one_that_was_computed(values):
    for source in (REVERSED, np.roll(ALIGNED, 1), [1, 0, 2, 4, 3, 6, 5]):
        found = as_returned(returned({"index"}, source, values=values), labels_for(N, {"index"}))
        assert sorted(np.asarray(found.index)) == ALIGNED


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
    moved = as_returned(trace, labels_for(N, ()))
    assert isinstance(moved, Trace)
    assert moved.index is not None
    assert np.asarray(moved.index).tolist() == REVERSED
    assert np.asarray(moved.tags).tolist() == np.asarray(trace.tags)[::-1].tolist()
    assert moved.targets["b"][0].tolist() == moved.targets["a"].tolist() == trace.targets["a"][::-1].tolist()
    assert (moved.padding is not None and moved.padding.tolist()) == [True, *[False] * 6]
    assert (moved.moved, moved.outputs) == (6, None)


def test_rows_that_were_put_back_after_the_model_are_no_second_fault():
    trace = replace(returned({"content"}, REVERSED, fed=REVERSED), moved_in_model=4)
    report = report_of(trace, {"content"})
    assert [finding.reason for finding in report.findings] == ["rows_moved_in_model"]
