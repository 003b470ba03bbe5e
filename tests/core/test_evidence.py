"""What a trace and labels show together: the identity that is used, padding, targets, repetitions."""

from dataclasses import replace

import numpy as np
import pytest

from evalguard.core.evidence import ANY_ORDER, RENUMBERED, gather, in_any_order, order_findings, padding_rows
from evalguard.core.findings import Reason
from evalguard.core.judge import judge
from evalguard.core.label_table import LabelTable
from evalguard.core.policy import Policy, Verdict
from evalguard.core.trace import UNKNOWN, SourceState, Trace
from tests.core.key_columns import Kept, report
from tests.core.traces import ALIGNED, IDENTITIES, SWAPPED, N, content_of, label_of, labels_for, trace_of, verdict_of


@pytest.mark.parametrize(("declared", "verdict"), [(True, Verdict.PASS), (False, Verdict.FAIL)])
def test_dummies_are_padding_only_where_they_are_declared(declared, verdict):
    padding = np.asarray([False] * N + [declared] * 2)
    trace = trace_of([*ALIGNED, 500, 501], {"content"}, padding=padding)
    assert verdict_of(trace, labels_for(N), padding="trim") is verdict


def test_a_dummy_among_the_labelled_rows_is_a_fault():
    samples = [*ALIGNED[:-1], 500, 6]
    padding = np.asarray([False] * (N - 1) + [True, False])
    assert verdict_of(trace_of(samples, {"content"}, padding=padding), labels_for(N), padding="trim") is Verdict.FAIL


def test_targets_of_padding_are_not_compared():
    padded = [*ALIGNED, 0, 0]
    report = judge(trace_of(padded, {"targets", "rows"}), labels_for(N, ()), Policy(padding="trim")).report
    assert (report.verdict, report.proof, report.counts["padding"]) == (Verdict.PASS, "labels", 2)


@pytest.mark.parametrize("identity", IDENTITIES)
def test_rows_in_position_are_a_range_whatever_the_identity(identity):
    evidence = gather(trace_of(ALIGNED, {identity}), labels_for(N, {identity}), Policy())
    assert evidence.samples == range(N)
    assert evidence.used is not None
    assert evidence.used.identity == identity
    assert evidence.used.complete
    assert evidence.order == ()
    assert (evidence.repeated.size, evidence.padding, evidence.n_rows) == (0, 0, N)


def test_rows_in_position_by_a_fingerprint_that_different_inputs_share_are_not_identified():
    rows = np.zeros(N, dtype=np.uint64)
    labels = LabelTable(values=label_of(ALIGNED), fingerprints=rows, ambiguous=True)
    evidence = gather(trace_of(ALIGNED, {"position"}, fingerprints=rows), labels, Policy())
    assert evidence.samples is None
    assert [match.identity for match in evidence.matches] == ["content", "position"]
    # A position in an array does not show it either, as content was asked for.
    assert gather(trace_of(ALIGNED, {"position"}), labels, Policy()).samples is None


@pytest.mark.parametrize("identity", ["key", "index"])
def test_a_key_or_an_index_names_the_rows_that_a_shared_fingerprint_leaves_open(identity):
    rows = np.zeros(N, dtype=np.uint64)
    labels = replace(labels_for(N, {identity}), fingerprints=rows, ambiguous=True)
    assert verdict_of(trace_of(ALIGNED, {identity}, fingerprints=rows), labels) is Verdict.PASS
    assert verdict_of(trace_of(SWAPPED, {identity}, fingerprints=rows), labels) is Verdict.FAIL


@pytest.mark.parametrize("identity", IDENTITIES)
def test_rows_out_of_position_have_their_samples(identity):
    evidence = gather(trace_of(SWAPPED, {identity}), labels_for(N, {identity}), Policy())
    assert evidence.samples_array is not None
    assert evidence.samples_array.tolist() == SWAPPED
    assert [finding.reason for finding in evidence.order] == [Reason.REORDERED]


def test_the_strongest_comparable_identity_is_used():
    trace = trace_of(ALIGNED, {"index"}, fingerprints=content_of(np.arange(N) + 10_000))
    evidence = gather(trace, labels_for(N), Policy())
    assert [(match.identity, match.comparable) for match in evidence.matches] == [("content", False), ("index", True)]
    assert evidence.used is evidence.matches[1]


