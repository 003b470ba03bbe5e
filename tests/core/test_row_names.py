"""Two indexes: when they decide which sample a row is, when they leave it open, and what is said then."""

import numpy as np
import pytest

from evalguard.core.columns.run_length import RunLengthColumn
from evalguard.core.findings import Reason
from evalguard.core.row_names import INTEGERS, TEXT, TIMES, RowNames, against_reference, compared, joined

N = 40
ORDER = np.random.default_rng(3).permutation(N)
DAYS = np.arange("2024-01-01", "2024-02-10", dtype="datetime64[D]").astype("datetime64[ns]")
# Trading days: no weekends.
TRADED = DAYS[np.is_busday(DAYS.astype("datetime64[D]"))]


def integers(values):
    return RowNames(INTEGERS, values if isinstance(values, range) else np.asarray(values, np.int64), len(values))


def text(values):
    return RowNames(TEXT, np.asarray([f"s{value}" for value in values], dtype=object), len(values))


def times(values):
    return RowNames(TIMES, np.asarray(values), len(values))


def both(found):
    assert found.keys is not None
    return found.keys


MAKERS = {
    "integers": lambda at: integers(np.asarray(at) + 100),
    "text": text,
    "times": lambda at: times(DAYS[np.asarray(at)]),
}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("at", [range(N), ORDER, ORDER[:20]], ids=["order", "another", "some"])
def test_names_of_one_kind_decide(kind, at):
    found = compared(MAKERS[kind](at), MAKERS[kind](range(N)))
    assert found.used
    ours, theirs = both(found)
    assert len(ours) == len(at)
    assert (ours.dtype.kind, ours.dtype.kind) == (theirs.dtype.kind, "i" if kind == "integers" else "U")
    assert set(ours.tolist()) <= set(theirs.tolist())
    assert [found.note, found.hazard, found.finding] == ["", "", None]


@pytest.mark.parametrize("default", [range(N), np.arange(N)], ids=["range", "numbers"])
def test_a_default_range_names_nothing(default):
    for pair in ((integers(default), integers(ORDER)), (integers(ORDER), integers(default))):
        found = compared(*pair)
        assert [found.used, found.note, found.hazard] == [False, "", ""]
    assert compared(integers(range(100, 140)), integers(range(100, 140))).used


@pytest.mark.parametrize(
    ("rows", "labels", "expected"),
    [
        (integers(ORDER), text(ORDER), "integers in the inputs, text in the labels"),
        (text(ORDER), times(DAYS), "text in the inputs, times in the labels"),
        (RowNames("floating values", np.zeros(0), N), RowNames("floating values", np.zeros(0), N), "floating values"),
        (integers([7, 7, 8]), integers([7, 8, 9]), "names of the inputs repeat"),
        (integers([7, 8, 9]), integers([7, 7, 8]), "names of the labels repeat"),
    ],
)
def test_what_is_not_compared_says_why(rows, labels, expected):
    found = compared(rows, labels)
    assert not found.used
    assert expected in found.note


@pytest.mark.parametrize(("names", "whose"), [("of the inputs", 0), ("of the labels", 1)])
def test_a_name_that_comes_twice_among_those_of_the_labels_leaves_it_open(names, whose):
    for kind, one, other in (
        (integers, [7, 9, 11, 7, 15], [7, 9, 11, 13, 15]),
        (text, list("abcae"), list("abcde")),
        (times, DAYS[[0, 1, 2, 0, 4]], DAYS[:5]),
    ):
        pair = (kind(one), kind(other)) if whose == 0 else (kind(other), kind(one))
        assert f"names {names} repeat, and" in compared(*pair).doubt
    # Two frames that were joined, each numbered from 0 on.
    joined = integers([0, 1, 2, 3, 4, 5, 0, 1])
    assert not compared(joined, integers([0, 1, 2, 3, 4, 5, 6, 8])).doubt


@pytest.mark.parametrize(
    ("rows", "labels", "offset"),
    [
        pytest.param(times(DAYS), times(DAYS + np.timedelta64(1, "D")), "1 day later than", id="a-day"),
        pytest.param(times(DAYS), times(DAYS + np.timedelta64(90, "D")), "90 days later than", id="none-in-common"),
        pytest.param(times(DAYS), times(DAYS - np.timedelta64(36, "h")), "36 hours earlier than", id="earlier"),
        pytest.param(times(DAYS), times(DAYS + np.timedelta64(1, "ns")), "1 nanosecond later than", id="smallest"),
        pytest.param(times(TRADED[:-1]), times(TRADED[1:]), "the one 1 row after", id="trading-days"),
        pytest.param(times(TRADED[3:]), times(TRADED[:-3]), "the one 3 rows before", id="trading-days-back"),
    ],
)
def test_one_offset_is_a_hazard(rows, labels, offset):
    found = compared(rows, labels)
    assert [found.used, found.note] == [False, ""]
    assert f"the time of the labels is {offset} the time of the inputs" in found.hazard
    # Parts come in any order.
    shuffled = rows.at(np.random.default_rng(1).permutation(len(rows)))
    assert compared(shuffled, labels, calls=(len(rows),)).hazard == found.hazard


