"""Columns in runs hold what plain arrays would hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalguard.core.columns.run_length import RunLengthColumn

NUMBERS = st.integers(-2, 2**40)
CHUNKS = st.lists(
    st.one_of(
        st.tuples(NUMBERS, st.integers(0, 50)).map(lambda run: range(run[0], run[0] + run[1])),
        st.lists(NUMBERS, max_size=30),
        st.lists(st.sampled_from([0, 1, 2, 3]), max_size=40),
    ),
    max_size=12,
)


@given(CHUNKS, st.sampled_from([0, 1]), st.sampled_from([3, 7, 1 << 16]))
def test_a_column_holds_what_was_put_into_it(chunks, step, size):
    runs, plain = RunLengthColumn(step), []
    for chunk in chunks:
        if isinstance(chunk, range) and step == 1:
            runs.extend_run(chunk.start, len(chunk))
        else:
            runs.extend(np.array(chunk, dtype=np.int64))
        plain += list(chunk)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evalguard.core.columns.chunks.ROWS", size)
        assert np.asarray(runs).tolist() == plain
    assert len(runs) == len(plain)
    assert runs.is_range(len(plain)) == (step == 1 and bool(plain) and plain == list(range(len(plain))))


@given(CHUNKS)
def test_runs_spread_out_are_the_column(chunks):
    plain = [number for chunk in chunks for number in chunk]
    firsts, lengths = RunLengthColumn.of(plain).runs()
    assert [first + i for first, n in zip(firsts, lengths, strict=True) for i in range(n)] == plain


def test_many_appends_one_by_one():
    rng = np.random.default_rng(0)
    plain = np.cumsum(rng.integers(1, 3, size=20_000)).tolist()
    runs = RunLengthColumn()
    for number in plain:
        runs.append(number)
    assert np.asarray(runs).tolist() == plain


def test_a_billion_rows_in_order_take_a_few_bytes():
    runs = RunLengthColumn()
    for start in range(0, 10**9, 10**5):
        runs.extend_run(start, 10**5)
    assert 0 < runs.n_bytes < 200
    assert runs.is_range(10**9)


def test_arrays_in_order_take_a_few_bytes_as_well():
    runs = RunLengthColumn()
    for batch in np.arange(100_000).reshape(-1, 100):
        runs.extend(batch)
    assert runs.n_bytes < 200
    assert runs.is_range(100_000)


def test_many_short_runs_take_less_than_plain_numbers():
    starts = np.random.default_rng(0).permutation(12_000) * 100
    runs = RunLengthColumn()
    for start in starts.tolist():
        runs.extend_run(start, 50)
    assert np.array_equal(np.asarray(runs), (starts[:, np.newaxis] + np.arange(50)).ravel())
    assert runs.n_bytes < 50 * len(starts)


def test_runs_between_numbers_in_no_order_stay_what_they_are(monkeypatch):
    # Runs are then closed in both ways.
    monkeypatch.setattr("evalguard.core.columns.run_length._MAX_OPEN_RUNS", 2)
    runs, plain = RunLengthColumn(), []
    for start in range(0, 1000, 100):
        in_no_order = [start + number for number in (9, 1, 5, 3, 7, 2, 8, 4)]
        runs.extend(np.arange(start, start + 50))
        runs.extend(np.array(in_no_order))
        runs.extend(np.array(in_no_order[:5]))
        plain += [*range(start, start + 50), *in_no_order, *in_no_order[:5]]
    assert np.asarray(runs).tolist() == plain


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize("values", [range(5), range(3, 8), range(0, 10, 2), range(5, 0, -1), [4, 4, 4]], ids=str)
def test_a_column_can_be_made_of_a_range_or_a_list(values, step):
    runs = RunLengthColumn.of(values, step)
    assert np.asarray(runs).tolist() == list(values)
    assert runs.is_range(5) is (step == 1 and values == range(5))
    assert len(runs.runs()[0]) == (1 if step == (0 if values == [4, 4, 4] else values.step) else len(values))


def test_a_column_counts_up_unless_something_else_is_said():
    assert RunLengthColumn.of(range(5)).is_range(5)
    assert RunLengthColumn.of([0, 1, 2]).is_range(3)


def test_a_range_of_any_length_is_never_an_array():
    assert RunLengthColumn.of(range(10**12)).is_range(10**12)


def test_a_run_of_no_rows_is_nothing():
    runs = RunLengthColumn()
    runs.extend_run(-7, 0)
    runs.extend_run(3, 2)
    assert (runs.lowest(), len(runs), runs.runs()[0].tolist()) == (3, 2, [3])


@pytest.mark.parametrize(
    ("values", "step", "absent"),
    [
        pytest.param(range(3, 8), 1, (2, 8), id="a-run"),
        pytest.param([5, 5, 5], 0, (4, 6), id="a-value-repeated"),
        pytest.param([9, 1, 5, 3, 7, 2, 8, 4], 1, (0, 6, 10), id="plain"),
        pytest.param([], 1, (0, 1), id="empty"),
    ],
)
def test_a_column_may_not_contain_what_no_run_covers(values, step, absent):
    runs = RunLengthColumn.of(values, step)
    assert all(runs.may_contain(value) for value in values)
    assert not any(runs.may_contain(value) for value in absent)


@pytest.mark.parametrize("extreme", [2**40, -(2**40)])
def test_plain_numbers_that_32_bits_cannot_hold_are_kept(extreme):
    values = [extreme, 5, 3, 9, 1, 7, 2, 8]
    assert np.asarray(RunLengthColumn.of(values)).tolist() == values


def test_the_array_has_the_type_that_is_requested():
    runs = RunLengthColumn.of(range(3))
    assert np.asarray(runs).dtype == np.int64
    assert np.asarray(runs, dtype=np.int32).dtype == np.int32


@pytest.mark.parametrize("put", ["at once", "batch by batch", "row by row"])
def test_no_order_takes_twice_as_much_as_plain_numbers(put):
    plain = np.random.default_rng(0).permutation(100_000)
    runs = RunLengthColumn()
    if put == "at once":
        runs.extend(plain)
    for batch in plain.reshape(-1, 32) if put == "batch by batch" else ():
        runs.extend(batch)
    for number in plain.tolist() if put == "row by row" else ():
        runs.append(number)
    assert np.array_equal(np.asarray(runs), plain)
    assert runs.n_bytes < 2.2 * plain.nbytes


def test_no_copy_is_no_answer():
    with pytest.raises(ValueError, match="expected copy"):
        RunLengthColumn.of([1]).__array__(copy=False)


@given(CHUNKS, st.sampled_from([0, 1]))
def test_what_is_asked_of_a_column_is_that_of_its_rows(chunks, step):
    runs, plain = RunLengthColumn(step), []
    for chunk in chunks:
        for number in chunk:
            runs.append(number)
        runs.extend(np.array(chunk, dtype=np.int64))
        plain += [*chunk, *chunk]
    assert runs.total() == sum(plain)
    assert runs.lowest() == min(plain, default=0)
    assert all(runs.may_contain(value) for value in plain)
    firsts, lengths = runs.runs()
    assert [first + step * i for first, n in zip(firsts, lengths, strict=True) for i in range(n)] == plain
