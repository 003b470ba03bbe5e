"""What the caller scores: the trace in that order, from digests alone."""

from collections import Counter
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalguard.core.confirmed import (
    ANY_ORDER,
    NO_IDENTITY,
    SEVERAL_SAMPLES,
    UNKNOWN_SAMPLES,
    Scored,
    as_scored,
    one_for_each_sample,
    place_of_each,
    sample_of_each,
)
from evalguard.core.findings import Finding, Reason, Status
from evalguard.core.judge import judge
from evalguard.core.policy import Policy, Proof, Verdict
from evalguard.core.trace import FOREIGN, UNKNOWN
from tests.core.traces import ALIGNED, SWAPPED, N, content_of, label_of, labels_for, tags_of, trace_of

REVERSED = ALIGNED[::-1]
CONTENT = {"content", "tags"}
PARTS = {"ended": (1.0, 2.0), "calls": (3, 4)}


def digests(values):
    return np.asarray(values, dtype=np.uint64) + np.uint64(500)


def report_of(fed, scored, evidence=CONTENT, *, outputs=None, unknown="", findings=(), with_labels=True, **parts):
    """The report of samples ``fed``; row i that is scored is row ``scored[i]`` of what was returned."""
    outputs = np.asarray(fed) if outputs is None else np.asarray(outputs)
    what = Scored(digests(outputs), digests(outputs[list(scored)]), unknown, findings, with_labels)
    trace = trace_of(fed, evidence, **{"tags": tags_of(range(len(fed))), **parts})
    return judge(trace, labels_for(N, evidence), Policy(), scored=what).report


def link(report):
    return report.chain[-1].status


@pytest.mark.parametrize("evidence", [{"content"}, {"key"}, {"index"}])
@pytest.mark.parametrize("parts", [{}, PARTS], ids=["call", "parts"])
def test_every_order_of_what_is_scored_is_judged_by_its_samples(evidence, parts):
    for fed in (ALIGNED, SWAPPED):
        for order in list(permutations(range(N)))[::701]:
            aligned = [fed[row] for row in order] == ALIGNED
            report = report_of(fed, order, evidence, **parts)
            assert (report.verdict is Verdict.PASS) == aligned
            assert (report.verdict is Verdict.FAIL) != aligned
            if aligned:
                assert (report.proof, link(report)) == (Proof.IDENTITY, Status.PROVEN)
        inverse = np.argsort(fed)
        assert report_of(fed, inverse, evidence, **parts).verdict is Verdict.PASS


def test_a_position_in_an_array_names_no_row_that_moved():
    assert report_of(ALIGNED, ALIGNED, {"position"}).verdict is Verdict.PASS
    report = report_of(ALIGNED, REVERSED, {"position"})
    assert (report.verdict, link(report), report.chain[-1].basis) == (Verdict.UNPROVEN, Status.NOT_SEEN, NO_IDENTITY)


@given(st.lists(st.integers(0, 2), min_size=N, max_size=N), st.permutations(ALIGNED), st.permutations(ALIGNED))
def test_equal_rows_are_interchangeable(outputs, fed, order):
    """The oracle: the array that is scored has, at each label, the output of its sample."""
    outputs = np.asarray(outputs)
    of_rows = outputs[fed]
    right = np.array_equal(of_rows[order], outputs)
    for parts in ({}, PARTS):
        report = report_of(fed, order, outputs=of_rows, **parts)
        assert (report.verdict is Verdict.PASS) == right
        # A threshold would leave some value more often than it was returned.
        assert (report.verdict is Verdict.FAIL) != right


@given(st.lists(st.integers(0, 1), min_size=N, max_size=N), st.permutations(ALIGNED), st.permutations(ALIGNED))
def test_of_equal_rows_each_stands_beside_the_target_that_came_with_it(outputs, fed, order):
    """The oracle: what is scored and its labels are the pairs of outputs and targets that were returned."""
    outputs = np.asarray(outputs)
    returned = Counter(zip(outputs[fed].tolist(), label_of(fed).tolist(), strict=True))
    scored = Counter(zip(outputs[fed][order].tolist(), label_of(ALIGNED).tolist(), strict=True))
    report = report_of(fed, order, {"targets", "rows"}, outputs=outputs[fed], **PARTS)
    assert report.verdict is not (Verdict.FAIL if returned == scored else Verdict.PASS), report


