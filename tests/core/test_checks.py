"""The checks against a brute-force reading of the terms, and their messages."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evalguard.core import arrivals, checks
from evalguard.core.findings import Reason
from evalguard.core.target_comparison import LabelComparison
from evalguard.core.trace import ALTERED, UNKNOWN, SourceState, Trace, row_tag
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
def test_unidentified_rows_are_no_fault(stream):
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


@pytest.mark.parametrize(
    ("state", "words"),
    [
        pytest.param(SourceState("generator", "batches"), None, id="fresh"),
        pytest.param(SourceState("generator", "batches", started=True), "already been started", id="started"),
        pytest.param(
            SourceState("generator", "batches", calls_before=2, pulled_before=9),
            "was not at its start: 2 earlier guarded calls took 9 batches from it",
            id="used before",
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


@pytest.mark.parametrize(
    ("samples", "n", "messages"),
    [
        pytest.param([0, 1, 2], 4, ["3 predictions for 4 labels: label 3 has no prediction",
                                    "1 labelled sample has no prediction"], id="one-missing"),
        pytest.param([0, 1], 4, ["2 predictions for 4 labels: the last 2 labels have no prediction",
                                 "2 labelled samples have no prediction"], id="two-missing"),
        pytest.param([0, 0], 1, ["2 predictions for 1 label: 1 row too many, from row 1 on",
                                 "1 row repeats a sample that was already predicted"], id="repeated"),
        pytest.param([1, 0], 2, ["1 row is out of order: it comes after a later sample"], id="one-out-of-order"),
        pytest.param([2, 1, 0], 3, ["2 rows are out of order: they come after a later sample"], id="two-out-of-order"),
        pytest.param([0, 9], 2, ["1 row is not among the 2 labelled samples",
                                 "1 labelled sample has no prediction"], id="foreign"),
        pytest.param([1, UNKNOWN], 2, ["1 row is out of position, whatever samples the unidentified rows are"],
                     id="unidentified"),
    ],
)  # fmt: skip
def test_a_message_is_a_sentence_with_numbers(samples, n, messages):
    assert [finding.message for finding in checks.order_findings(np.asarray(samples), n)] == messages


def test_rows_without_a_label_are_named_up_to_the_limit():
    few, many = (checks.check_count(np.arange(rows), 3) for rows in (5, 100))
    assert few.rows == (3, 4)
    assert (many.count, many.rows) == (97, tuple(range(3, 3 + checks.MAX_CASES)))


@pytest.mark.parametrize(
    ("comparison", "count", "message"),
    [
        pytest.param(LabelComparison(True, np.array([], int)), 0, "", id="equal"),
        pytest.param(LabelComparison(False, np.array([1])), 0, "", id="not-comparable"),
        pytest.param(LabelComparison(True, np.array([4])), 1, "at 1 row the stream's own target differs", id="one"),
        pytest.param(LabelComparison(True, np.array([4, 7])), 2, "at 2 rows the stream's own target", id="two"),
    ],
)
def test_targets_that_differ_from_the_labels_are_a_finding(comparison, count, message):
    finding = checks.check_labels(comparison)
    assert (finding is None) == (count == 0)
    if finding is not None:
        assert (finding.reason, finding.count) == (Reason.LABELS, count)
        assert finding.rows == tuple(comparison.rows.tolist())
        assert finding.message.startswith(message)


def test_numbers_are_grouped():
    (finding,) = checks.order_findings(np.arange(1000, 3000)[::-1] - 1000, 2000)
    assert finding.message == "1,999 rows are out of order: they come after a later sample"


def test_rows_that_changed_on_their_way_are_a_finding():
    finding = checks.check_altered(Trace(3, np.asarray([0, ALTERED, 2])))
    assert finding is not None
    assert (finding.message, finding.rows) == ("1 row changed between the source and the model", (1,))
    assert checks.check_altered(Trace(2, np.asarray([0, UNKNOWN]))) is None


@pytest.mark.parametrize(
    ("tags", "calls", "rows"),
    [
        pytest.param([0, 1, 2], (), (), id="in-order"),
        pytest.param([0, 2, 1], (), (1, 2), id="swapped"),
        pytest.param([2, 1, 0], (), (0, 1, 2), id="backwards"),
        pytest.param([0, 1, 3], (), (2,), id="a-gap"),
        pytest.param([0, 1, 1], (), (2,), id="twice"),
        pytest.param([0, UNKNOWN, 1], (), (), id="not-known"),
        pytest.param([0, 1, row_tag(1), row_tag(1, 1), row_tag(2)], (), (), id="batches-in-order"),
        pytest.param([0, 1, row_tag(2), row_tag(2, 1), row_tag(1)], (), (2, 4), id="batches-swapped"),
        pytest.param([0, 1, row_tag(1, 1), row_tag(1, 2)], (), (2,), id="a-gap-at-the-start-of-a-batch"),
        pytest.param([0, row_tag(1), row_tag(1)], (), (2,), id="a-batch-twice"),
        pytest.param([0, 1, 0, 1], (2, 2), (), id="two-calls"),
        pytest.param([0, 1, 1, 2], (2, 2), (2,), id="the-second-call-begins-late"),
        pytest.param([0, 1, 0, 1, 0, 2], (2, 2, 2), (5,), id="a-gap-in-the-last-call"),
        pytest.param([0, 1, 2, 0, 2, 1], (3, 0, 3, 0), (4, 5), id="swapped-in-the-second-call-with-rows"),
    ],
)
def test_rows_that_were_not_delivered_in_order_are_a_finding(tags, calls, rows):
    finding = checks.check_transport(Trace(len(tags), np.asarray(tags), calls=calls))
    if not rows:
        assert finding is None
    else:
        assert finding is not None
        assert (finding.reason, finding.count, finding.rows) == (Reason.TRANSPORT, len(rows), rows)


@given(st.lists(st.lists(st.builds(row_tag, st.integers(0, 2), st.integers(0, 2)), max_size=5), min_size=1, max_size=3))
def test_rows_are_named_exactly_where_the_transport_is_not_intact(calls):
    tags = np.array([tag for call in calls for tag in call], dtype=np.int64)
    trace = Trace(len(tags), tags, calls=tuple(map(len, calls)))
    finding = checks.check_transport(trace)
    assert (finding is None) is trace.transport_intact
    if finding is not None:
        assert finding.count == len(finding.rows) > 0


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([0, 2, 1], "2 rows are out of position"),
        ([1, UNKNOWN], "1 row is out of position, whatever samples the unidentified rows are"),
        ([0, UNKNOWN, 2], None),
    ],
)
def test_rows_are_out_of_position_whatever_the_unidentified_ones_are(samples, message):
    finding = checks.check_positions(np.array(samples))
    assert (None if finding is None else finding.message) == message


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ({0: 1, 1: 2}, "(stream → label): 0 → 1, 1 → 2; each label is 1 more than the stream's number"),
        ({1: 0, 2: 1}, "(stream → label): 1 → 0, 2 → 1; each label is 1 less than the stream's number"),
        ({0: 1, 1: 0}, "(stream → label): 0 → 1, 1 → 0"),
        ({"a": "b", "b": "a"}, "(stream → label): a → b, b → a"),
    ],
)
def test_class_numbers_that_mean_others_are_listed_with_their_offset(mapping, said):
    finding = checks.check_labels(LabelComparison(True, np.arange(3), mapping=mapping))
    assert finding is not None
    assert finding.reason is Reason.CLASSES
    assert finding.message.endswith(said)


@pytest.mark.parametrize(("rows", "how_many"), [(12, "2 rows too many"), (9, "1 row too few")])
def test_the_number_of_rows_without_an_order_names_no_position(rows, how_many):
    found = checks.check_count(np.arange(rows), 10, ordered=False)
    assert found is not None
    assert (found.message, found.rows) == (f"{rows} predictions for 10 labels: {how_many}", ())
