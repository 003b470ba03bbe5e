"""What an engine notes of each batch just before the model computes on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard import nests
from evalguard.core.labels import normal_keys
from evalguard.core.trace import ROW_BITS, UNKNOWN, SourceState, Trace, stack_nests
from evalguard.fingerprint import LeafSpec, is_padding, row_fingerprints
from evalguard.tagging import Unwrap, untagged


@dataclass(frozen=True, slots=True)
class Wanted:
    """What shall be noted of each batch.

    Attributes:
        content: ``always``: fingerprint each row. ``targets``: only where
            the stream carries targets and no index, to find repeated rows.
        key: Entry of ``x`` that holds the keys, or a callable that takes the
            batch (as NumPy) and returns one key per row.
        strip_key: Take the entry out of ``x`` before the model sees it.
        fingerprint: Callable that takes ``x`` (as NumPy) and returns the part
            that identifies a row.
        pad_value: See ``fingerprint.row_fingerprints``.
    """

    content: str = "targets"
    key: str | Callable[[Any], Any] | None = None
    strip_key: bool = False
    fingerprint: Callable[[Any], Any] | None = None
    pad_value: Any = None


@dataclass(slots=True)
class Recorder:
    """Collects one guarded call, batch by batch; turns into a ``Trace`` at the end.

    Whatever goes wrong in here ends as ``problem`` and never disturbs the call.
    """

    wanted: Wanted
    unwrap: Unwrap = untagged
    tags: list[NDArray[np.int64]] = field(default_factory=list)
    fingerprints: list[NDArray[np.uint64]] = field(default_factory=list)
    keys: list[Any] = field(default_factory=list)
    targets: list[Any] = field(default_factory=list)
    padding: list[NDArray[np.bool_]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    specs: tuple[LeafSpec, ...] = ()
    problem: str = ""
    first: Any = None
    seconds: float = 0.0

    def take(self, batch: Any, tag: Any) -> Any:
        """Note one batch that is about to be fed; the batch as the model shall get it."""
        start = time.perf_counter()
        try:
            self._note(batch, tag)
        except Exception as error:  # noqa: BLE001 - checking must never cost the user the predictions
            self.problem = self.problem or f"{type(error).__name__} while a batch was noted: {error}"
        if self.wanted.strip_key:
            batch = self.without_key(batch)
        self.seconds += time.perf_counter() - start
        return batch

    def _note(self, batch: Any, tag: Any) -> None:
        x, y, _ = nests.unpack(batch)
        size, stated = self._note_tag(x, tag)
        self.sizes.append(size)
        wanted = self.wanted
        if y is not None:
            self._note_targets(y)
        if wanted.key is not None:
            self.keys.append(self._keys(batch, x))
        if wanted.content == "always" or (self.targets and not stated and wanted.key is None):
            self._note_content(x)

    def _note_tag(self, x: Any, tag: Any) -> tuple[int, bool]:
        """Rows of the batch, and whether the source stated their samples."""
        rows = np.full((0, 2), UNKNOWN) if tag is None else np.asarray(tag)
        if rows.ndim == 2 and not len(rows):
            size = _count(x)
            self.tags.append(np.full((size, 2), UNKNOWN, dtype=np.int64))
            return size, False
        if rows.ndim == 0:  # the number of the batch: its rows are numbered by their place in it
            size = _count(x)
            start = int(rows) << ROW_BITS
            rows = np.arange(start, start + size)
        self.tags.append(rows)
        return len(rows), rows.ndim == 2 and len(rows) > 0 and bool(rows[0, 1] != UNKNOWN)

    def _note_targets(self, y: Any) -> None:
        plain = nests.map_leaves(to_numpy, y)
        if nests.leaves(plain):
            self.targets.append(plain)

    def _note_content(self, x: Any) -> None:
        wanted = self.wanted
        if isinstance(wanted.key, str) and isinstance(x, dict) and len(x) > 1:
            # The key names the row; it is no part of what it contains.
            x = {name: part for name, part in x.items() if name != wanted.key}
        if wanted.fingerprint is not None:
            x = wanted.fingerprint(nests.map_leaves(to_numpy, x))
        rows, specs = row_fingerprints(x, pad_value=wanted.pad_value)
        self.fingerprints.append(rows)
        if not self.specs:
            self.specs = specs
            # One row is kept, to explain a reference that matches nothing.
            self.first = nests.map_leaves(lambda leaf: np.array(to_numpy(leaf)[:1]), x)
        if wanted.pad_value is not None:
            self.padding.append(is_padding(x, wanted.pad_value))

    def _keys(self, batch: Any, x: Any) -> NDArray[Any]:
        key = self.wanted.key
        if callable(key):
            return normal_keys(key(nests.map_leaves(to_numpy, batch)), "keys in the stream")
        if not isinstance(x, dict) or key not in x:
            found = f"entries {sorted(x)}" if isinstance(x, dict) else type(x).__name__
            msg = f"expected x to be a dict with an entry {key!r}, found {found}"
            raise KeyError(msg)
        return normal_keys(to_numpy(x[key]), "keys in the stream")

    def without_key(self, batch: Any) -> Any:
        """The batch without the entry of ``x`` that holds the key."""
        x, *rest = batch if isinstance(batch, tuple) else (batch,)
        if not isinstance(x, dict) or self.wanted.key not in x:
            return batch
        kept = {name: part for name, part in x.items() if name != self.wanted.key}
        return type(batch)((kept, *rest)) if type(batch) is tuple else kept

    def trace(self, *, method: str, source: SourceState, index_source: str, n_rows: int | None) -> Trace:
        """The call as a trace.

        Args:
            method: Name of the guarded Keras method.
            source: The source's state after the call.
            index_source: ``stated`` or ``position``.
            n_rows: Rows that the caller got; None where the method returns no rows.
        """
        ordered = n_rows is not None
        tags = np.concatenate([_two_columns(tag) for tag in self.tags]) if self.tags else np.zeros((0, 2), np.int64)
        observed = len(tags)
        rows = observed if n_rows is None else n_rows
        problem = self.problem
        if not problem and rows != observed:
            problem = f"the model returned {rows} rows for {observed} rows fed"
        if rows != observed:
            return Trace(
                rows, np.full(rows, UNKNOWN), method=method, sources=(source,), unobserved=problem, one_to_one=False
            )
        index = tags[:, 0] if index_source == "position" else tags[:, 1]
        return Trace(
            n_rows=rows,
            tags=np.ascontiguousarray(tags[:, 0]),
            index=np.ascontiguousarray(index) if (index != UNKNOWN).any() else None,
            index_source=index_source,
            keys=_complete([np.asarray(part) for part in self.keys], rows),
            fingerprints=_complete(self.fingerprints, rows),
            spec=tuple(str(spec) for spec in self.specs),
            targets=stack_nests(self.targets) if len(self.targets) == len(self.sizes) and self.targets else None,
            batch_sizes=np.asarray(self.sizes, dtype=np.int64),
            method=method,
            ordered=ordered,
            sources=(source,),
            unobserved=problem,
            padding=_complete(self.padding, rows),
        )


def _two_columns(tag: NDArray[np.int64]) -> NDArray[np.int64]:
    if tag.ndim == 2:
        return tag
    return np.stack([tag, np.full(len(tag), UNKNOWN)], axis=1)


def _complete(parts: list[NDArray[Any]], rows: int) -> NDArray[Any] | None:
    """All batches' rows, or None if some batch has none."""
    if not parts or sum(len(part) for part in parts) != rows:
        return None
    if len({part.dtype.kind for part in parts}) > 1:
        parts = [part.astype(np.str_) for part in parts]
    return np.concatenate(parts)


def _count(x: Any) -> int:
    size = nests.n_rows(x)
    if size is None:
        first = nests.leaves(x)[0]
        size = int(first.nrows()) if hasattr(first, "nrows") else len(to_numpy(first))
    return size


def to_numpy(leaf: Any) -> Any:
    """A tensor as NumPy; ragged tensors as an object array of rows; an absent optional as None."""
    if hasattr(leaf, "has_value"):  # tf.experimental.Optional
        return to_numpy(leaf.get_value()) if bool(leaf.has_value()) else None
    if hasattr(leaf, "row_splits"):
        rows = np.empty(int(leaf.nrows()), dtype=object)
        rows[:] = [np.asarray(row) for row in leaf.numpy()] if len(rows) else []
        return rows
    if hasattr(leaf, "dense_shape"):
        dense = np.zeros(tuple(np.asarray(leaf.dense_shape)), dtype=np.asarray(leaf.values).dtype)
        dense[tuple(np.asarray(leaf.indices).T)] = np.asarray(leaf.values)
        return dense
    return np.asarray(leaf)