@pytest.mark.parametrize("parts", [{}, PARTS], ids=["call", "parts"])
def test_values_that_were_not_returned_are_not_seen(parts):
    trace = trace_of(ALIGNED, CONTENT, **parts)
    for rows in (range(50, 50 + N), [0, 1, 2, 3, 4, 5, 50], [0] * 5 + [6] * 2):
        what = Scored(digests(ALIGNED), digests(rows))
        report = judge(trace, labels_for(N, CONTENT), Policy(), scored=what).report
        assert (report.verdict, link(report)) == (Verdict.UNPROVEN, Status.NOT_SEEN)
        assert "not returned by a guarded call" in report.chain[-1].basis


def test_too_few_and_too_many_rows():
    assert report_of(ALIGNED, ALIGNED[:5]).verdict is Verdict.FAIL
    assert report_of(ALIGNED, [*ALIGNED, 0]).verdict is Verdict.FAIL
    assert report_of(ALIGNED, [0, *ALIGNED]).verdict is Verdict.FAIL


def test_padding_that_was_cut_is_left_out():
    trace = trace_of([*ALIGNED, 0, 1], {"content"})
    report = judge(
        trace, labels_for(N, {"content"}), Policy(), scored=Scored(digests(ALIGNED), digests(ALIGNED))
    ).report
    assert report.verdict is Verdict.PASS


def test_labels_that_are_not_the_guards_break_the_last_link_only():
    finding = Finding(Reason.SCORED, 2, "the scored label differs from the guard's at 2 rows")
    report = report_of(ALIGNED, ALIGNED, findings=(finding,))
    assert (report.verdict, link(report)) == (Verdict.FAIL, Status.BROKEN)
    assert [item.status for item in report.chain if item.link == "fed"] == [Status.PROVEN]
    assert report.diagnosis[0].cause == "scored against other labels or weights than those that were checked"


@pytest.mark.parametrize("with_labels", [False, True])
def test_labels_that_cannot_be_compared_leave_it_open(with_labels):
    report = report_of(ALIGNED, ALIGNED, unknown="other quantity", with_labels=with_labels)
    assert (report.verdict, report.chain[-1].basis) == (Verdict.UNPROVEN, "other quantity")
    report = report_of(ALIGNED, ALIGNED, with_labels=with_labels)
    assert link(report) is (Status.PROVEN if with_labels else Status.DECLARED)


# -- Parts --


def test_parts_that_are_not_confirmed_show_the_coverage_only():
    labels = labels_for(N, CONTENT)
    for fed, expected in ((REVERSED, Verdict.UNPROVEN), ([*ALIGNED, 3], Verdict.UNPROVEN), (SWAPPED[1:], Verdict.FAIL)):
        one = one_for_each_sample(trace_of(fed, CONTENT, **PARTS), labels, ANY_ORDER)
        report = judge(one, labels, Policy()).report
        assert report.verdict is expected
        assert report.chain[-1].basis == ANY_ORDER


@pytest.mark.parametrize("fed", [[4, 5, 6, -1, -1, -1, -1], [-1, -1, 6, 4, 5, -1, -1], [-1, -1, -1, -1, 0, 2, 4]])
def test_rows_that_are_not_identified_may_be_the_samples_between_those_that_are(fed):
    index = trace_of(fed, {"index"}, **PARTS)
    one = one_for_each_sample(index, labels_for(N, {"index"}), ANY_ORDER)
    known = [sample for sample in fed if sample >= 0]
    assert [int(np.asarray(one.index)[sample]) for sample in known] == known
    report = judge(one, labels_for(N, {"index"}), Policy()).report
    assert (report.verdict, report.findings, report.calls) == (Verdict.UNPROVEN, (), index.calls)


def test_a_row_of_no_sample_counts_where_it_is_in_a_metric():
    labels = labels_for(N, {"content"})
    for ordered, n_rows in ((True, N), (False, N + 1)):
        one = one_for_each_sample(
            trace_of([70, *REVERSED, 2], {"content"}, ordered=ordered, **PARTS), labels, ANY_ORDER
        )
        assert one.n_rows == n_rows
        assert judge(one, labels, Policy()).report.verdict is (Verdict.UNPROVEN if ordered else Verdict.FAIL)


