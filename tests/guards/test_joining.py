"""Several calls as one trace: in the order made, or as parts."""

from types import SimpleNamespace

import numpy as np
import pytest

from evalguard.core.trace import UNKNOWN, Trace
from evalguard.guards.joining import OVERLAP, dtypes_of, named_by_part, one_trace, overlap

MAKER, OTHER = ("thread", None), ("another", None)


def call(n_rows, start, seconds=1.0, made_by=MAKER, **of_trace):
    trace = Trace(n_rows, np.arange(n_rows), **of_trace)
    recorder = SimpleNamespace(outputs=(), fingerprints=SimpleNamespace(specs=()))
    return SimpleNamespace(trace=trace, start=start, seconds=seconds, made_by=made_by, recorder=recorder)


def test_calls_are_joined_in_the_order_made():
    trace = one_trace([call(2, 0), call(3, 1)], None, in_parts=False)
    assert (trace.n_rows, trace.calls, trace.ordered, trace.ended) == (5, (2, 3), True, ())


@pytest.mark.parametrize("second", [call(3, 0.5), call(3, 2, made_by=OTHER)], ids=["overlaps", "another thread"])
def test_calls_that_overlap_have_no_order_and_as_parts_need_none(second):
    calls = [call(2, 0), second]
    assert overlap(calls)
    trace = one_trace(calls, None, in_parts=False)
    assert (trace.ordered, trace.unobserved) == (False, OVERLAP)
    parts = one_trace(calls, None, in_parts=True)
    assert (parts.ordered, parts.unobserved) == (True, "")
    assert parts.ended == (1.0, second.start + second.seconds)
    assert parts.in_threads is (second.made_by == OTHER)


def test_a_position_in_the_array_of_one_part_is_no_label_row():
    index = np.arange(2)
    placed = Trace(2, np.arange(2), index, index_source="position")
    named = Trace(2, np.arange(2), index + 4, index_source="part")
    stated = Trace(2, np.arange(2), index + 6, index_source="stated")
    assert [trace.index is None for trace in named_by_part([placed, stated])] == [True, False]
    unnamed, kept, of_source = named_by_part([placed, named, stated])
    assert unnamed.index.tolist() == [UNKNOWN, UNKNOWN]
    assert (kept.index.tolist(), of_source.index.tolist()) == ([4, 5], [6, 7])


def test_the_types_of_the_inputs_are_those_of_their_fingerprints():
    one = call(2, 0)
    one.recorder.fingerprints.specs = (SimpleNamespace(dtype="float32"), SimpleNamespace(dtype="int64"))
    assert dtypes_of(one) == ("float32", "int64")
