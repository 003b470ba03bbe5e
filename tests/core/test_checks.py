"""The checks against a brute-force reading of the terms; the stream's own targets against the labels."""

from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evalguard.core import arrivals, checks, target_comparison
from evalguard.core.findings import Reason
from evalguard.core.trace import SourceState, Trace
from tests.core import brute
from tests.core.streams import streams


def counts(samples, n):
    found = {finding.reason: finding.count for finding in checks.order_findings(samples, n)}
    return [found.get(r, 0) for r in (Reason.COUNT, Reason.FOREIGN, Reason.MISSING, Reason.DUPLICATE, Reason.REORDERED)]


@given(streams())
@example((np.arange(1), 1))
@example((np.zeros(0, np.int64), 1))
def test_there_is_no_finding_exactly_when_row_i_is_sample_i(stream):
    samples, n = stream
    assert (not checks.order_findings(samples, n)) == (samples.tolist() == list(range(n)))


@given(streams())
def test_counts_are_those_of_a_brute_force_reading(stream):
    samples, n = stream
    rows = samples.tolist()
    readings = (brute.foreign, brute.missing, brute.duplicate, brute.reordered)
    assert counts(samples, n) == [abs(len(rows) - n), *(len(reading(rows, n)) for reading in readings)]
    assert np.flatnonzero(arrivals.misaligned(samples)).tolist() == brute.misaligned(rows)


@given(streams())
def test_the_first_cases_are_the_very_rows(stream):
    samples, n = stream
    rows = samples.tolist()
    assert arrivals.duplicate_rows(samples, n).tolist() == brute.duplicate(rows, n)
    assert np.flatnonzero(arrivals.reordered(samples, n)).tolist() == brute.reordered(rows, n)
    assert arrivals.first_arrivals(samples, n).tolist() == brute.arrival_rows(rows, n)
    missing = checks.check_missing(samples, n)
    assert (list(missing.samples) if missing else []) == brute.missing(rows, n)[: checks.MAX_CASES]


@given(streams(unknown=True))
def test_rows_that_were_not_named_are_no_fault(stream):
    samples, n = stream
    named = {row: sample for row, sample in enumerate(samples.tolist()) if sample != brute.UNKNOWN}
    in_position = len(samples) == n and all(row == sample for row, sample in named.items())
    assert (not checks.order_findings(samples, n)) == in_position
    unnamed = len(samples) - len(named)
    missing = checks.check_missing(samples, n)
    at_least = max(0, len(brute.missing(samples.tolist(), n)) - unnamed)
    assert (missing.count if missing else 0) == at_least


def test_one_skipped_sample_does_not_make_all_behind_it_look_reordered():
    samples = np.asarray([0, 2, 3, 4, 5])
    assert counts(samples, 6) == [1, 0, 1, 0, 0]
    assert np.flatnonzero(arrivals.misaligned(samples)).tolist() == [1, 2, 3, 4]


def test_cases_are_capped_and_counts_are_not():
    samples = np.arange(1000)[::-1]
    finding = checks.check_order(samples, 1000)
    assert finding is not None
    assert finding.count == 999
    assert finding.rows == tuple(range(1, 1 + checks.MAX_CASES))
    assert finding.samples[0] == 998


LABELS = np.asarray([0, 2, 1, 2])
ONE_HOT = np.eye(3)[LABELS]

ALIKE = [
    pytest.param(LABELS, LABELS, id="equal"),
    pytest.param(LABELS.astype("float32"), LABELS, id="class numbers as floats"),
    pytest.param(LABELS[:, None], LABELS, id="a column"),
    pytest.param(LABELS, LABELS[:, None, None], id="a column of columns"),
    pytest.param(ONE_HOT, LABELS, id="one-hot targets"),
    pytest.param(LABELS.astype("float32"), ONE_HOT, id="one-hot labels"),
    pytest.param(ONE_HOT.astype("float32"), ONE_HOT, id="both one-hot"),
    pytest.param(ONE_HOT.astype(bool), LABELS, id="one-hot of booleans"),
    pytest.param(
        np.asarray([0.1, 0.2, 0.3, 1 / 3], "float32"), np.asarray([0.1, 0.2, 0.3, 1 / 3]), id="cast to float32"
    ),
    pytest.param(
        np.asarray([0.1, 0.2, 0.3, 1 / 3], "float16"), np.asarray([0.1, 0.2, 0.3, 1 / 3]), id="cast to float16"
    ),
    pytest.param(np.asarray([1.0, np.nan, 3, 4]), np.asarray([1, np.nan, 3, 4], "float32"), id="NaN"),
    pytest.param(np.asarray([b"a", b"b", b"a", b"c"]), np.asarray(["a", "b", "a", "c"]), id="bytes and text"),
    pytest.param(np.asarray([b"a", "b", b"a", "c"], object), np.asarray(["a", "b", "a", "c"]), id="objects and text"),
    pytest.param(np.asarray(["é".encode(), b"e"] * 2, object), np.asarray(["é", "e"] * 2), id="UTF-8"),
    pytest.param(np.asarray([True, False, True, False]), np.asarray([1, 0, 1, 0]), id="booleans"),
    pytest.param(LABELS.astype("uint64"), LABELS, id="unsigned"),
    pytest.param((LABELS,), LABELS, id="a tuple of one"),
    pytest.param([LABELS], {"y": LABELS}, id="a list of one and a mapping of one"),
    pytest.param(LABELS, {"y": LABELS}, id="an array and a mapping of one"),
    pytest.param({"y": LABELS}, LABELS, id="a mapping of one and an array"),
    pytest.param({"b": ONE_HOT, "a": LABELS}, {"a": LABELS, "b": LABELS}, id="mappings by name"),
    pytest.param((LABELS, ONE_HOT), {"a": LABELS, "b": LABELS}, id="a tuple and a mapping by order"),
    pytest.param({"y": LABELS}, MappingProxyType({"y": LABELS}), id="a mapping that is no dict"),
    pytest.param(np.stack([LABELS, LABELS], 1), np.stack([LABELS, LABELS], 1), id="two numbers a row"),
]