def test_without_an_identity_too_few_rows_are_a_fault():
    labels = labels_for(N, set())
    for n_rows, expected in ((N + 3, N), (N, N), (N - 1, N - 1)):
        one = one_for_each_sample(trace_of(list(range(n_rows)), set(), **PARTS), labels, ANY_ORDER)
        assert (one.n_rows, one.not_confirmed) == (expected, ANY_ORDER)


def test_what_was_predicted_for_no_label_may_be_left_out_of_the_score():
    fed = [70, *REVERSED, 2]
    report = report_of(fed, np.unique(fed, return_index=True)[1][:N], **PARTS)
    assert report.verdict is Verdict.PASS


def test_rows_that_changed_on_the_way_stay_so():
    trace = trace_of(ALIGNED, {"index"}, tags=np.where(np.arange(N) == 2, -2, tags_of(ALIGNED)))
    found = as_scored(trace, labels_for(N, {"index"}), Scored(digests(ALIGNED), digests(REVERSED)))
    assert (np.asarray(found.tags) == [UNKNOWN] * 4 + [-2] + [UNKNOWN] * 2).all()


# -- The sample of each row --


def test_the_strongest_identity_that_shows_samples_is_used():
    both = trace_of(SWAPPED, {"content", "index"})
    assert sample_of_each(both, labels_for(N, {"content"})).tolist() == SWAPPED
    assert sample_of_each(trace_of(SWAPPED, {"position"}), labels_for(N)) is None
    named = trace_of(SWAPPED, {"position"}, index_source="part")
    assert sample_of_each(named, labels_for(N)).tolist() == SWAPPED
    assert sample_of_each(trace_of(SWAPPED, set()), labels_for(N)) is None


def test_the_position_of_each_row():
    returned, samples = digests([3, 1, 2, 0]), np.array([3, 1, 2, 0])
    found, why = place_of_each(returned, digests([0, 1, 2, 3]), samples)
    assert (found.tolist(), why) == ([0, 1, 2, 3], "")
    assert place_of_each(returned, digests([9]), samples)[0] is None
    assert place_of_each(returned, digests([2, 3]), np.array([UNKNOWN, 1, 2, 0]))[1] == UNKNOWN_SAMPLES
    assert place_of_each(returned, digests([3]), np.array([FOREIGN, 1, 2, 0]))[1] == UNKNOWN_SAMPLES


def test_equal_rows_of_several_samples_are_placed_only_where_all_of_them_are_given():
    returned, samples = digests([5, 5, 6, 6]), np.array([0, 1, 2, 2])
    found, _ = place_of_each(returned, digests([5, 5, 6]), samples)
    assert sorted(found.tolist()) == [0, 1, 2]
    assert place_of_each(returned, digests([5, 6]), samples) == (None, SEVERAL_SAMPLES)


TWINS = content_of(np.arange(N) // 2)


@pytest.mark.parametrize(
    ("again", "right"),
    [
        pytest.param(label_of(ALIGNED), True, id="the-same"),
        pytest.param(label_of([1, 0, 3, 2, 5, 4, 6]), True, id="equal-samples-exchanged"),
        pytest.param([9, *label_of(ALIGNED)[1:]], False, id="one-is-the-label-of-neither"),
        pytest.param(label_of([2, 3, 0, 1, 4, 5, 6]), False, id="those-of-two-pairs-exchanged"),
    ],
)
def test_equal_samples_that_are_scored_twice_need_a_label_of_theirs_both_times(again, right):
    labels = replace(labels_for(N, {"content"}), fingerprints=TWINS)
    targets = np.concatenate([label_of(ALIGNED), again])
    rows = {"fingerprints": np.concatenate([TWINS, TWINS]), "targets": targets, "ordered": False, "method": "evaluate"}
    trace = trace_of([*ALIGNED, *ALIGNED], {"content"}, **rows, **PARTS)
    report = judge(one_for_each_sample(trace, labels, ""), labels, Policy(duplicate_inputs="allow")).report
    assert (report.verdict is Verdict.PASS) is right
