"""What an engine notes of each batch just before the model computes on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from evalguard import nests
from evalguard.core.labels import normal_keys
from evalguard.core.runs import Runs
from evalguard.core.sampling import Sampling
from evalguard.core.spill import TRACE_MEMORY, Memory, Pile
from evalguard.core.trace import UNKNOWN, BatchTags, Column, SourceState, Tags, Trace, stack_nests
from evalguard.engines.contents import Contents
from evalguard.engines.held import MOST_BATCHES, MOST_BYTES, MOST_KEPT, Group, Held
from evalguard.engines.taglog import TagLog, n_tagged
from evalguard.fingerprint import LeafSpec
from evalguard.tagging import Unwrap, untagged

# In the place of a tag: the batch is still to be taken apart.
LATER = object()


class Stream(Protocol):
    """What a probe knows of the batches that are delivered."""

    @property
    def unwrap(self) -> Unwrap:
        """Takes a delivered batch apart: the batch, and its tag or None."""

    @property
    def bare(self) -> bool:
        """A batch has nothing beside it, and its rows tell the tag: a copy of it may be taken apart later."""

    @property
    def shared(self) -> bool:
        """Rows may change after they were fed: each batch is looked at when it is fed, and again after that."""

    @property
    def lasting(self) -> int:
        """How many more batches may be delivered before one must have been looked at; 0: none."""

    def own(self, data: Any) -> Any:
        """The caller's batch in one that Keras read and does not feed to the model; it is not counted."""

    def intact(self) -> list[bool]:
        """For each batch of the last execution, whether it is still what it was when it was taken apart."""