def test_an_identity_that_names_no_row_gives_no_samples():
    evidence = gather(trace_of(ALIGNED, (), index=np.full(N, UNKNOWN)), labels_for(N, ()), Policy())
    assert evidence.samples is None
    assert evidence.order == ()


def test_an_identity_that_names_some_rows_gives_the_samples_of_these():
    named = [0, UNKNOWN, 2, 3, 4, 5, 6]
    evidence = gather(trace_of(ALIGNED, (), index=np.asarray(named)), labels_for(N, ()), Policy())
    assert evidence.samples_array.tolist() == named


@pytest.mark.parametrize(
    ("padding", "ordered", "trimmed"), [("trim", True, 2), ("forbid", True, 0), ("trim", False, 0)]
)
def test_padding_is_trimmed_where_that_is_allowed_and_rows_are_returned(padding, ordered, trimmed):
    trace = trace_of([*ALIGNED, 0, 0], {"index"}, ordered=ordered)
    evidence = gather(trace, labels_for(N), Policy(padding=padding))
    assert (evidence.padding, evidence.n_rows) == (trimmed, N + 2 - trimmed)


@pytest.mark.parametrize(
    ("samples", "reasons"),
    [
        pytest.param(SWAPPED, [], id="another-order"),
        pytest.param([0, 1, 2, 3, 4, 5, 5], [Reason.MISSING, Reason.DUPLICATE], id="repeated"),
        pytest.param([0, 1, 2, 3, 4, 5, 99], [Reason.FOREIGN, Reason.MISSING], id="foreign"),
    ],
)
def test_where_the_order_does_not_matter_only_which_samples_arrived_does(samples, reasons):
    findings = order_findings(np.asarray(samples), N, ordered=False)
    assert [finding.reason for finding in findings] == reasons
    assert all(finding.rows == () for finding in findings)


@pytest.mark.parametrize(
    ("samples", "reasons"),
    [
        pytest.param([0, UNKNOWN, 2, 3, 4, 5, 6], [], id="in-place"),
        pytest.param([6, 5, UNKNOWN, 3, 2, UNKNOWN, 0], [], id="another-order"),
        pytest.param([0, UNKNOWN, 2, 3, 4, 5, 5], [Reason.MISSING, Reason.DUPLICATE], id="one-repeated"),
        pytest.param([0, UNKNOWN, 99, 3, 4, 5, 6], [Reason.FOREIGN, Reason.MISSING], id="one-foreign"),
    ],
)
def test_a_row_that_nobody_knows_may_be_the_sample_that_was_not_seen(samples, reasons):
    findings = order_findings(np.asarray(samples), N, ordered=False)
    assert [finding.reason for finding in findings] == reasons


@pytest.mark.parametrize(
    ("samples", "rows", "n_labels", "arranged"),
    [
        pytest.param([3, 2, 0, 1], [0, 1], 4, [2, 3, 0, 1], id="sorted"),
        pytest.param([3, UNKNOWN, 9, 0, 1], [0, 1, 2], 5, [UNKNOWN, 3, 9, 0, 1], id="foreign-last"),
        pytest.param([1, UNKNOWN, UNKNOWN, 0], [0, 1, 2, 3], 3, [0, 1, UNKNOWN, UNKNOWN], id="more-rows-than-labels"),
        pytest.param([2, 1, 0], [], 3, [2, 1, 0], id="none"),
    ],
)
def test_rows_without_an_order_are_sorted_and_all_others_stay(samples, rows, n_labels, arranged):
    given = np.asarray(samples)
    assert in_any_order(given, np.asarray(rows, dtype=np.int64), n_labels).tolist() == arranged
    assert given.tolist() == samples


# Rows 0 to 3 were scored by `evaluate`, the others predicted.
MIXED = [3, 1, 0, 2, 4, 5, 6]


@pytest.mark.parametrize(
    ("samples", "verdict"),
    [
        pytest.param(MIXED, Verdict.PASS, id="scored-in-another-order"),
        pytest.param([0, 1, 2, 3, 6, 5, 4], Verdict.FAIL, id="predicted-in-another-order"),
        pytest.param([4, 5, 6, 0, 1, 2, 3], Verdict.FAIL, id="each-has-samples-of-the-other"),
        pytest.param([0, 0, 1, 2, 4, 5, 6], Verdict.FAIL, id="one-scored-twice"),
    ],
)
@pytest.mark.parametrize("identity", IDENTITIES)
def test_rows_that_were_predicted_have_an_order_beside_rows_that_were_scored(samples, verdict, identity):
    trace = trace_of(samples, {identity}, scored=np.arange(4))
    assert verdict_of(trace, labels_for(N, {identity})) is verdict


