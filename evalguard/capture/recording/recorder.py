"""The recorder, which an engine calls with each batch just before the model computes on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.capture.contract import BatchTag, CaptureOptions, Stream, Untagged
from evalguard.capture.hashing import arrays_of, can_digest
from evalguard.capture.recording.fingerprints import FingerprintColumn
from evalguard.capture.recording.passed_on import PassedOn
from evalguard.capture.recording.small_batches import MAX_BYTES, BatchGroup, SmallBatchBuffer
from evalguard.capture.recording.tag_log import TagColumn
from evalguard.core.label_table import normal_keys
from evalguard.core.own_errors import not_ours, swallow
from evalguard.data import tree
from evalguard.errors import ConfigError

# How many delivered batches wait at most, and how many bytes. With 32 instead of 256, a call of a trivial model takes 1
# to 2 % longer, because for the first batches of each group none of this code is in the processor's caches.
MAX_WAITING, MAX_WAITING_BYTES = 256, 1 << 22


@dataclass(slots=True)
class Recorder:
    """Records one guarded call, batch by batch; ``to_trace`` turns it into a ``Trace``.

    An error in the recorder is kept as ``problem`` and never stops the call.

    Attributes:
        options: What is recorded.
        stream: Identifies delivered batches.
        replicated: Whether batches are split over replicas.
        float64: Whether the model computes in float64.
        outputs: Names of the model's outputs, in order; empty if they are not known.
        scores: Whether the call returns metrics, for which the model uses the sample weights.
        tags: Tags of all rows, and the sizes of batches.
        fingerprints: Fingerprints of the rows that the model received.
        keys: Keys of each batch.
        targets: The stream's own targets, each entry of one batch or of several together.
        n_with_targets: Number of batches that have targets.
        weights: The stream's own sample weights, likewise.
        n_with_weights: Number of batches that have sample weights.
        fail_fast_check: Called after each execution; returns a fault that is already certain, or an empty text.
        stopped: The fault for which the call is stopped; empty if it is not stopped.
        unchecked: Number of rows and tag of each batch that ``fail_fast_check`` has not checked.
        no_rows: Whether a batch had inputs without one row for each sample.
        computed: Outputs of each execution, as the compiled function returned them.
        keep: Called with the batches and the outputs of each execution, or None.
        no_output_rows: Whether an output that was returned has no rows that can be counted.
        problem: Why something could not be recorded; empty if all was recorded.
        seconds: Time spent recording, in seconds.
    """

    options: CaptureOptions
    stream: Stream = field(default_factory=Untagged)
    replicated: bool = False
    float64: bool = False
    outputs: tuple[str, ...] = ()
    scores: bool = False
    tags: TagColumn = field(init=False)
    fingerprints: FingerprintColumn = field(init=False)
    keys: list[Any] = field(default_factory=list)
    targets: list[Any] = field(default_factory=list)
    n_with_targets: int = 0
    weights: list[Any] = field(default_factory=list)
    n_with_weights: int = 0
    fail_fast_check: Callable[[Recorder], str] | None = None
    stopped: str = ""
    unchecked: list[tuple[int, BatchTag]] = field(default_factory=list)
    no_rows: bool = False
    computed: list[Any] = field(default_factory=list)
    keep: Callable[[list[Any], Any], None] | None = None
    no_output_rows: bool = False
    problem: str = ""
    seconds: float = 0.0
    _passed_on: PassedOn = field(default_factory=PassedOn)
    _buffer: SmallBatchBuffer = field(default_factory=SmallBatchBuffer)
    # Delivered batches that are not identified yet, and how many may wait.
    _waiting: list[Any] = field(default_factory=list)
    _may_wait: int = 1
    _may_buffer: bool = True

    def __post_init__(self) -> None:
        options = self.options
        # Otherwise batches are recorded one by one: the fail-fast check needs each batch at once, and the user's
        # functions must be called with batches as they were delivered.
        self._may_buffer = self.fail_fast_check is None and options.key is None and options.fingerprint is None
        self.tags = TagColumn()
        self.fingerprints = FingerprintColumn(self.options.pad_value, self.float64)

    def wait(self, data: Any, held: Any) -> Any:
        """Keep a batch that may wait, to be recorded later; return it as the model receives it.

        Args:
            data: The delivered batch.
            held: The same in memory that does not change, from the stream's ``hold``.
        """
        # Between two steps of the model each line costs several times as much as in a loop over many batches. Waiting
        # saves 3 to 10 % of a call of a trivial model (make bench-quick).
        self._waiting.append(held)
        if len(self._waiting) >= self._may_wait:
            self.flush()
        return data

    def capture(self, data: Any) -> Any:
        """Identify and record a delivered batch; return it as the model receives it."""
        batch, tag = self.stream.identify(data)
        # Small batches are copied into a buffer and recorded together.
        if not self._may_buffer or tag.keys is not None or not self._buffer.add(batch, tag):
            self.record(batch, tag)
        elif self._buffer.n_bytes > MAX_BYTES:
            self.flush()
        return batch

    def end(self) -> None:
        """Record the batches that still wait, and check whether inputs that are also outputs were overwritten."""
        start = time.perf_counter()
        self.flush()
        try:
            self._mark_changed(self._passed_on.intact())
        except Exception as error:  # noqa: BLE001 - checking must never cost the user the predictions
            self._failed(error, "while outputs were checked for changes")
        self.seconds += time.perf_counter() - start

    def flush(self) -> None:
        """Record the batches that wait, in the order of arrival."""
        waiting, self._waiting = self._waiting, []
        for held in waiting:
            self.capture(held)
        if waiting and self._may_buffer:
            # By the size of the last batch. Reading that of each batch between two steps would take as long as waiting
            # saves.
            n_bytes = sum(array.nbytes for array in arrays_of(held)) if can_digest(held) else MAX_WAITING_BYTES
            self._may_wait = max(1, min(2 * len(waiting), MAX_WAITING, MAX_WAITING_BYTES // max(1, n_bytes)))
        for group in self._buffer.drain() if self._buffer.groups else ():
            try:
                self._record_group(group)
            except Exception as error:  # noqa: BLE001 - checking must never cost the user the predictions
                self._failed(error, "while batches were recorded")

    def _record_group(self, group: BatchGroup) -> None:
        parts = group.parts()
        for first, size, samples in zip(group.firsts, group.sizes, group.samples, strict=True):
            self.tags.add_rows(first, size, samples)
        x, *scored = tree.unpack(tuple(parts) if group.flat else parts[0])
        self._record_scored(*scored, batches=len(group.sizes))
        self._record_content(x, stated=group.stated)

    def after_step(self, batches: list[Any], outputs: Any) -> None:
        """Check for changed batches and faults, after the model has computed on the latest batches."""
        self.computed.append(outputs)
        if self.keep is not None:
            self.keep(batches, outputs)
        # Eager execution is synchronous (tensorflow 2.21, python/eager/context.py:590): the model has read its inputs.
        try:
            # Inputs that are outputs are hashed first: a change before that is found by `intact`, which comes later.
            if self._passed_on.compares:
                self._passed_on.add(batches, outputs)
            if not all(unchanged := self.stream.intact()):
                self._mark_changed(unchanged)
        except Exception as error:  # noqa: BLE001 - checking must never cost the user the predictions
            self._failed(error, "while a batch was checked for changes")
            return
        if self.fail_fast_check is not None and not self.stopped:
            self._run_fail_fast_check()

    def _mark_changed(self, unchanged: list[bool]) -> None:
        # `mark_changed` counts from the last recorded batch, so no batch may be waiting.
        if not all(unchanged):
            self.flush()
        for back, same in enumerate(reversed(unchanged), 1):
            if not same:
                self.tags.mark_changed(back)

    def _run_fail_fast_check(self) -> None:
        start = time.perf_counter()
        try:
            self.stopped = self.fail_fast_check(self) if self.fail_fast_check is not None else ""
        except Exception as error:  # noqa: BLE001 - the call is then judged at its end, like any other
            self.fail_fast_check = None
            self._failed(error, "during the fail-fast check")
        self.seconds += time.perf_counter() - start

    def record(self, batch: Any, tag: BatchTag) -> None:
        """Record one batch, after those that are buffered, because the trace is in the order of arrival."""
        self.flush()
        try:
            self._record(batch, tag)
        except tree.RowsError as error:
            self.no_rows = True
            self.problem = self.problem or str(error)
        except Exception as error:  # noqa: BLE001 - checking must never cost the user the predictions
            self._failed(error, "while a batch was recorded")

    def _failed(self, error: Exception, when: str) -> None:
        """Keep the first reason why the call was not observed in full."""
        kind, _, said = swallow(error).partition(": ")
        self.problem = self.problem or f"{kind} {when}: {said}"

    def _record(self, batch: Any, tag: BatchTag) -> None:
        x, *scored = tree.unpack(batch)
        rows = tree.same_rows(x)
        self.tags.add(tag, rows)
        if self.fail_fast_check is not None:
            # Before anything below can fail, because the check counts the rows of all batches.
            self.unchecked.append((rows, tag))
        # Copies, because the source may overwrite its buffer.
        copies = [tree.map_leaves(_copied, part) for part in (scored if self.scores else scored[:1])]
        self._record_scored(*copies, batches=1)
        keys = self._keys(batch, x, tag)
        if keys is not None:
            # A copy for the same reason: integer keys share the memory of the batch.
            keys = np.array(keys)
            self.keys.append(keys)
            if self.unchecked:
                self.unchecked[-1] = rows, replace(tag, keys=keys)
        self._record_content(x, stated=tag.states_samples)

    def _record_scored(self, y: Any, sample_weight: Any = None, *, batches: int) -> None:
        if tree.leaves(y):
            self.targets.append(y)
            self.n_with_targets += batches
        if self.scores and tree.leaves(sample_weight):
            self.weights.append(sample_weight)
            self.n_with_weights += batches

    def _record_content(self, x: Any, *, stated: bool) -> None:
        options = self.options
        # Hashing content takes longest, so it is done only on request, or if nothing else could identify repeated rows.
        if options.content != "always" and (not self.targets or stated or options.key is not None):
            return
        if isinstance(options.key, str) and isinstance(x, dict) and len(x) > 1:
            # The key is not part of the content, because the reference is hashed without it.
            x = {name: part for name, part in x.items() if name != options.key}
        if options.fingerprint is not None:
            x = tree.map_leaves(to_numpy, x)
            # An error of the user's function is not ours, even if EVALGUARD_STRICT raises evalguard's own errors.
            with not_ours():
                x = options.fingerprint(x)
        self.fingerprints.add(x, to_numpy)

    def _keys(self, batch: Any, x: Any, tag: BatchTag) -> NDArray[Any] | None:
        key = self.options.key
        if key is None:
            return tag.keys
        if callable(key):
            batch = tree.map_leaves(to_numpy, batch)
            with not_ours():
                keys = key(batch)
            return normal_keys(keys, "keys in the stream")
        if not isinstance(x, dict) or key not in x:
            found = f"entries {sorted(x)}" if isinstance(x, dict) else type(x).__name__
            msg = f"key: expected x to be a dict with an entry {key!r}, found {found}"
            raise ConfigError(msg)
        return normal_keys(to_numpy(x[key]), "keys in the stream")

    def without_tag(self, data: Any) -> Any:
        """Return a batch that Keras reads but does not feed to the model, without tag and key; nothing is recorded."""
        batch = self.stream.without_tag(data)
        return self.without_key(batch) if self.options.drop_key else batch

    def without_key(self, batch: Any) -> Any:
        """Return the batch without the entry of ``x`` that holds the key."""
        # A dict without a tuple stays so, because `(x,)` and `x` are different structures to a compiled function.
        x, *rest = batch if isinstance(batch, tuple) else (batch,)
        if not isinstance(x, dict) or self.options.key not in x:
            return batch
        rest_of_x = {name: part for name, part in x.items() if name != self.options.key}
        return type(batch)((rest_of_x, *rest)) if type(batch) is tuple else rest_of_x


def _copied(leaf: Any) -> Any:
    # `np.array` and not `np.asarray`, because on a CPU the NumPy view of a tensor shares its memory.
    array = to_numpy(leaf)
    return None if array is None else np.array(array)


def to_numpy(leaf: Any) -> Any:
    """A tensor as a NumPy array: ragged as an object array of rows, sparse as dense; None for an empty optional."""
    # Keras feeds a `tf.experimental.Optional` for a missing target (keras 3.15, generator_data_adapter.py:42).
    if hasattr(leaf, "has_value"):
        return to_numpy(leaf.get_value()) if bool(leaf.has_value()) else None
    if hasattr(leaf, "row_splits"):
        rows = np.empty(int(leaf.nrows()), dtype=object)
        rows[:] = [np.asarray(row) for row in leaf.numpy()] if len(rows) else []
        return rows
    if hasattr(leaf, "dense_shape"):
        dense = np.zeros(tuple(np.asarray(leaf.dense_shape)), dtype=np.asarray(leaf.values).dtype)
        dense[tuple(np.asarray(leaf.indices).T)] = np.asarray(leaf.values)
        return dense
    return tree.as_array(leaf)
