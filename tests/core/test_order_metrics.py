"""Order metrics against a brute-force reading of the terms."""

import hashlib
import json
import struct
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalguard.core import order_metrics
from tests.core import brute
from tests.core.streams import streams


@given(streams(unknown=True), st.data())
def test_the_summary_of_a_stream_is_that_of_the_terms(stream, data):
    samples, n = stream
    rows = samples.tolist()
    w = brute.first_arrivals(rows, n)
    size = data.draw(st.integers(1, 4))
    sizes = [min(size, len(rows) - start) for start in range(0, len(rows), size)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evalguard.core.columns.chunks.ROWS", data.draw(st.sampled_from([1, 3, 1 << 16])))
        metrics = order_metrics.order_metrics(samples, n, np.asarray(sizes, dtype=np.int64))
    extents = [brute.extent(w, i) for i in range(len(w)) if brute.extent(w, i)]
    displaced = brute.displacements(w)
    held, gaps, runs = brute.buffer_occupancy(w), brute.gaps(w), brute.runs(w)
    assert metrics["arrivals"] == len(w)
    assert metrics["reordered"] == len(brute.reordered(rows, n))
    assert metrics["extent"] == spread(extents)
    assert metrics["n_reordering"] == degrees([brute.n_reordering(w, i) for i in range(len(w))])
    assert metrics["runs"] == spread(runs)
    assert (metrics["gaps"]["count"], metrics["gaps"]["divisor"]) == (
        len(gaps),
        np.gcd.reduce(np.asarray(gaps, dtype=np.int64)),
    )
    most = max(Counter(gaps).values(), default=0)
    assert metrics["gaps"]["most_common_count"] == most
    assert metrics["gaps"]["most_common"] == min((gap for gap in gaps if gaps.count(gap) == most), default=None)
    assert metrics["displacement"]["moved"] == sum(d != 0 for d in displaced)
    assert metrics["displacement"]["min"] == min([0, *displaced])
    assert metrics["displacement"]["max"] == max([0, *displaced])
    assert metrics["displacement"]["histogram"] == [[d, d, displaced.count(d)] for d in sorted(set(displaced))]
    assert metrics["buffer"] == spread(held)
    assert metrics["arrival_counts"] == brute.arrival_counts(rows, n)
    assert metrics["offset"]["misaligned"] == len(brute.misaligned(rows))
    offsets = Counter(sample - row for row, sample in enumerate(rows) if brute.is_known(sample, n))
    assert offsets[metrics["offset"]["most_common"]] == metrics["offset"]["most_common_count"]
    assert metrics["offset"]["most_common_count"] == max(offsets.values(), default=0)
    assert (metrics["offset"]["min"], metrics["offset"]["max"]) == (min([0, *offsets]), max([0, *offsets]))
    assert metrics["delta"] == deltas(rows, size)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def degrees(reach):
    return {"max": max(reach, default=0), "at_least_3": sum(n >= 3 for n in reach)}


def spread(values):
    mean = sum(values) / len(values) if values else 0
    return {"count": len(values), "max": max([0, *values]), "mean": pytest.approx(mean)}


def deltas(rows, size):
    found = {part: {"next": 0, "skip": 0, "back": 0} for part in ("within", "across")}
    for i in range(len(rows) - 1):
        if rows[i] >= 0 and rows[i + 1] >= 0:
            step = rows[i + 1] - rows[i]
            name = "next" if step == 1 else "skip" if step > 1 else "back"
            found["across" if (i + 1) % size == 0 else "within"][name] += 1
    return found


def test_whole_swapped_batches_show_in_the_gaps():
    batches = np.arange(80).reshape(10, 8)
    metrics = order_metrics.order_metrics(batches[[1, 0, 3, 2, 5, 4, 7, 6, 9, 8]].ravel(), 80, np.full(10, 8))
    assert metrics["gaps"] == {"count": 4, "most_common": 16, "most_common_count": 4, "divisor": 16}
    assert metrics["delta"]["within"] == {"next": 70, "skip": 0, "back": 0}


def test_of_gaps_that_are_as_common_the_smallest_is_reported():
    metrics = order_metrics.order_metrics(np.asarray([1, 0, 3, 2, 5, 6, 4, 7]), 8)
    assert metrics["gaps"] == {"count": 2, "most_common": 2, "most_common_count": 1, "divisor": 1}


def test_batches_without_rows_are_between_no_two_rows():
    metrics = order_metrics.order_metrics(np.arange(4), 4, np.asarray([0, 2, 0, 2, 0]))
    assert [metrics["delta"][part]["next"] for part in ("within", "across")] == [2, 1]


# -- Fingerprints -----------------------------------------------------------------------------------------------------


@given(streams(), streams())
def test_fingerprints_are_equal_exactly_for_equal_orders_and_sets(first, second):
    (a, n), (b, m) = first, second
    assert (order_metrics.order_fingerprint(a) == order_metrics.order_fingerprint(b)) == (a.tolist() == b.tolist())
    one, other = order_metrics.set_fingerprint(a, n), order_metrics.set_fingerprint(b, max(n, m))
    if n == m or (a.max(initial=-1) < n and b.max(initial=-1) < m):
        assert (one == other) == (sorted(a.tolist()) == sorted(b.tolist()))


@pytest.mark.parametrize("samples", [[0, 1], [1, 0, 0, 1], [2], [0, 0]])
def test_the_set_of_samples_does_not_depend_on_the_number_of_labels(samples):
    found = {order_metrics.set_fingerprint(np.asarray(samples), n) for n in (3, 4, 5, 8)}
    assert len(found) == 1


def test_fingerprints_do_not_depend_on_the_machine():
    expected = hashlib.sha256(struct.pack("<Q3q", 3, 2, 0, 1)).hexdigest()[:16]
    assert order_metrics.order_fingerprint(np.asarray([2, 0, 1])) == expected
    assert order_metrics.order_fingerprint(np.asarray([2, 0, 1], dtype=">i8")) == expected


# -- Summaries --------------------------------------------------------------------------------------------------------


def test_all_metrics_of_a_long_permutation_take_a_few_arrays_of_memory():
    samples = np.random.default_rng(0).permutation(1_000_000)
    tracemalloc.start()
    order_metrics.order_metrics(samples, len(samples))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # 10^8 rows then stay within 3 GB, of which 0.8 GB are the samples themselves.
    assert peak < 2.5 * samples.nbytes