def test_a_target_is_compared_with_the_label_of_its_row_or_where_it_was_scored_of_its_sample():
    trace = trace_of(MIXED, {"index", "targets"}, scored=np.arange(4))
    assert gather(trace, labels_for(N), Policy()).comparison.rows.tolist() == []
    ordered = trace_of(MIXED, {"index", "targets"})
    assert gather(ordered, labels_for(N), Policy()).comparison.rows.tolist() == [0, 2, 3]


@pytest.mark.parametrize("order", [ALIGNED, [3, 1, 2, 0, 4, 5, 6]])
@pytest.mark.parametrize("ordered", [True, False])
def test_targets_of_equal_inputs_may_come_in_any_order(order, ordered):
    content = content_of([0, 1, 1, 3, 4, 5, 6])
    values = np.arange(N)
    exchanged = np.asarray([0, 2, 1, 3, 4, 5, 6])
    parts = {"fingerprints": content[order], "targets": exchanged[order], "ordered": ordered}
    labels = LabelTable(values=values, fingerprints=content)

    def rows(trace, labels):
        return gather(trace, labels, Policy()).comparison.rows.tolist()

    wrong = rows(trace_of(order, (), **parts), labels)
    assert wrong == ([] if order == ALIGNED or not ordered else [0, 3])
    keys = labels_for(N).keys
    named = LabelTable(values=values, fingerprints=content, keys=keys)
    assert rows(trace_of(order, {"key"}, **parts), named) == ([*wrong, 1, 2] if not wrong else [0, 1, 2, 3])
    ambiguous = LabelTable(values=values, fingerprints=content, ambiguous=True)
    if ordered:
        assert {1, 2} <= set(rows(trace_of(order, (), **parts), ambiguous))


def test_targets_without_samples_contradict_the_labels_only_where_rows_were_predicted():
    targets = label_of(MIXED)
    scored = gather(trace_of(MIXED, (), targets=targets, scored=np.arange(4)), labels_for(N, ()), Policy())
    assert "does not change any metric" in scored.comparison.why_not
    others = gather(trace_of(MIXED, (), targets=targets, scored=np.arange(4, 7)), labels_for(N, ()), Policy())
    assert others.comparison.rows.tolist() == [0, 2, 3]


def test_what_was_scored_with_padding_is_not_trimmed():
    trace = trace_of([*ALIGNED, 0, 0], {"index"}, scored=np.arange(4))
    assert gather(trace, labels_for(N), Policy(padding="trim")).padding == 0


def test_targets_in_another_order_do_not_change_a_metric():
    targets = np.roll(label_of(ALIGNED), 1)
    evidence = gather(trace_of(ALIGNED, (), targets=targets, ordered=False), labels_for(N, ()), Policy())
    assert not evidence.comparison.comparable
    assert "does not change any metric" in evidence.comparison.why_not
    assert evidence.comparison.rows.size == 0
    ordered = gather(trace_of(ALIGNED, (), targets=targets), labels_for(N, ()), Policy())
    assert ordered.comparison.rows.size


def test_repeated_content_counts_only_without_an_identity():
    rows = [0, 1, 2, 2, 4, 5, 6]
    assert gather(trace_of(rows, {"rows"}), labels_for(N, ()), Policy()).repeated.tolist() == [3]
    assert gather(trace_of(rows, {"content"}), labels_for(N), Policy()).repeated.tolist() == []


@pytest.mark.parametrize(
    ("samples", "declared", "extra"),
    [
        pytest.param([0, 1, 2, 0], None, 1, id="a-known-sample"),
        pytest.param([0, 1, 2, 9], None, 0, id="a-foreign-row"),
        pytest.param([0, 1, 2, 9], [False, False, False, True], 1, id="a-declared-dummy"),
        pytest.param([0, 1, 2, 0, 9], None, 0, id="one-of-two"),
        pytest.param([0, 1, 2], None, 0, id="no-more-rows-than-labels"),
    ],
)
def test_rows_after_the_last_label_are_padding_if_each_is_known_or_declared(samples, declared, extra):
    padding = None if declared is None else np.asarray(declared)
    trace = trace_of(samples, {"index"}, padding=padding)
    assert padding_rows(trace, np.asarray(samples), 3) == extra


