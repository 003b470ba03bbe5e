"""Traces: tags, and whether rows arrived in the order the source emitted them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalguard.core.trace import ROW_BITS, SourceState, Trace, batch_and_row, row_tag


def tags_of(sizes):
    return [pull << ROW_BITS | row for pull, size in enumerate(sizes) for row in range(size)]


SIZES = st.lists(st.integers(1, 3), min_size=1, max_size=4)


@given(SIZES)
def test_rows_delivered_as_pulled_are_intact(sizes):
    tags = np.asarray(tags_of(sizes))
    assert Trace(len(tags), tags).transport_intact is True


@given(SIZES, st.data())
def test_another_order_or_a_gap_is_not_intact(sizes, data):
    whole = tags_of(sizes)
    order = data.draw(st.permutations(whole))
    assert Trace(len(order), np.asarray(order)).transport_intact is (list(order) == whole)
    if len(sizes) > 1:
        lost = data.draw(st.integers(0, len(sizes) - 2))
        skipped = [tag for tag in whole if tag >> ROW_BITS != lost]
        assert Trace(len(skipped), np.asarray(skipped)).transport_intact is False
    again = whole + whole[-1:]
    assert Trace(len(again), np.asarray(again)).transport_intact is False


def test_transport_is_unknown_for_rows_without_a_tag_or_not_observed():
    assert Trace(2, np.asarray([0, -1])).transport_intact is None
    assert Trace(2, np.asarray([0, 1]), unobserved="an error").transport_intact is None
    assert Trace(0, np.zeros(0, np.int64)).transport_intact is True


@pytest.mark.parametrize("part", ["index", "keys", "fingerprints", "padding"])
def test_a_part_of_another_length_is_refused(part):
    parts: dict[str, Any] = {part: np.zeros(3)}
    with pytest.raises(ValueError, match=rf"Trace\.{part}: expected 2 rows, found 3"):
        Trace(2, np.zeros(2, np.int64), **parts)


def test_batches_taken_and_not_delivered_are_ahead():
    assert SourceState(pulled=5, delivered=3).ahead == 2
    assert SourceState(pulled=None, delivered=3).ahead == 0
    assert SourceState(pulled=2, delivered=3).ahead == 0


@given(st.integers(0, 2**31 - 1), st.integers(0, 2**32 - 1))
def test_a_tag_names_a_batch_and_a_row_in_it(number, row):
    assert batch_and_row(row_tag(number, row)) == (number, row)
    assert row_tag(number, row) - row_tag(number) == row
    assert row_tag(number) <= np.iinfo(np.int64).max
