"""The terms of RFC 4737 and RFC 5236 against a brute-force reading of them."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evalguard.core import order_rfc
from tests.core import brute

DISTINCT = st.lists(st.integers(0, 25), unique=True, max_size=14)
COMPLETE = st.integers(0, 14).flatmap(lambda n: st.permutations(range(n)))


def an_array(values, dtype="int64"):
    return np.asarray(values, dtype=dtype)


def joined(parts):
    return [value for part in parts for value in part.tolist()]


def degrees(reach):
    return {"max": max(reach, default=0), "at_least_3": sum(n >= 3 for n in reach)}


@given(DISTINCT | COMPLETE, st.sampled_from(["int32", "int64"]), st.sampled_from([1, 2, 3, 5, 1 << 16]))
@example([1, 2, 3, 6, 4, 5, 7], "int32", 1 << 16)
def test_every_metric_of_a_sequence_is_that_of_the_terms_for_any_chunk(w, dtype, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evalguard.core.columns.chunks.ROWS", size)
        check_metrics(w, an_array(w, dtype))


def check_metrics(w, arrived):
    n_labels = len(w) if set(w) == set(range(len(w))) else 26
    rows = range(len(w))
    late = order_rfc.is_reordered(arrived)
    assert late.tolist() == [any(w[j] > w[i] for j in range(i)) for i in rows]
    assert joined(order_rfc.extents(arrived)) == [brute.extent(w, i) for i in rows]
    assert order_rfc.n_reordering(arrived) == degrees([brute.n_reordering(w, i) for i in rows])
    assert joined(order_rfc.run_lengths(late)) == brute.runs(w)
    assert joined(order_rfc.gaps(arrived)) == brute.gaps(w)
    assert order_rfc.displacements(arrived, n_labels).tolist() == brute.displacements(w)
    held, waits = brute.buffer_occupancy(w), joined(order_rfc.waits(arrived, n_labels))
    assert (len(waits), max(waits, default=0), sum(waits)) == (len(held), max(held, default=0), sum(held))


@given(DISTINCT)
def test_the_terms_hang_together_as_they_must(w):
    arrived = an_array(w)
    late = order_rfc.is_reordered(arrived)
    displaced = order_rfc.displacements(arrived, 26)
    assert displaced.sum() == 0
    assert late.any() == displaced.any()
    assert max(joined(order_rfc.extents(arrived)), default=0) >= order_rfc.n_reordering(arrived)["max"]
    assert any(joined(order_rfc.waits(arrived, 26))) == late.any()


def test_the_example_of_the_terms():
    arrived = an_array([1, 2, 3, 6, 4, 5, 7])
    assert joined(order_rfc.extents(arrived)) == [0, 0, 0, 0, 1, 2, 0]
    assert order_rfc.displacements(arrived, 8).tolist() == [0, 0, 0, -2, 1, 1, 0]


@pytest.mark.parametrize("n", [100_003, 2**17])
@pytest.mark.parametrize(
    "order",
    [
        pytest.param(lambda n: np.roll(np.arange(n), 1), id="first one late"),
        pytest.param(lambda n: np.arange(n)[::-1], id="backwards"),
        pytest.param(lambda n: np.concatenate([np.arange(1, n, 2), np.arange(0, n, 2)]), id="two shards"),
        pytest.param(lambda n: np.argsort(np.arange(n).astype(str)), id="sorted as text"),
        pytest.param(lambda n: np.random.default_rng(0).permutation(n), id="random"),
    ],
)
def test_long_sequences_have_the_degrees_a_stack_gives(n, order):
    w = order(n).tolist()
    stack: list[int] = []
    expected = []
    for i, value in enumerate(w):
        while stack and w[stack[-1]] > value:
            stack.pop()
        expected.append(stack[-1] if stack else -1)
        stack.append(i)
    reach = [row - before - 1 for row, before in enumerate(expected)]
    assert order_rfc.n_reordering(an_array(w, "int32")) == degrees(reach)


@given(st.lists(st.integers(-1000, 1000), min_size=1), st.integers(3, 60))
def test_a_histogram_counts_each_value_in_the_one_bin_it_lies_in(values, max_bins):
    bins = order_rfc.histogram(an_array(values), max_bins)
    assert len(bins) <= max_bins + 1
    assert len({high - low for low, high, _ in bins}) == 1
    assert [count for *_, count in bins] == [sum(low <= v <= high for v in values) for low, high, _ in bins]
    assert sum(count for *_, count in bins) == len(values)
    assert all((low <= 0 <= high) == (low + high == 0) for low, high, _ in bins)


@given(st.lists(st.integers(-1000, 1000), min_size=1), st.integers(1, 60))
def test_the_bins_of_a_histogram_are_the_narrowest_that_suffice(values, max_bins):
    half = max(1, max_bins // 2)
    reach = max(map(abs, values))
    (width,) = {high - low + 1 for low, high, _ in order_rfc.histogram(an_array(values), max_bins)}
    assert width % 2 == 1
    assert width * half >= reach
    assert width == 1 or (width - 2) * half < reach


def test_bins_without_a_value_are_left_out():
    assert order_rfc.histogram(an_array([])) == []
    assert order_rfc.histogram(an_array([-2, 0, 0, 1])) == [[-2, -2, 1], [0, 0, 2], [1, 1, 1]]
    assert order_rfc.histogram(an_array([-9, 4, 5]), max_bins=6) == [[-10, -8, 1], [2, 4, 1], [5, 7, 1]]
