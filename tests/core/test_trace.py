"""Traces: tags, and calls joined to a session."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalguard.core.trace import ROW_BITS, SourceState, Trace
from evalguard.core.trace_join import join_traces, stack_trees


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


def test_nothing_is_known_of_rows_that_carry_no_tag_or_were_not_observed():
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


def a_call(rows, **parts):
    return Trace(rows, np.arange(rows), batch_sizes=np.asarray([rows]), sources=(SourceState(delivered=1),), **parts)


def test_a_session_is_its_calls_one_behind_the_other():
    parts = {"keys": np.arange(2), "fingerprints": np.arange(2, dtype=np.uint64), "targets": np.asarray([3, 4])}
    session = join_traces([a_call(2, index=np.asarray([4, 5]), **parts), a_call(2, index=np.asarray([6, 7]), **parts)])
    assert session.n_rows == 4
    assert session.calls == (2, 2)
    assert session.index is not None
    assert session.index.tolist() == [4, 5, 6, 7]
    assert session.targets.tolist() == [3, 4, 3, 4]
    assert session.batch_sizes.tolist() == [2, 2]
    assert len(session.sources) == 2
    assert session.transport_intact is True


def test_a_session_is_as_well_proven_as_its_weakest_call():
    session = join_traces([a_call(2, keys=np.arange(2), index=np.arange(2)), a_call(1)])
    assert session.keys is None
    assert session.index is None
    assert join_traces([a_call(1), a_call(1, unobserved="why")]).unobserved == "why"
    assert join_traces([a_call(1), a_call(1, one_to_one=False)]).one_to_one is False


def test_arrays_handed_over_in_pieces_have_no_position():
    """Nobody says that the pieces of a loader come in label order."""
    parts = [Trace(3, np.arange(3), index=np.arange(3), index_source="position") for _ in range(2)]
    assert join_traces(parts).index is None


def test_one_call_alone_is_its_own_session():
    call = a_call(2)
    assert join_traces([call]) is call


def test_nests_are_stacked_leaf_by_leaf_and_unlike_ones_are_dropped():
    stacked = stack_trees([{"a": np.zeros(2), "b": (np.ones(2),)}, {"a": np.zeros(1), "b": (np.ones(1),)}])
    assert stacked["a"].shape == (3,)
    assert stacked["b"][0].shape == (3,)
    assert stack_trees([np.zeros((1, 2)), np.zeros((1, 3))]) is None
    assert stack_trees([np.zeros(1), {"a": np.zeros(1)}]) is None
    assert stack_trees([{"a": np.zeros(1)}, {"b": np.zeros(1)}]) is None
    assert stack_trees([None, None]) is None