class Untagged:
    """A stream of batches without tags."""

    unwrap: Unwrap = staticmethod(untagged)
    bare = shared = False
    lasting = 0

    def own(self, data: Any) -> Any:
        """The batch as it is."""
        return data

    def intact(self) -> list[bool]:
        """Nothing to compare with."""
        return []


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
        memory: Bytes of tags, samples and fingerprints that one call keeps in
            memory; beyond it they go to disk.
        sampling: Which rows are fingerprinted; None: all.
    """

    content: str = "targets"
    key: str | Callable[[Any], Any] | None = None
    strip_key: bool = False
    fingerprint: Callable[[Any], Any] | None = None
    pad_value: Any = None
    memory: int = TRACE_MEMORY
    sampling: Sampling | None = None


@dataclass(slots=True)
class Recorder:
    """Collects one guarded call, batch by batch; turns into a ``Trace`` at the end.

    Whatever goes wrong in here ends as ``problem`` and never disturbs the call.

    Attributes:
        wanted: What shall be noted.
        stream: Knows the batches.
        memory: What the columns of the call share.
        tags: Of all rows, and the sizes of batches.
        contents: Fingerprints of the rows fed.
        keys: Keys of each batch.
        targets: The stream's own targets, of one batch or of several together.
        watch: Asked after each execution for a fault that is certain already.
        stopped: The fault for which the call is stopped; empty if it is not.
        fresh: Rows and tag of each batch that ``watch`` has not seen.
        kept: Batches that nobody changes so soon, and their tags, still to be looked at.
        room: How many more may be kept.
        untold: How many that are held have not told their tag yet.
        problem: Why something could not be noted.
        seconds: What noting has taken.
    """

    wanted: Wanted
    stream: Stream = field(default_factory=Untagged)
    memory: Memory = field(init=False)
    tags: TagLog = field(init=False)
    contents: Contents = field(init=False)
    keys: list[Any] = field(default_factory=list)
    targets: list[Any] = field(default_factory=list)
    watch: Callable[[Recorder], str] | None = None
    stopped: str = ""
    fresh: list[tuple[int, Any]] = field(default_factory=list)
    kept: list[tuple[Any, Any]] = field(default_factory=list)
    room: int = 0
    untold: int = 0
    problem: str = ""
    seconds: float = 0.0
    _held: Held = field(default_factory=Held)
    _with_targets: int = 0
    _holds: bool = True
    _no_rows: bool = False
    _always: bool = False

    def __post_init__(self) -> None:
        wanted = self.wanted
        # Who looks for a fault does so at each batch, and the user's own functions are asked of batches.
        self._holds = self.watch is None and wanted.key is None and wanted.fingerprint is None
        self._always = wanted.content == "always"
        self.memory = Memory(self.wanted.memory)
        self.tags = TagLog(self.memory)
        self.contents = Contents(self.wanted.pad_value, self.memory, self.wanted.sampling)

    @property
    def specs(self) -> tuple[LeafSpec, ...]:
        """How the inputs looked that were fingerprinted."""
        return self.contents.specs

    @property
    def first(self) -> Any:
        """The first row that was fingerprinted."""
        return self.contents.first

    def keep_from_now(self, batch: Any) -> None:
        """Keep what comes after this batch, where nobody changes it so soon."""
        if self._holds and (lasting := self.stream.lasting):
            size = sum(int(nests.numbers(leaf).nbytes) for leaf in nests.leaves(batch))
            self.room = min(lasting, MOST_BATCHES, MOST_KEPT // max(size, 1))

    def hold(self, batch: Any, tag: Any) -> bool:
        """Keep a small batch, to be noted with others; False: it must be noted now.

        Args:
            batch: Without its tag, or as delivered where the tag is ``LATER``.
            tag: See ``TagLog.add``.
        """
        if not self._holds:
            return False
        held = self._held
        rows = self._always or tag is LATER or (type(batch) is tuple and len(batch) > 1)
        if not held.add(batch, tag, rows):
            return False
        self.untold += tag is LATER
        if held.n_bytes > MOST_BYTES or held.n_batches >= MOST_BATCHES:
            self._note_held()
        return True

    def settle(self) -> None:
        """Note the batches that are kept or held."""
        kept, self.kept, self.room = self.kept, [], 0
        for batch, tag in kept:
            if not self.hold(batch, tag):
                self._note_held()
                self.note(*(self.stream.unwrap(batch) if tag is LATER else (batch, tag)))
        self._note_held()

    def end(self) -> None:
        """The call is over: note what is left."""
        start = time.perf_counter()
        self.settle()
        self.seconds += time.perf_counter() - start

    def _note_held(self) -> None:
        self.untold = 0
        for group in self._held.take_out() if self._held.groups else ():
            try:
                self._note_group(group)
            except Exception as error:  # noqa: BLE001 - checking must never cost the user the predictions
                self.problem = self.problem or f"{type(error).__name__} while batches were noted: {error}"

    def _note_group(self, group: Group) -> None:
        parts = group.parts()
        if any(tag is LATER for tag in group.tags):
            group.tags = list(self._tags_of(group, parts))
        self.tags.add_batches(group.tags, group.sizes)
        if parts:
            x, y, _ = nests.unpack(tuple(parts) if group.flat else parts[0])
            if y is not None:
                self._note_targets(y, len(group.sizes))
            self._note_content(x)

    def _tags_of(self, group: Group, parts: list[NDArray[Any]]) -> Iterator[Any]:
        """Tags that the rows tell, batch by batch."""
        stop = 0
        for size in group.sizes:
            start, stop = stop, stop + size
            batch = tuple([part[start:stop] for part in parts])
            yield self.stream.unwrap(batch if group.flat else batch[0])[1]

    def ran(self) -> None:
        """The model has computed on the batches noted last."""
        try:
            still = self.stream.intact()
        except Exception as error:  # noqa: BLE001 - checking must never cost the user the predictions
            self.problem = self.problem or f"{type(error).__name__} while a batch was looked at again: {error}"
            return
        if not all(still):
            self.settle()
        for back, same in enumerate(reversed(still), 1):
            if not same:
                self.tags.changed(back)
        if self.watch is not None and not self.stopped:
            self._look()

    def _look(self) -> None:
        start = time.perf_counter()
        try:
            self.stopped = self.watch(self) if self.watch is not None else ""
        except Exception as error:  # noqa: BLE001 - then the call is judged at its end, as any other
            self.watch = None
            self.problem = self.problem or f"{type(error).__name__} while looking for a fault: {error}"
        self.seconds += time.perf_counter() - start

    def note(self, batch: Any, tag: Any) -> None:
        """Note one batch; those that are kept or held must have been settled."""
        try:
            self._note(batch, tag)
        except nests.RowsError as error:
            self._no_rows = True
            self.problem = self.problem or str(error)
        except Exception as error:  # noqa: BLE001 - checking must never cost the user the predictions
            self.problem = self.problem or f"{type(error).__name__} while a batch was noted: {error}"

    def _note(self, batch: Any, tag: Any) -> None:
        x, y, _ = nests.unpack(batch)
        rows = nests.same_rows(x)
        self.tags.add(tag, n_tagged(tag) or rows)
        if self.watch is not None:
            self.fresh.append((self.tags.last, tag))
        if y is not None:
            # Copies: a source may fill its buffer anew.
            self._note_targets(nests.map_leaves(_own, y), 1)
        if self.wanted.key is not None:
            self.keys.append(self._keys(batch, x))
        self._note_content(x)

    def _note_targets(self, y: Any, batches: int) -> None:
        if nests.leaves(y):
            self.targets.append(y)
            self._with_targets += batches

    def _note_content(self, x: Any) -> None:
        wanted = self.wanted
        if wanted.content != "always" and (not self.targets or self.tags.stated or wanted.key is not None):
            return
        if isinstance(wanted.key, str) and isinstance(x, dict) and len(x) > 1:
            # The key names the row; it is no part of what it contains.
            x = {name: part for name, part in x.items() if name != wanted.key}
        if wanted.fingerprint is not None:
            x = wanted.fingerprint(nests.map_leaves(to_numpy, x))
        self.contents.add(x, to_numpy)

    def _keys(self, batch: Any, x: Any) -> NDArray[Any]:
        key = self.wanted.key
        if callable(key):
            return normal_keys(key(nests.map_leaves(to_numpy, batch)), "keys in the stream")
        if not isinstance(x, dict) or key not in x:
            found = f"entries {sorted(x)}" if isinstance(x, dict) else type(x).__name__
            msg = f"expected x to be a dict with an entry {key!r}, found {found}"
            raise KeyError(msg)
        return normal_keys(to_numpy(x[key]), "keys in the stream")

    def own(self, data: Any) -> Any:
        """What the model would get of a batch that Keras read and does not feed to it; nothing is noted."""
        batch = self.stream.own(data)
        return self.without_key(batch) if self.wanted.strip_key else batch

    def without_key(self, batch: Any) -> Any:
        """The batch without the entry of ``x`` that holds the key."""
        x, *rest = batch if isinstance(batch, tuple) else (batch,)
        if not isinstance(x, dict) or self.wanted.key not in x:
            return batch
        kept = {name: part for name, part in x.items() if name != self.wanted.key}
        return type(batch)((kept, *rest)) if type(batch) is tuple else kept

    def trace(
        self, *, method: str, source: SourceState, index_source: str, n_rows: int | None, numbered: bool = True
    ) -> Trace:
        """The call as a trace.

        Args:
            method: Name of the guarded Keras method.
            source: The source's state after the call.
            index_source: ``stated`` or ``position``.
            n_rows: Rows that the caller got; None where the method returns no rows.
            numbered: Whether the tags can be believed.
        """
        ordered = n_rows is not None
        observed = self.tags.n_rows
        rows = observed if n_rows is None else n_rows
        problem = self.problem
        if not problem and rows != observed:
            problem = f"the model returned {rows} rows for {observed} rows fed"
        # Figures alone do not say how many rows there were, and what is no row is no sample.
        if rows != observed or self._no_rows or (problem and not rows):
            return Trace(
                rows,
                np.full(rows, UNKNOWN),
                method=method,
                ordered=ordered,
                sources=(source,),
                unobserved=problem,
                one_to_one=False,
            )
        tags = self.tags.tags(believed=numbered)
        stated = index_source == "stated"
        # Nobody stated a position: whoever has the content of some rows looked at asks just whether it is right.
        position = None if stated or self.wanted.sampling is not None else _positions(tags)
        return Trace(
            n_rows=rows,
            tags=tags,
            index=self.tags.index() if stated else position,
            index_source=index_source,
            keys=_complete([np.asarray(part) for part in self.keys], rows),
            # What was noted of a batch that changed while the model computed may not be what that computed on.
            fingerprints=None if self.tags.any_changed else _whole(self.contents.parts, rows),
            spec=tuple(str(spec) for spec in self.specs),
            targets=stack_nests(self.targets) if self.targets and self._with_targets == len(self.tags) else None,
            batch_sizes=self.tags.sizes,
            method=method,
            ordered=ordered,
            sources=(source,),
            unobserved=problem,
            stopped=self.stopped,
            padding=_whole(self.contents.padding, rows),
            sampled=None if self.tags.any_changed else self.contents.sampled(rows),
        )


def _positions(tags: Tags) -> Column | None:
    """Tags that are row numbers of an array; None where no row has one."""
    if isinstance(tags, BatchTags):
        tags = np.asarray(tags)
    return tags if isinstance(tags, Runs) or (tags != UNKNOWN).any() else None


def _whole(column: Pile, rows: int) -> NDArray[Any] | None:
    """All rows, or None if some batch has none."""
    return column.array() if rows and len(column) == rows else None


def _complete(parts: list[NDArray[Any]], rows: int) -> NDArray[Any] | None:
    """All batches' rows, or None if some batch has none."""
    if not parts or sum(len(part) for part in parts) != rows:
        return None
    if len({part.dtype.kind for part in parts}) > 1:
        parts = [part.astype(np.str_) for part in parts]
    return np.concatenate(parts)


def _own(leaf: Any) -> Any:
    array = to_numpy(leaf)
    return None if array is None else np.array(array)


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
    return nests.numbers(leaf)