@pytest.mark.parametrize(
    ("rows", "labels"),
    [
        pytest.param(integers(range(100, 140)), integers(range(1, 41)), id="integers-without-any-in-common"),
        pytest.param(times(DAYS), times(DAYS[ORDER]), id="the-same-in-another-order"),
        pytest.param(integers(ORDER[:20]), integers(ORDER[20:]), id="two-halves"),
        pytest.param(times(DAYS[:30]), times(DAYS[1:]), id="another-number"),
        pytest.param(integers([2, 3, 5, 6, 7]), integers([2, 3, 4, 6, 7]), id="rows-dropped-apart"),
        pytest.param(integers(range(100, 140)), integers(range(139, 99, -1)), id="reversed"),
    ],
)
def test_what_is_no_offset_decides(rows, labels):
    assert compared(rows, labels).used


def test_times_are_shown_as_short_as_they_are():
    ours, theirs = both(compared(times(DAYS), times(DAYS[ORDER])))
    assert ours[0] == "2024-01-01"
    hours = DAYS + np.timedelta64(90, "m")
    ours, theirs = both(compared(times(hours), times(hours[ORDER])))
    assert (ours[0], theirs.dtype) == ("2024-01-01T01:30:00", ours.dtype)


def test_the_names_of_delivered_rows():
    names = integers(range(50, 50 + N))
    assert names.at(RunLengthColumn.of(range(N))) is names
    assert names.at(np.array([3, 1])).keys().tolist() == [53, 51]
    assert names.at(np.array([3, -1])) is None
    assert names.at(np.array([N])) is None
    assert len(RowNames("floating values", np.zeros(0), N).at(np.array([3, 1]))) == 2


def test_calls_are_joined_if_all_have_names_of_one_kind():
    batches = [integers(range(32, N)), integers(range(32))]
    # A part that was numbered from 0 on names nothing.
    assert joined(batches) is None
    assert joined(batches[:1]).keys().tolist() == [*range(32, N)]
    assert joined([text([1]), text([2])]).keys().tolist() == ["s1", "s2"]
    assert joined([*batches, None]) is None
    assert joined([integers(ORDER), text(ORDER)]) is None


def test_a_reference_in_another_order_than_the_labels_is_a_finding():
    found = against_reference(text(ORDER), text(range(N))).finding
    assert found.reason is Reason.LABELS
    assert found.count == np.count_nonzero(np.arange(N) != ORDER)
    assert f"first: row 0, 's{ORDER[0]}' in the reference, 's0' in the labels" in found.message


@pytest.mark.parametrize(
    ("reference", "labels", "note"),
    [
        (text(ORDER), text(ORDER), ""),
        (integers(range(N)), integers(ORDER), ""),
        (text(range(N)), RowNames(TEXT, np.asarray([f"x/s{at}" for at in range(N)], object), N), "by the prefix 'x/'"),
        (integers(range(100, 140)), integers(range(1, 41)), "by the offset -99"),
    ],
    ids=["equal", "default", "prefix", "offset"],
)
def test_a_reference_that_names_the_same_or_other_things_is_no_finding(reference, labels, note):
    found = against_reference(reference, labels)
    assert [found.used, found.finding] == [False, None]
    assert note in found.note


GAPS = np.delete(np.arange(60), slice(None, None, 3))
SPLIT = np.random.default_rng(3).permutation(40)[:30]


@pytest.mark.parametrize(
    ("rows", "labels", "says"),
    [
        # `pd.DataFrame(scaler.transform(x))` beside a table with gaps, and both in one `train_test_split`.
        pytest.param(SPLIT, GAPS[SPLIT], "their ranks are equal, so they were not compared", id="numbered-again"),
        pytest.param(range(100, 140), range(101, 141), "or they name other rows", id="the-next-row"),
        pytest.param([3, 5, 6, 9, 12], [5, 7, 9, 12, 15], "or they name other rows", id="gaps"),
        pytest.param(range(30, 40), [31, 38, 55, 36, 71, 35, 50, 33, 37, 39], "or they name other rows", id="a-slice"),
    ],
)
def test_numbers_that_may_have_been_made_again_decide_nothing(rows, labels, says):
    sides = [
        RowNames(INTEGERS, side if isinstance(side, range) else np.array(side), len(side)) for side in (rows, labels)
    ]
    for found in (compared(*sides), compared(*sides[::-1])):
        assert not found.used
        assert says in found.note + found.doubt
        assert bool(found.doubt) is (says != "their ranks are equal, so they were not compared")


def test_other_numbers_in_another_order_are_other_samples():
    assert compared(integers(ORDER + 10), integers(ORDER + 12)).used is False
    assert compared(integers(GAPS[SPLIT]), integers(GAPS[SPLIT[::-1]])).used
