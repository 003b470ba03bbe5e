"""The rows of each sample, compared with a brute-force reading of the terms."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evalguard.core import arrivals
from tests.core import brute
from tests.core.streams import streams

STREAMS = streams(unknown=True)


@given(STREAMS)
def test_known_rows_hold_a_labelled_sample(stream):
    samples, n = stream
    assert arrivals.known(samples, n).tolist() == [brute.is_known(sample, n) for sample in samples.tolist()]


@given(STREAMS)
def test_seen_samples_are_those_that_are_not_missing(stream):
    samples, n = stream
    assert np.flatnonzero(~arrivals.seen(samples, n)).tolist() == brute.missing(samples.tolist(), n)


@given(STREAMS)
@example((np.asarray([0, 0, 2]), 3))
def test_arrival_counts_are_rows_per_sample(stream):
    samples, n = stream
    assert [int(count) for count in arrivals.arrival_counts(samples, n)] == [
        samples.tolist().count(sample) for sample in range(n)
    ]


@given(STREAMS, st.integers(1, 5))
@example((np.asarray([1, 0, 1, 0]), 2), 3)
def test_first_arrivals_and_repetitions_are_those_of_the_terms_for_any_chunk(stream, size):
    samples, n = stream
    rows = samples.tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evalguard.core.columns.chunks.ROWS", size)
        assert arrivals.first_arrivals(samples, n).tolist() == brute.arrival_rows(rows, n)
        assert arrivals.arrived(samples, n).tolist() == brute.first_arrivals(rows, n)
        assert arrivals.duplicate_rows(samples, n).tolist() == brute.duplicate(rows, n)
        assert np.flatnonzero(arrivals.reordered(samples, n)).tolist() == brute.reordered(rows, n)
        assert np.flatnonzero(arrivals.misaligned(samples)).tolist() == brute.misaligned(rows)


def test_values_in_chunks_are_compared_with_the_highest_of_all_chunks_before():
    overtaken = arrivals.Overtaken()
    assert overtaken.among(np.asarray([0, 3, 1])).tolist() == [False, False, True]
    assert overtaken.among(np.asarray([2, 4])).tolist() == [True, False]
    assert overtaken.among(np.asarray([], dtype=np.int64)).tolist() == []
    assert overtaken.among(np.asarray([4, 3])).tolist() == [False, True]
