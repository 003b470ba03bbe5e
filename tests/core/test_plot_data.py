"""The alignment plot against its definition, row by row."""

import json
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evalguard.core import plot_data
from tests.core import brute
from tests.core.streams import streams


@given(streams(unknown=True), st.integers(1, 5))
@example((np.asarray([0, 0, 1]), 2), 5)
def test_segments_are_the_runs_of_the_stream(stream, chunk):
    samples, n = stream
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plot_data, "_CHUNK", chunk)
        plot = plot_data.alignment_runs(samples, n)
    assert plot["segments"] == brute.segments(samples.tolist(), n)
    assert (plot["n_rows"], plot["n_labels"], plot["raster"]) == (len(samples), n, None)
    assert sum(length for *_, length in plot["segments"]) == len(samples)


@pytest.mark.parametrize("n", [1, 7, 1000])
def test_an_aligned_stream_is_one_segment(n):
    assert plot_data.aligned_runs(n) == plot_data.alignment_runs(np.arange(n), n)
    assert plot_data.aligned_runs(n)["segments"] == [[0, 0, n]]
    assert plot_data.aligned_runs(0)["segments"] == []


@given(st.integers(2, 400), st.integers(1, 5), st.integers(1, 100), st.data())
def test_too_many_runs_become_a_raster_with_each_row_in_its_cell(n, max_points, chunk, data):
    samples = np.random.default_rng(data.draw(st.integers(0, 99))).permutation(n)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plot_data, "_CHUNK", chunk)
        plot = plot_data.alignment_runs(samples, n, max_points=max_points)
    if len(brute.segments(samples.tolist(), n)) <= max_points:
        assert plot["raster"] is None
        return
    side = min(n, plot_data.RASTER_SIDE)
    cells = Counter((sample * side // n, row * side // n) for row, sample in enumerate(samples.tolist()))
    assert plot["segments"] is None
    assert [len(line) for line in plot["raster"]] == [side] * side
    most = max(cells.values())
    for y, line in enumerate(reversed(plot["raster"])):
        for x, level in enumerate(line):
            assert (level == "0") == (cells[y, x] == 0)
            assert (int(level) - 1) * most < cells[y, x] * 9 <= int(level) * most or level == "0"


def test_a_picture_of_many_rows_is_small_and_takes_little_memory():
    samples = np.random.default_rng(0).permutation(1_000_000)
    tracemalloc.start()
    plot = plot_data.alignment_runs(samples, len(samples))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(json.dumps(plot)) < 30_000
    assert peak < 10 * samples.nbytes


def test_a_single_label_is_one_line():
    assert plot_data.alignment_runs(np.zeros(3, int), 1, max_points=1)["raster"] == ["999"]


@pytest.mark.parametrize(("samples", "n_labels"), [([0, 2, 1], 3), ([-1, -1], 0), ([], 0)])
def test_without_a_number_of_labels_the_plot_goes_up_to_the_highest_sample(samples, n_labels):
    assert plot_data.alignment_runs(np.asarray(samples, dtype=np.int64))["n_labels"] == n_labels
