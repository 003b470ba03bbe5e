"""A computation in chunks has the result of the whole, wherever a chunk ends."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evalguard.core.columns import chunks
from evalguard.core.columns.chunks import counts_up, equal, first_true, n_distinct, rising, small_type
from evalguard.core.columns.run_length import RunLengthColumn
from evalguard.core.judge import judge
from evalguard.core.label_table import LabelTable
from evalguard.core.policy import Policy
from evalguard.core.trace import BatchTags, SourceState, Trace
from tests.core.streams import streams

SIZES = st.integers(1, 6)


def chunked(size, work):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "ROWS", size)
        return work()


def repeated(size, rows):
    """Sizes of batches of that many rows."""
    return np.asarray([min(size, rows - start) for start in range(0, rows, size)], dtype=np.int64)


@given(streams(unknown=True, max_labels=20), SIZES, st.integers(1, 4), st.sampled_from(["forbid", "trim"]), st.data())
def test_a_report_is_the_same_whatever_the_chunk(stream, chunk, batch, padding, data):
    samples, n = stream
    sizes = RunLengthColumn.of(repeated(batch, len(samples)), step=0)
    pulls = data.draw(st.one_of(st.just(range(len(sizes))), st.permutations(range(len(sizes)))))
    classes = data.draw(st.sampled_from([np.zeros(n), np.arange(n) // 3, np.arange(n)[::-1] % 4]))
    keys = data.draw(st.sampled_from([None, np.arange(n)[::-1], np.argsort(np.arange(n).astype(str))]))
    labels = LabelTable(values=classes.astype(np.int64), keys=keys, name="a test")
    facts = data.draw(st.sampled_from([{}, {"batch_size": batch, "shuffle": False}, {"steps": 1 + n // batch}]))
    trace = Trace(
        len(samples),
        BatchTags(RunLengthColumn.of(np.asarray(pulls)), sizes),
        index=samples,
        batch_sizes=sizes,
        sources=(SourceState(kind=data.draw(st.sampled_from(["generator", "tf.data", "unknown"])), facts=facts),),
    )

    def report():
        return judge(trace, labels, Policy(padding=padding)).report.to_dict()

    assert chunked(chunk, report) == report()


@pytest.mark.parametrize("chunk", [7, 64, 1000])
@pytest.mark.parametrize(
    "order",
    [
        pytest.param(lambda n, rng: rng.permutation(n), id="random"),
        pytest.param(lambda n, rng: rng.integers(0, n, n), id="with repetitions"),
        pytest.param(lambda n, rng: np.roll(np.arange(n), n // 3), id="rolled"),
        pytest.param(lambda n, rng: np.arange(n)[::-1], id="backwards"),
        pytest.param(lambda n, rng: np.argsort(np.arange(n) % 9, kind="stable"), id="stride"),
        pytest.param(lambda n, rng: rng.permutation(n)[: n // 2], id="half of them"),
    ],
)
def test_a_report_on_more_rows_is_the_same_whatever_the_chunk(order, chunk):
    n = 2000
    samples = np.asarray(order(n, np.random.default_rng(0)), dtype=np.int64)
    trace = Trace(len(samples), np.full(len(samples), -1), index=samples, batch_sizes=repeated(32, len(samples)))

    def report():
        return judge(trace, LabelTable(values=np.zeros(n)), Policy()).report.to_dict()

    assert chunked(chunk, report) == report()


@given(st.integers(0, 20), st.integers(0, 9), st.integers(0, 9), SIZES, st.data())
def test_counting_up_is_distinguished_from_anything_else(n, first, modulo, chunk, data):
    values = np.arange(first, first + n)
    values = values % modulo if modulo else values
    assert chunked(chunk, lambda: counts_up(values, first, modulo))
    if n:
        values[data.draw(st.integers(0, n - 1))] += 1
        assert not chunked(chunk, lambda: counts_up(values, first, modulo))


@given(st.lists(st.booleans(), max_size=20), st.integers(1, 5), SIZES)
def test_the_first_true_positions_are_those_of_the_whole(mask, limit, chunk):
    found = chunked(chunk, lambda: first_true(np.asarray(mask, dtype=bool), limit))
    assert found.tolist() == [position for position, value in enumerate(mask) if value][:limit]


@given(st.lists(st.tuples(st.integers(-2, 9), st.integers(0, 4)), max_size=8), SIZES)
@example([(-1, 2), (3, 0), (4, 3)], 2)
def test_tags_of_batches_are_those_of_their_rows(batches, chunk):
    columns = np.asarray(batches, dtype=np.int64).reshape(-1, 2)
    pulls, sizes = RunLengthColumn.of(columns[:, 0]), RunLengthColumn.of(columns[:, 1], step=0)
    plain = [pull if pull < 0 else (pull << 32) + row for pull, size in batches for row in range(size)]
    assert chunked(chunk, lambda: np.asarray(BatchTags(pulls, sizes))).tolist() == plain
    tagged, plainly = Trace(len(plain), BatchTags(pulls, sizes)), Trace(len(plain), np.asarray(plain, dtype=np.int64))
    assert tagged.tagged == plainly.tagged == all(tag >= 0 for tag in plain)
    if len(pulls) == 0 or not pulls.is_range(len(pulls)):
        assert tagged.transport_intact == chunked(chunk, lambda: plainly.transport_intact)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), SIZES, st.data())
def test_one_row_out_of_position_is_found_wherever_a_chunk_ends(sizes, chunk, data):
    tags = np.asarray([(pull << 32) + row for pull, size in enumerate(sizes) for row in range(size)], dtype=np.int64)
    assert chunked(chunk, lambda: Trace(len(tags), tags).transport_intact)
    tags[data.draw(st.integers(0, len(tags) - 1))] += 5
    assert not chunked(chunk, lambda: Trace(len(tags), tags).transport_intact)


@pytest.mark.parametrize(("bound", "bits"), [(2**31 - 2, 32), (2**31 - 1, 64), (2**40, 64)])
def test_small_integers_are_used_where_they_suffice(bound, bits):
    assert np.iinfo(small_type(0, bound)).bits == bits


@pytest.mark.parametrize("values", [[], [4], [4, 4, 4], [3, 1, 3, 2, 1], [-1, 2**62, 0, -1]])
def test_distinct_values_are_counted(values):
    array = np.array(values, dtype=np.int64)
    assert n_distinct(array) == len(set(values))
    assert array.tolist() == values


NUMBERS = st.lists(st.integers(-3, 9), max_size=9)


@given(NUMBERS, NUMBERS, SIZES)
@example([1, 2, 3], [1, 2, 3], 2)
@example([1, 2, 3], [1, 2], 1)
@example([1, 2, 3], [0, 2, 3], 1)
def test_arrays_are_equal_if_their_lengths_and_values_are(one, other, size):
    assert chunked(size, lambda: equal(np.asarray(one, int), np.asarray(other, int))) is (one == other)


@given(NUMBERS | st.lists(st.integers(-3, 9), unique=True).map(sorted), SIZES)
@example([1, 1], 1)
@example([1, 2, 0], 1)
@example([1, 2, 2, 3], 2)
def test_values_rise_if_each_is_greater_than_the_one_before(values, size):
    expected = all(one < other for one, other in itertools.pairwise(values))
    assert chunked(size, lambda: rising(np.asarray(values, int))) is expected


def test_values_count_up_from_0_unless_something_else_is_said():
    assert counts_up(np.arange(3))
    assert not counts_up(np.zeros(3, int))
    assert not counts_up(np.arange(1, 4))
