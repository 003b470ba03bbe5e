"""The alignment plot as data: delivered rows on the x axis, samples on the y axis; aligned rows lie on the diagonal."""

from __future__ import annotations

from typing import Any

import numpy as np

from evalguard.core import arrivals
from evalguard.core.trace import FOREIGN, UNKNOWN, Int64

MAX_SEGMENTS = 2000
RASTER_SIDE = 160
RASTER_LEVELS = 9
# Rows that are processed at once: 10^8 rows need no more memory than these.
_CHUNK = 1 << 22


def aligned_runs(n_rows: int) -> dict[str, Any]:
    """``alignment_runs`` of rows that are all in position."""
    return _picture(n_rows, n_rows, segments=[[0, 0, n_rows]] if n_rows else [])


def alignment_runs(samples: Int64, n_labels: int | None = None, max_points: int = MAX_SEGMENTS) -> dict[str, Any]:
    """The plot as runs (segments), or as a raster if there are too many runs.

    Args:
        samples: Sample of each delivered row, int64, shape ``(n_rows,)``.
        n_labels: Number of labelled samples; None: up to the highest sample.
        max_points: Return a raster if there are more segments than this.

    Returns:
        ``n_rows``, ``n_labels`` and either ``segments``, a list of ``[row,
        sample, length]`` for rows that count up by one sample each (sample -1:
        unknown rows, -2: foreign rows), or ``raster``: lines from the highest
        samples down to the lowest, with a digit for each block of rows: 0 if
        it is empty, 1 to 9 by the number of rows. The other one is None.
    """
    if n_labels is None:
        n_labels = int(samples.max(initial=-1)) + 1
    segments = _segments(samples, n_labels, max_points)
    if segments is not None:
        return _picture(len(samples), n_labels, segments=segments)
    return _picture(len(samples), n_labels, raster=_raster(samples, n_labels))


def _picture(
    n_rows: int, n_labels: int, *, segments: list[list[int]] | None = None, raster: list[str] | None = None
) -> dict[str, Any]:
    return {"n_rows": n_rows, "n_labels": n_labels, "segments": segments, "raster": raster}


def _segments(samples: Int64, n_labels: int, max_points: int) -> list[list[int]] | None:
    starts = [np.zeros(min(1, len(samples)), dtype=np.int64)]
    for begin in range(0, len(samples) - 1, _CHUNK):
        part = _marked(samples[begin : begin + _CHUNK + 1], n_labels)
        goes_on = (np.diff(part) == 1) & (part[:-1] >= 0)
        goes_on |= (part[1:] == part[:-1]) & (part[1:] < 0)
        starts.append(np.flatnonzero(~goes_on) + begin + 1)
        if sum(map(len, starts)) > max_points:
            return None
    rows = np.concatenate(starts)
    lengths = np.diff(rows, append=len(samples))
    segments: list[list[int]] = np.stack([rows, _marked(samples[rows], n_labels), lengths], axis=1).tolist()
    return segments


def _marked(samples: Int64, n_labels: int) -> Int64:
    """The samples, with ``FOREIGN`` for rows that are neither a labelled sample nor ``UNKNOWN``."""
    return np.where(arrivals.known(samples, n_labels) | (samples == UNKNOWN), samples, FOREIGN)


def _raster(samples: Int64, n_labels: int) -> list[str]:
    width, height = min(RASTER_SIDE, len(samples)), max(1, min(RASTER_SIDE, n_labels))
    counts = np.zeros(width * height, dtype=np.int64)
    for begin in range(0, len(samples), _CHUNK):
        part = samples[begin : begin + _CHUNK]
        rows = np.flatnonzero(arrivals.known(part, n_labels))
        cells = (part[rows] * height // n_labels) * width + (rows + begin) * width // len(samples)
        counts += np.bincount(cells, minlength=width * height)
    levels = -(-counts * RASTER_LEVELS // max(1, int(counts.max())))
    lines = levels.reshape(height, width)[::-1]
    return ["".join(map(str, line)) for line in lines.tolist()]