def test_without_samples_padding_is_recognised_by_content():
    labels = LabelTable(values=np.arange(3))
    for last, extra in ((1, 1), (7, 0)):
        assert padding_rows(trace_of([0, 1, 2, last], {"rows"}), None, len(labels)) == extra
    assert padding_rows(trace_of([0, 1, 2, 1], ()), None, len(labels)) == 0


def test_targets_that_equal_the_labels_are_comparable_whether_the_order_matters_or_not():
    for ordered in (True, False):
        evidence = gather(trace_of(ALIGNED, {"targets"}, ordered=ordered), labels_for(N, ()), Policy())
        assert evidence.comparison.comparable
        assert evidence.comparison.rows.size == 0


@pytest.mark.parametrize(
    ("known", "method", "differ"),
    [("index", "evaluate", 0), ("content", "evaluate", 4), ("index", "predict", 4)],
)
def test_pairs_in_another_order_contradict_no_place_that_is_only_declared(known, method, differ):
    trace = trace_of(ALIGNED, {known, "targets"}, method=method, ordered=method == "predict")
    trace = replace(trace, targets=trace.targets[::-1], index_source="position")
    evidence = gather(trace, labels_for(N, {known}), Policy())
    assert evidence.comparison.rows.size == differ
    assert (evidence.samples is None) == (differ == 0)


def test_targets_that_contradict_the_samples_differ_even_if_they_are_the_labels_in_another_order():
    targets = np.roll(label_of(ALIGNED), 1)
    trace = trace_of(SWAPPED, {"index"}, targets=targets, ordered=False)
    comparison = gather(trace, labels_for(N, ()), Policy()).comparison
    assert comparison.comparable
    assert comparison.rows.tolist() == np.flatnonzero(targets != label_of(SWAPPED)).tolist()


ORDERS = {
    "in-order": list(range(40)),
    "swapped": [1, 0, *range(2, 40)],
    "sorted-as-text": sorted(range(40), key=str),
    "missing-and-foreign": [*range(30), 99],
    "repeated": [*range(39), 3],
    "all-foreign": list(range(100, 140)),
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("name", [int, str])
def test_a_column_of_keys_has_the_report_of_an_array(order, name):
    keys, label_keys = [name(number) for number in order], [name(number) for number in range(40)]
    assert report(keys, label_keys, Kept) == report(keys, label_keys, np.asarray)


@pytest.mark.parametrize(
    ("targets", "values", "why"),
    [
        pytest.param([0, 1, 2] * 8, [1, 2, 0] * 8, RENUMBERED, id="the numbers of other classes"),
        pytest.param([0] * 8 + [1] * 8, [1] * 8 + [0] * 8, RENUMBERED, id="blocks of classes in another order"),
        pytest.param([0, 1, 2, 2] * 6, [2, 1, 0, 2] * 6, ANY_ORDER, id="other rows"),
        pytest.param(list(range(24)), list(range(24))[::-1], ANY_ORDER, id="amounts in another order"),
    ],
)
def test_targets_in_another_order_may_be_other_classes(targets, values, why):
    trace = Trace(len(targets), np.arange(len(targets)), targets=np.asarray(targets), method="evaluate", ordered=False)
    evidence = gather(trace, LabelTable(values=np.asarray(values)), Policy(require="count"))
    assert evidence.comparison.why_not == why
    assert bool(evidence.doubt) == (why == RENUMBERED)


def test_targets_that_a_source_may_have_joined_to_other_rows_prove_nothing():
    shuffled = SourceState("tf.data", "_ZipDataset", facts={"zips_a_shuffle": True})
    for sources, verdict in (((), Verdict.PASS), ((SourceState(), shuffled), Verdict.UNPROVEN)):
        trace = replace(trace_of(ALIGNED, {"targets", "rows"}), sources=sources)
        report = judge(trace, labels_for(N, ()), Policy(require="labels")).report
        assert report.verdict is verdict
        assert any("zips rows that it shuffles" in note for note in report.not_proven) is bool(sources)
