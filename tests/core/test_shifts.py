"""Shifts of one sequence against the other: every one is found, and no block, period or version is taken for one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalguard.core.shifts import shift_between, shift_of_samples

NUMBERS = np.random.default_rng(0).permutation(400)
CLASSES = np.random.default_rng(1).integers(0, 4, 400)


def brute(ours, theirs, k):
    """Whether row i equals the other's row i + k, wherever both have one."""
    rows = [i for i in range(len(ours)) if 0 <= i + k < len(theirs)]
    return bool(rows) and all(ours[i] == theirs[i + k] for i in rows)


@pytest.mark.parametrize("sequence", [NUMBERS, CLASSES], ids=["numbers", "classes"])
@pytest.mark.parametrize("k", [1, 9, 64, 65, 99, 167])
@pytest.mark.parametrize("rows", [200, 233], ids=["as-many", "more"])
def test_a_shift_is_found_in_both_directions(sequence, k, rows):
    ours, theirs = sequence[k : k + 200], sequence[:rows]
    assert brute(ours, theirs, k)
    assert shift_between(ours, theirs) == k
    assert shift_between(theirs, ours) == -k


@given(st.lists(st.integers(0, 3), min_size=2, max_size=60), st.integers(1, 30), st.integers(0, 5))
def test_what_is_found_is_a_shift(values, k, extra):
    whole = np.array(values)
    ours, theirs = whole[k:], whole[: len(whole) - extra]
    found = shift_between(ours, theirs) if len(ours) and len(theirs) else 0
    assert not found or brute(ours, theirs, found)


@given(st.permutations(range(12)), st.integers(-5, 5))
def test_a_cycle_of_up_to_half_of_the_rows_is_found(values, k):
    values = np.array(values)
    assert shift_between(np.roll(values, -k), values) == k


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        pytest.param(NUMBERS, NUMBERS, id="equal"),
        pytest.param(NUMBERS[:100], NUMBERS, id="the-first-ones"),
        pytest.param(NUMBERS, NUMBERS[::-1], id="reversed"),
        pytest.param(np.repeat([0, 1], 100), np.repeat([0, 1], [160, 40]), id="blocks-of-another-version"),
        pytest.param(np.eye(1, 200, 100, dtype=int)[0], np.eye(1, 200, 20, dtype=int)[0] * 2, id="one-of-its-kind"),
        pytest.param(np.zeros(9, int), np.array([0]), id="constant"),
        pytest.param(np.array([1]), np.array([2, 1]), id="one-row"),
    ],
)
def test_what_is_no_shift(ours, theirs):
    assert shift_between(ours, theirs) == 0


@pytest.mark.parametrize("k", [-7, -1, 1, 7])
@pytest.mark.parametrize("rows", [20, 18, 23])
def test_samples_that_are_shifted(k, rows):
    samples = np.arange(rows) + k
    samples[(samples < 0) | (samples >= 20)] = -2
    assert shift_of_samples(samples, 20) == k


@pytest.mark.parametrize(
    "samples",
    [[0, 1, 2, 3], [1, 2, 3, 0], [1, 2, 4, -2], [-2, -2, -2, 0], [3, 2, 1, 0], [-2, -2, -2, -2], [1, 2, -2, -2]],
    ids=["in-order", "around", "one-left-out", "one-of-four", "reversed", "none", "one-row-too-few"],
)
def test_samples_that_are_not(samples):
    assert shift_of_samples(np.array(samples), 4) == 0