@pytest.mark.parametrize(("targets", "values"), ALIKE)
def test_equal_targets_are_equal_in_whatever_form(targets, values):
    comparison = target_comparison.compare_labels(targets, values)
    assert (comparison.comparable, comparison.rows.tolist(), comparison.why_not) == (True, [], "")


def _turned(targets):
    if isinstance(targets, dict):
        return {name: _turned(part) for name, part in targets.items()}
    if isinstance(targets, (tuple, list)):
        return type(targets)(_turned(part) for part in targets)
    return targets[[0, 1, 3, 2]]


@pytest.mark.parametrize(("targets", "values"), ALIKE)
def test_two_swapped_targets_are_noticed_in_whatever_form(targets, values):
    assert target_comparison.compare_labels(_turned(targets), values).rows.tolist() == [2, 3]


@pytest.mark.parametrize(
    ("targets", "values"),
    [
        pytest.param(None, LABELS, id="no targets"),
        pytest.param(LABELS, None, id="no labels"),
        pytest.param(np.ones((4, 2, 2)), LABELS, id="masks and class numbers"),
        pytest.param(np.full((4, 3), 1 / 3), LABELS, id="probabilities and class numbers"),
        pytest.param(LABELS, np.asarray(["a", "b", "c", "d"]), id="numbers and names"),
        pytest.param((LABELS, LABELS), LABELS, id="two outputs and one column"),
        pytest.param({"a": LABELS}, {"b": LABELS}, id="other names"),
        pytest.param((LABELS, LABELS), {"a": LABELS}, id="two outputs and one named column"),
    ],
)
def test_what_cannot_be_compared_says_so_and_is_no_fault(targets, values):
    comparison = target_comparison.compare_labels(targets, values)
    assert not comparison.comparable
    assert comparison.why_not
    assert checks.check_labels(comparison) is None


@pytest.mark.parametrize(
    ("targets", "values"),
    [
        pytest.param(np.zeros(0), LABELS, id="nothing delivered"),
        pytest.param(np.zeros((0, 3)), ONE_HOT, id="nothing of a matrix delivered"),
    ],
)
def test_no_rows_are_no_disagreement(targets, values):
    assert target_comparison.compare_labels(targets, values).rows.tolist() == []


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30))
def test_the_rows_that_differ_are_those_that_differ(pairs):
    targets, values = np.asarray(pairs).T
    expected = [row for row, (target, value) in enumerate(pairs) if target != value]
    assert target_comparison.compare_labels(targets, values).rows.tolist() == expected
    assert target_comparison.compare_labels(np.eye(5, dtype="float32")[targets], values).rows.tolist() == expected
    finding = checks.check_labels(target_comparison.compare_labels(targets, values))
    assert (finding.count if finding else 0) == len(expected)


@given(streams(unknown=True), st.integers(0, 2**32))
def test_targets_can_be_compared_with_the_label_of_the_rows_own_sample(stream, seed):
    samples, n = stream
    rng = np.random.default_rng(seed)
    values, targets = rng.integers(0, 3, n), rng.integers(0, 3, len(samples))
    expected = [
        row for row, sample in enumerate(samples.tolist()) if 0 <= sample < n and targets[row] != values[sample]
    ]
    assert target_comparison.compare_labels(targets, values, samples).rows.tolist() == expected


@pytest.mark.parametrize(
    ("state", "words"),
    [
        pytest.param(SourceState("generator", "batches"), None, id="fresh"),
        pytest.param(SourceState("generator", "batches", started=True), "already been started", id="started"),
        pytest.param(
            SourceState("generator", "batches", calls_before=2, pulled_before=9),
            "2 guarded call(s)",
            id="handed before",
        ),
        pytest.param(SourceState("pydataset", "Data", calls_before=2), None, id="a PyDataset may be used again"),
    ],
)
def test_a_generator_that_was_not_at_its_start_is_a_finding(state, words):
    finding = checks.check_reuse(Trace(2, np.arange(2), sources=(state,)))
    assert (finding is None) == (words is None)
    if finding is not None:
        assert words is not None
        assert words in finding.message
        assert finding.count == 2
