"""The order of digests is NumPy's stable one, whatever their bits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalguard.core.stable_order import MAX_INVERSIONS, stable_order

DIGESTS = st.one_of(
    st.integers(0, 2**64 - 1),
    st.integers(0, 20),
    st.sampled_from([0, 1, 2**63, 2**63 + 1, 2**64 - 1, 2**64 - 2]),
)


def assert_is_numpys(values):
    order = stable_order(values)
    assert order.dtype == np.int64
    np.testing.assert_array_equal(order, np.argsort(values, kind="stable"))


@given(st.lists(DIGESTS, max_size=200))
def test_the_order_is_that_of_numpy(digests):
    assert_is_numpys(np.array(digests, dtype=np.uint64))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 1023, 1024, 1025, 100_000])
def test_the_order_of_any_number_of_digests(n):
    assert_is_numpys(np.random.default_rng(n).integers(0, 2**64, n, dtype=np.uint64))


@pytest.mark.parametrize("differing", [8, MAX_INVERSIONS, 50_000])
def test_digests_that_differ_only_where_the_position_is_packed(differing):
    values = np.random.default_rng(1).integers(0, 2**64, 50_000, dtype=np.uint64)
    values[:differing] = np.arange(differing)[::-1] % 997
    assert_is_numpys(values)


def test_equal_digests_stay_in_order():
    assert_is_numpys(np.repeat(np.random.default_rng(2).integers(0, 2**64, 100, dtype=np.uint64), 300))


@pytest.mark.parametrize("values", [np.array(["b", "a", "b"]), np.array([2.0, -1.0, 2.0]), np.array([3, 1, 3])])
def test_other_values_are_left_to_numpy(values):
    assert_is_numpys(values)


def test_the_values_are_not_changed():
    values = np.array([3, 1, 2], dtype=np.uint64)
    stable_order(values)
    assert values.tolist() == [3, 1, 2]


@given(st.lists(st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-20, 20)), max_size=200))
def test_the_order_of_integers_is_that_of_numpy(numbers):
    assert_is_numpys(np.array(numbers, dtype=np.int64))


@pytest.mark.parametrize("least", [-(2**63), -(2**40), -3, 0, 2**62])
@pytest.mark.parametrize("spread", [1, 1000, 2**40, 2**46, 2**47, 2**48, 2**61])
def test_the_order_of_integers_of_any_range(least, spread):
    assert_is_numpys(np.random.default_rng(0).integers(0, spread, 50_000) + least)


def test_what_rises_is_its_order():
    assert_is_numpys(np.arange(1000) * 3 - 500)
    assert_is_numpys(np.arange(1000, dtype=np.uint64) << np.uint64(50))
