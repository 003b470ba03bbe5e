"""A share of the rows, sampled by position, for data where checking every row costs too much.

A hash of the row number alone decides whether a row is sampled. So both sides of
a comparison sample the same positions for any batch size, and a report can be
reproduced. The first and the last row are always sampled.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.columns.chunks import chunks
from evalguard.core.columns.storage import ColumnBuffer, MemoryBudget
from evalguard.errors import ConfigError

ALL = "all"
CONTENT = r"^(all|sample:0?\.\d*[1-9]\d*)$"

Int64 = NDArray[np.int64]
UInt64 = NDArray[np.uint64]
_SEED = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which rows are checked.

    Attributes:
        share: Share of the rows, above 0 and below 1.
    """

    share: float

    def within(self, start: int, stop: int) -> Int64:
        """The sampled rows from ``start`` to ``stop``, except that the last row of the stream is not added."""
        rows = np.arange(start, stop, dtype=np.int64)
        chosen = _mixed(rows.view(np.uint64)) < np.uint64(int(self.share * 2.0**64))
        chosen[rows == 0] = True
        return rows[chosen]

    def of(self, n_rows: int) -> Int64:
        """All sampled rows of a stream of ``n_rows``: int64, ascending."""
        found = [self.within(rows.start, rows.stop) for rows in chunks(n_rows)]
        if n_rows and found[-1][-1:].tolist() != [n_rows - 1]:
            found.append(np.asarray([n_rows - 1]))
        return np.concatenate(found) if found else np.zeros(0, np.int64)


def _mixed(rows: UInt64) -> UInt64:
    """SplitMix64: maps consecutive numbers to 64 pseudo-random bits."""
    # https://prng.di.unimi.it/splitmix64.c
    mixed = (rows + np.uint64(1)) * _SEED
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def sampling_of(content: Any) -> Sampling | None:
    """The option ``content`` as a sampling; None: every row.

    Raises:
        ConfigError: It is neither ``all`` nor a share such as ``sample:0.01``.
    """
    if isinstance(content, str) and re.fullmatch(CONTENT, content):
        return None if content == ALL else Sampling(float(content.partition(":")[2]))
    msg = (
        f"content: expected 'all', or a share of the rows above 0 and below 1 such as 'sample:0.01'; "
        f"found {str(content)[:60]!r}."
    )
    raise ConfigError(msg)


def nothing_to_compare(content: str) -> ConfigError:
    """The error for a sampling option without inputs in label order to compare with."""
    return ConfigError(
        f"content={content!r}: expected inputs in label order to compare rows with, found none. "
        "Pass `reference=`, or labels from `Labels.collect(dataset)` or from a manifest."
    )


@dataclass(frozen=True, slots=True, eq=False)
class SampledRows:
    """Fingerprints of the sampled rows.

    Attributes:
        positions: int64, shape ``(k,)``: numbers of these rows, ascending.
        fingerprints: uint64, shape ``(k,)``.
        n_rows: Rows of the whole stream.
    """

    positions: Int64
    fingerprints: UInt64
    n_rows: int


class RowSampler:
    """Samples rows of a stream whose length is known only at its end.

    Args:
        sampling: Which rows.
        memory: Shared with other columns of the call.

    Attributes:
        n_rows: Rows seen so far.
    """

    def __init__(self, sampling: Sampling, memory: MemoryBudget | None = None) -> None:
        self.n_rows = 0
        self._sampling = sampling
        self._found = ColumnBuffer(np.uint64, memory)
        # The latest row counts as the last one until another arrives.
        self._last: UInt64 = np.zeros(0, np.uint64)
        self._added = False

    def choose(self, n_rows: int) -> Int64:
        """Which of the next rows to fingerprint: int64, relative to the first of them. Call ``put`` next."""
        rows = self._sampling.within(self.n_rows, self.n_rows + n_rows) - self.n_rows
        self.n_rows += n_rows
        self._added = bool(n_rows) and rows[-1:].tolist() != [n_rows - 1]
        return np.append(rows, n_rows - 1) if self._added else rows

    def put(self, fingerprints: UInt64) -> None:
        """Add the fingerprints of the rows that ``choose`` returned last."""
        if not len(fingerprints):
            return
        self._last = fingerprints[-1:] if self._added else fingerprints[:0]
        self._found.append(fingerprints[:-1] if self._added else fingerprints)

    def sampled(self) -> SampledRows | None:
        """The sampled rows; None if there was no row."""
        if not self.n_rows:
            return None
        found = np.concatenate([self._found.array(), self._last])
        return SampledRows(self._sampling.of(self.n_rows), found, self.n_rows)
