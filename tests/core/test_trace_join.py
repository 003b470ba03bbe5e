"""Several calls as one trace: columns are concatenated, and evidence that one call lacks is dropped."""

import numpy as np
import pytest

from evalguard.core.columns import storage
from evalguard.core.trace import ROW_WISE, SourceState, Trace
from evalguard.core.trace_join import join_traces, stack_trees
from tests.on_disk import on_disk


def a_call(rows, **parts):
    return Trace(rows, np.arange(rows), batch_sizes=np.asarray([rows]), sources=(SourceState(delivered=1),), **parts)


def test_a_session_is_the_concatenation_of_its_calls():
    parts = {"keys": np.arange(2), "fingerprints": np.arange(2, dtype=np.uint64), "targets": np.asarray([3, 4])}
    session = join_traces([a_call(2, index=np.asarray([4, 5]), **parts), a_call(2, index=np.asarray([6, 7]), **parts)])
    assert session.n_rows == 4
    assert session.calls == (2, 2)
    assert session.index is not None
    assert session.index.tolist() == [4, 5, 6, 7]
    assert session.keys.tolist() == [0, 1, 0, 1]
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


def test_arrays_passed_in_pieces_have_no_position():
    """Nothing shows that the pieces of a loader are in label order."""
    parts = [Trace(3, np.arange(3), index=np.arange(3), index_source="position") for _ in range(2)]
    assert join_traces(parts).index is None
    stated = Trace(3, np.arange(3), index=np.arange(3))
    assert join_traces([*parts, stated]).index is None
    assert join_traces([stated, parts[0]]).index is None


def test_each_call_of_a_session_keeps_its_order():
    scoring = a_call(2, ordered=False, method="evaluate")
    session = join_traces([a_call(1), scoring, a_call(2)])
    assert session.ordered
    assert session.scored is not None
    assert session.scored.tolist() == [1, 2]
    assert join_traces([scoring, a_call(1)]).scored.tolist() == [0, 1]
    for alike in (a_call(1), scoring):
        session = join_traces([alike, alike])
        assert (session.ordered, session.scored) == (alike.ordered, None)


def test_a_session_ends_as_its_last_call_did():
    assert join_traces([a_call(1), a_call(1, stopped="1 row is out of order")]).stopped == "1 row is out of order"


def test_one_call_alone_is_its_own_session():
    call = a_call(2)
    assert join_traces([call]) is call


def test_trees_are_stacked_leaf_by_leaf_and_dropped_if_their_structures_differ():
    stacked = stack_trees([{"a": np.zeros(2), "b": (np.ones(2),)}, {"a": np.zeros(1), "b": (np.ones(1),)}])
    assert stacked["a"].shape == (3,)
    assert stacked["b"][0].shape == (3,)
    assert stack_trees([np.zeros((1, 2)), np.zeros((1, 3))]) is None
    assert stack_trees([np.zeros(1), {"a": np.zeros(1)}]) is None
    assert stack_trees([{"a": np.zeros(1)}, {"b": np.zeros(1)}]) is None
    assert stack_trees([None, None]) is None
    assert stack_trees([{"a": np.arange(2)}])["a"].tolist() == [0, 1]


def test_rows_in_a_file_are_the_same_rows(monkeypatch):
    calls = [a_call(2, index=np.asarray([4, 5]), fingerprints=np.asarray([7, 8], np.uint64)) for _ in range(3)]
    plain = join_traces(calls)
    monkeypatch.setattr(storage, "MAX_IN_MEMORY", 0)
    mapped = join_traces(calls)
    assert mapped.fingerprints is not None
    assert plain.fingerprints is not None
    assert on_disk(mapped.fingerprints)
    assert not on_disk(plain.fingerprints)
    assert np.asarray(mapped.index).tolist() == np.asarray(plain.index).tolist() == [4, 5] * 3
    assert mapped.fingerprints.tolist() == plain.fingerprints.tolist() == [7, 8] * 3


def test_keys_of_two_kinds_become_text_and_inputs_of_two_kinds_have_no_spec():
    session = join_traces(
        [a_call(1, keys=np.asarray([7]), spec=("a",)), a_call(1, keys=np.asarray(["x"]), spec=("b",))]
    )
    assert session.keys is not None
    assert session.keys.tolist() == ["7", "x"]
    assert session.spec == ()


def test_each_reason_why_rows_were_not_observed_is_given_once():
    calls = [a_call(1, unobserved=why) for why in ("lost", "late", "lost")]
    assert join_traces(calls).unobserved == "lost; late"


def test_models_are_tested_only_if_each_call_was_and_any_that_moves_rows_counts():
    def joined(*results, moved=0):
        calls = [a_call(1, verified=result) for result in results]
        return join_traces([*calls, a_call(1, verified=results[0], moved_in_model=moved)])

    assert joined(ROW_WISE, ROW_WISE).verified == ROW_WISE
    assert joined(ROW_WISE, "untestable: why", "untestable: other").verified == "untestable: why"
    assert joined(ROW_WISE, "").verified == ""
    assert joined("", moved=3).moved_in_model == 3


@pytest.mark.parametrize("sources", [("stated", "part"), ("part", "stated")])
def test_rows_that_the_caller_names_make_the_whole_declared(sources):
    calls = [a_call(2, index=np.asarray([0, 1]), index_source=source) for source in sources]
    assert join_traces(calls).index_source == "part"
