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


@given(CHUNKS, st.sampled_from([0, 1]))
def test_a_column_holds_what_was_put_into_it(chunks, step):
    runs, plain = RunLengthColumn(step), []
    for chunk in chunks:
        if isinstance(chunk, range) and step == 1:
            runs.extend_run(chunk.start, len(chunk))
        else:
            runs.extend(np.array(chunk, dtype=np.int64))
        plain += list(chunk)
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
    assert runs.n_bytes < 200
    assert runs.is_range(10**9)


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
