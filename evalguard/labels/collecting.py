"""Collect labels and fingerprints while a loop reads its batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from evalguard.data import kinds
from evalguard.errors import LabelsError, UnsupportedSourceError
from evalguard.labels.collect import BatchReader, CollectedBatch, table_of
from evalguard.labels.labels import Labels

NAME = "collected"


class Collecting:
    """Yields the batches of a source, unchanged, and keeps their labels and fingerprints.

    Made by ``evalguard.collecting`` and ``Guard.collecting``.
    """

    def __init__(self, source: Any, reader: BatchReader, kept: list[CollectedBatch], name: str = NAME) -> None:
        self._source, self._reader, self._kept, self._name = source, reader, kept, name

    def __iter__(self) -> Iterator[Any]:
        named = kinds.class_names(self._source)
        for batch in _as_a_loop_reads(self._source):
            # Read before the loop gets the batch, which it may change.
            kept = replace(self._reader.read(batch), classes=named)
            if kept.y is None:
                msg = (
                    f"{self._name}: expected batches (x, y), found one without y ({type(batch).__qualname__}); "
                    "map the source to pairs, as for model.evaluate"
                )
                raise LabelsError(msg)
            self._kept.append(kept)
            yield batch

    def __len__(self) -> int:
        """Number of batches of the source, if it has a length."""
        return len(self._source)

    @property
    def labels(self) -> Labels:
        """Labels and fingerprints of all batches yielded so far, in order.

        Raises:
            LabelsError: No batch has been yielded.
        """
        return Collection(self._kept, name=self._name).labels

    def from_now_on(self) -> Collection:
        """The batches yielded from now on, or all batches if no more are yielded."""
        return Collection(self._kept, len(self._kept), self._name)


@dataclass(frozen=True, slots=True, eq=False)
class Collection:
    """The batches that loops have read, as labels of a guard.

    Attributes:
        kept: All batches so far. The loop appends to this list.
        first: Number of the first batch that belongs to this guard.
        name: Name of the labels in reports.
    """

    kept: list[CollectedBatch] = field(default_factory=list)
    first: int = 0
    name: str = NAME

    @property
    def labels(self) -> Labels:
        """The labels, in the order of the batches.

        Raises:
            LabelsError: No batch has been yielded.
        """
        return Labels.of(table_of(self._batches, self.name))

    @property
    def began(self) -> float:
        """When the first batch was read, in seconds of ``time.perf_counter``."""
        return self._batches[0].at

    def until(self, last_call: float) -> Collection:
        """The same batches without a last one that was read but not predicted, because the loop ended there.

        Args:
            last_call: When the last call began, in seconds of ``time.perf_counter``.
        """
        batches = self._batches
        ended = len(batches) > 1 and batches[-2].at < last_call < batches[-1].at
        return Collection(batches[:-1], name=self.name) if ended else self

    @property
    def _batches(self) -> list[CollectedBatch]:
        return self.kept[self.first :] or self.kept


def collecting(
    source: Any,
    *,
    key: str | None = None,
    fingerprint: Callable[[Any], Any] | None = None,
    pad_value: Any = None,
    name: str = NAME,
) -> Collecting:
    """Yield the batches of a source unchanged, and keep their labels and fingerprints for a guard.

    For a loop that predicts and collects labels batch by batch. Labels and
    inputs come from the same batch, so the order of the source does not matter,
    even if it changes at each pass::

        batches = evalguard.collecting(dataset)
        with evalguard.guard(labels=batches):
            for x, y in batches:
                y_pred.append(model.predict(x))
                y_true.append(y)

    ``g.collecting(dataset)`` inside the guard is short for it. All calls of a
    model in that block are judged together, in the order made; short calls
    before the loop are warm-ups. A batch that was yielded and not predicted is
    missing, except the last one, because a loop may stop there.

    Args:
        source: Anything that a ``for`` loop reads batches ``(x, y)`` or ``(x,
            y, sample_weight)`` from, or a function that returns it. Nothing
            is read ahead.
        key: Entry of a dict ``x`` that holds the keys.
        fingerprint: Callable that takes ``x`` and returns the part that
            identifies a row; the same as given to the guard.
        pad_value: Value that pads rows; the same as given to the guard.
        name: Name of the labels in reports.

    Returns:
        An iterable of the unchanged batches. Its ``labels`` are the ``Labels``
        of the batches yielded so far, in order. When a guard ends, it uses the
        batches yielded since it was entered.

    Raises:
        LabelsError: In the loop: a batch has no ``y``, another number of
            labels than of rows, or no entry ``key``. At the end: batches with
            other outputs, or only some with sample weights.
        UnsupportedSourceError: In the loop: the source cannot be iterated.
    """
    return Collecting(source, BatchReader(key, fingerprint, pad_value), [], name)


def _as_a_loop_reads(source: Any) -> Iterable[Any]:
    if hasattr(source, "__iter__"):
        return source  # type: ignore[no-any-return]
    if kinds.is_pydataset(source) and source.num_batches is not None:
        # Older releases have no `__iter__` (keras 3.4), and iteration by `__getitem__` ends only if an item raises.
        return (source[number] for number in range(source.num_batches))
    if hasattr(source, "__getitem__"):
        return iter(source)  # type: ignore[no-any-return]
    if callable(source):
        return kinds.returned_by(source)
    msg = f"expected batches (x, y) that a for loop can read, found {type(source).__qualname__}"
    raise UnsupportedSourceError(msg)
