"""A share of the rows, chosen by their place: what is compared where looking at every row costs too much.

A row is chosen by a hash of its number alone. So both sides of a comparison
choose the same places, however the rows are cut into batches, and a report can
be made again. The first and the last row are always among them.
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
    """Which rows are looked at.

    Attributes:
        share: Of all rows, above 0 and below 1.
    """

    share: float

    def within(self, start: int, stop: int) -> Int64:
        """Rows from ``start`` to ``stop`` that are chosen whether or not more rows follow."""
        rows = np.arange(start, stop, dtype=np.int64)
        chosen = _mixed(rows.view(np.uint64)) < np.uint64(int(self.share * 2.0**64))
        chosen[rows == 0] = True
        return rows[chosen]

    def of(self, n_rows: int) -> Int64:
        """All rows that are chosen of so many: int64, rising."""
        found = [self.within(rows.start, rows.stop) for rows in chunks(n_rows)]
        if n_rows and found[-1][-1:].tolist() != [n_rows - 1]:
            found.append(np.asarray([n_rows - 1]))
        return np.concatenate(found) if found else np.zeros(0, np.int64)


def _mixed(rows: UInt64) -> UInt64:
    """SplitMix64: numbers that follow each other become 64 bits that look random."""
    # https://prng.di.unimi.it/splitmix64.c
    mixed = (rows + np.uint64(1)) * _SEED
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def sampling_of(content: Any) -> Sampling | None:
    """What the option ``content`` asks for; None: every row.

    Raises:
        ConfigError: It is neither ``all`` nor such as ``sample:0.01``.
    """
    if isinstance(content, str) and re.fullmatch(CONTENT, content):
        return None if content == ALL else Sampling(float(content.partition(":")[2]))
    msg = (
        f"content: expected 'all', or a share of the rows above 0 and below 1 such as 'sample:0.01'; "
        f"found {str(content)[:60]!r}."
    )
    raise ConfigError(msg)


def nothing_to_compare(content: str) -> ConfigError:
    """The error where some rows shall be looked at, and there are no inputs in label order."""
    return ConfigError(
        f"content={content!r}: expected inputs in label order to compare rows with, found none. "
        "Give reference=, or labels of Labels.collect(dataset) or of a manifest."
    )


@dataclass(frozen=True, slots=True, eq=False)
class SampledRows:
    """Fingerprints of the rows that were chosen.

    Attributes:
        positions: int64, shape ``(k,)``: their numbers, rising.
        fingerprints: uint64, shape ``(k,)``.
        n_rows: Rows that they were chosen of.
    """

    positions: Int64
    fingerprints: UInt64
    n_rows: int


class RowSampler:
    """Chooses rows of a stream whose length is known at its end only.

    Args:
        sampling: Which rows.
        memory: Shared with other columns of the call.

    Attributes:
        n_rows: Rows that came by so far.
    """

    def __init__(self, sampling: Sampling, memory: MemoryBudget | None = None) -> None:
        self.n_rows = 0
        self._sampling = sampling
        self._found = ColumnBuffer(np.uint64, memory)
        # The latest row is the last one until another comes.
        self._last: UInt64 = np.zeros(0, np.uint64)
        self._added = False

    def choose(self, n_rows: int) -> Int64:
        """Which of the next rows to fingerprint: int64, counted from the first of these; ``put`` must follow."""
        rows = self._sampling.within(self.n_rows, self.n_rows + n_rows) - self.n_rows
        self.n_rows += n_rows
        self._added = bool(n_rows) and rows[-1:].tolist() != [n_rows - 1]
        return np.append(rows, n_rows - 1) if self._added else rows

    def put(self, fingerprints: UInt64) -> None:
        """Fingerprints of the rows chosen last."""
        if not len(fingerprints):
            return
        self._last = fingerprints[-1:] if self._added else fingerprints[:0]
        self._found.append(fingerprints[:-1] if self._added else fingerprints)

    def sampled(self) -> SampledRows | None:
        """What was found; None where nothing came by."""
        if not self.n_rows:
            return None
        found = np.concatenate([self._found.array(), self._last])
        return SampledRows(self._sampling.of(self.n_rows), found, self.n_rows)
