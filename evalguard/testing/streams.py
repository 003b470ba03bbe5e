"""Make streams with known faults, in all kinds of sources."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.capture.tags import tagged

Ids = NDArray[np.int64]
Batches = list[Ids]
MakeBatch = Callable[[Ids], Any]


def aligned_batches(n: int, batch_size: int) -> Batches:
    """Sample indices ``0..n-1`` in batches; the last batch may be shorter.

    Args:
        n: Number of labelled samples.
        batch_size: Rows in a batch.

    Returns:
        One int64 array for each batch, shape ``(rows,)``.
    """
    return [np.arange(start, min(start + batch_size, n)) for start in range(0, n, batch_size)]


def _skipped_batch(n: int, batch_size: int) -> Batches:
    """The second batch is left out."""
    batches = aligned_batches(n, batch_size)
    return batches[:1] + batches[2:]


def _repeated_batch(n: int, batch_size: int) -> Batches:
    """The second batch comes twice."""
    batches = aligned_batches(n, batch_size)
    return [*batches[:2], batches[1], *batches[2:]]


def _swapped_batches(n: int, batch_size: int) -> Batches:
    """The first two batches are swapped."""
    batches = aligned_batches(n, batch_size)
    return [batches[1], batches[0], *batches[2:]]


def _swapped_rows(n: int, batch_size: int) -> Batches:
    """The first and the last sample are swapped."""
    order = np.arange(n)
    order[[0, n - 1]] = order[[n - 1, 0]]
    return _cut(order, batch_size)


def _dropped_tail(n: int, batch_size: int) -> Batches:
    """The last, partial batch is left out; without a partial batch, the last sample is."""
    return _cut(np.arange(n - max(1, n % batch_size)), batch_size)


def _wrapped_tail(n: int, batch_size: int) -> Batches:
    """The last batch is filled up with the first samples."""
    steps = math.ceil((n + 1) / batch_size)
    return _cut(np.arange(steps * batch_size) % n, batch_size)


def _foreign_row(n: int, batch_size: int) -> Batches:
    """One sample is replaced by one that has no label."""
    order = np.arange(n)
    order[n // 2] = n + 7
    return _cut(order, batch_size)


def _shuffled(n: int, batch_size: int) -> Batches:
    """All samples in random order, the same for the same ``n``."""
    return _cut(np.random.default_rng(n).permutation(n), batch_size)


def _window_shuffled(n: int, batch_size: int) -> Batches:
    """Order lost inside a small window, as by a shuffle buffer or a parallel map."""
    rng, order = np.random.default_rng(n), np.arange(n)
    for start in range(0, n - 1, 4):
        order[start : start + 4] = rng.permutation(order[start : start + 4])
    return _cut(order, batch_size)


def _interleaved(n: int, batch_size: int) -> Batches:
    """Three shards, one after the other."""
    return _cut(np.concatenate([np.arange(start, n, 3) for start in range(3)]), batch_size)


def _cut(order: Ids, batch_size: int) -> Batches:
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


FAULTS: Mapping[str, Callable[[int, int], Batches]] = {
    "skipped_batch": _skipped_batch,
    "repeated_batch": _repeated_batch,
    "swapped_batches": _swapped_batches,
    "swapped_rows": _swapped_rows,
    "dropped_tail": _dropped_tail,
    "wrapped_tail": _wrapped_tail,
    "foreign_row": _foreign_row,
    "shuffled": _shuffled,
    "window_shuffled": _window_shuffled,
    "interleaved": _interleaved,
}


def faulty_batches(fault: str, *, n: int, batch_size: int) -> Batches:
    """Sample indices of each batch of a stream with one fault.

    Args:
        fault: A name in ``FAULTS``.
        n: Number of labelled samples, more than one batch.
        batch_size: Rows in a batch.

    Returns:
        One int64 array for each batch, shape ``(rows,)``.

    Raises:
        KeyError: No fault has this name.
    """
    return FAULTS[fault](n, batch_size)


def as_generator(batches: Sequence[Ids], make: MakeBatch, *, with_index: bool = False) -> Iterator[Any]:
    """A generator of the batches ``make(ids)``.

    Args:
        batches: Sample indices of each batch.
        make: Returns a batch, such as ``(x[ids],)``, from sample indices.
        with_index: Yield ``evalguard.tagged`` batches.
    """
    for ids in batches:
        batch = make(ids)
        yield tagged(batch, index=ids) if with_index else batch


def as_pydataset(batches: Sequence[Ids], make: MakeBatch, *, with_index: bool = False, **options: Any) -> Any:
    """A ``keras.utils.PyDataset`` of these batches.

    Args:
        batches: Sample indices of each batch.
        make: Returns a batch, such as ``(x[ids],)``, from sample indices.
        with_index: Add the method ``sample_indices(batch_index)``.
        **options: ``workers``, ``use_multiprocessing``, ``max_queue_size``.
    """
    import keras

    return _dataset(keras.utils.PyDataset, batches, make, with_index=with_index, **options)


def as_sequence(batches: Sequence[Ids], make: MakeBatch, *, with_index: bool = False) -> Any:
    """A ``tf_keras.utils.Sequence`` of these batches; arguments as for ``as_pydataset``."""
    import tf_keras

    return _dataset(tf_keras.utils.Sequence, batches, make, with_index=with_index)


def _dataset(base: Any, batches: Sequence[Ids], make: MakeBatch, *, with_index: bool, **options: Any) -> Any:
    class Batched(base):
        def __init__(self) -> None:
            super().__init__(**options)

        def __len__(self) -> int:
            return len(batches)

        def __getitem__(self, index: int) -> Any:
            return make(batches[index])

    class Indexed(Batched):
        def sample_indices(self, batch_index: int) -> Ids:
            return batches[batch_index]

    return Indexed() if with_index else Batched()


def as_tf_dataset(batches: Sequence[Ids], make: MakeBatch) -> Any:
    """A ``tf.data.Dataset`` of these batches, which may differ in size.

    Args:
        batches: Sample indices of each batch, at least one.
        make: Returns a batch, such as ``(x[ids],)``, from sample indices. All
            batches have the same structure, dtypes and row shapes.
    """
    import tensorflow as tf

    def spec(leaf: Any) -> Any:
        array = np.asarray(leaf)
        dtype = tf.string if array.dtype.kind in "OSU" else array.dtype
        return tf.TensorSpec((None, *array.shape[1:]), dtype)

    signature = tf.nest.map_structure(spec, make(batches[0]))
    dataset = tf.data.Dataset.from_generator(lambda: (make(ids) for ids in batches), output_signature=signature)
    return dataset.apply(tf.data.experimental.assert_cardinality(len(batches)))
