"""Evaluations done wrong on purpose, one for each cause that a report can name.

They are what people do: a generator used twice, ``steps`` rounded down, a
dataset shuffled anew at each pass. Each is done with real sources of Keras 3,
but for the one that only tf_keras makes.
"""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

Predict = Callable[[Any], Any]


@dataclass(frozen=True, eq=False)
class Mistake:
    """An evaluation done wrong.

    Attributes:
        predict: Takes a model and predicts as the user did.
        cause: How the cause begins that must be named first.
        certain: Whether the guard sees what confirms it.
        labels: The labels that the user scores against.
        options: What the user's guard was told besides labels and reference.
        training: It happens in the validations of a ``fit``: for a
            ``ValidationGuard``, which needs no labels.
        engine: Package whose models ``predict`` takes, ``keras`` or ``tf_keras``.
    """

    predict: Predict
    cause: str
    certain: bool
    labels: Any
    options: dict[str, Any] = field(default_factory=dict)
    training: bool = False
    engine: str = "keras"


@dataclass(frozen=True, eq=False)
class Data:
    """Inputs and targets in label order, and how they are put into batches."""

    x: NDArray[Any]
    y: NDArray[Any]
    batch_size: int

    @property
    def n(self) -> int:
        """Samples."""
        return len(self.x)

    @property
    def steps(self) -> int:
        """Batches of one pass, the last one as short as it comes."""
        return -(-self.n // self.batch_size)

    def rows(self, ids: Any) -> tuple[Any, Any]:
        """A batch ``(x, y)`` of these samples."""
        return self.x[np.asarray(ids)], self.y[np.asarray(ids)]

    def cut(self, ids: Any) -> list[Any]:
        """Samples in batches."""
        return [ids[start : start + self.batch_size] for start in range(0, len(ids), self.batch_size)]

    def endless(self) -> Iterator[tuple[Any, Any]]:
        """Pass after pass, each with its partial batch."""
        while True:
            yield from map(self.rows, self.cut(np.arange(self.n)))

    def dataset(self) -> Any:
        """As ``tf.data``, sample by sample."""
        import tensorflow as tf

        return tf.data.Dataset.from_tensor_slices((self.x, self.y))

    def pydataset(self, ids: Any = None, length: int | None = None, **attributes: Any) -> Any:
        """As a PyDataset of some samples, with attributes of its own."""
        import keras

        batches = self.cut(np.arange(self.n) if ids is None else ids)
        rows = self.rows

        class Batches(keras.utils.PyDataset):
            def __init__(self, **options: Any) -> None:
                super().__init__(**options)
                self.batches = batches
                self.__dict__.update(attributes)

            def __len__(self) -> int:
                return len(batches) if length is None else length

            def __getitem__(self, index: int) -> Any:
                return rows(self.batches[index])

        return Batches

    def done(self, source: Callable[[], Any], cause: str, *, certain: bool, steps: int | None = None) -> Mistake:
        """One ``predict`` of a source."""
        return Mistake(lambda model: model.predict(source(), steps=steps, verbose=0), cause, certain, self.y)


# -- Not at the start ------------------------------------------------------------------------------------------------


def _looked_at(data: Data) -> Mistake:
    """A batch is taken from the generator to look at it."""

    def predict(model: Any) -> Any:
        stream = data.endless()
        next(stream)
        return model.predict(stream, steps=data.steps, verbose=0)

    return Mistake(predict, "iterator not at its start", True, data.y)


def _two_calls(data: Data) -> Mistake:
    """One generator for two calls: the first has read ahead of its ``steps``."""
    first = data.steps // 2

    def predict(model: Any) -> Any:
        stream = data.endless()
        return [model.predict(stream, steps=steps, verbose=0) for steps in (first, data.steps - first)]

    return Mistake(predict, "source ahead of the first call", True, data.y, {"scope": "session"})


def _left_in_the_queue(data: Data) -> Mistake:
    """``workers=2`` and ``validation_steps``: the next epoch's validation begins with what this one's queue held."""

    def train(model: Any) -> Any:
        import keras

        # A copy: validating costs the user's model neither its weights nor its way of being compiled.
        copied = keras.models.clone_model(model)
        copied.compile(loss=lambda _, predicted: keras.ops.mean(predicted, axis=-1))
        options = {"validation_data": data.pydataset()(workers=2), "validation_steps": data.steps // 2 + 1}
        return copied.fit(*data.rows(range(data.batch_size)), epochs=2, verbose=0, **options)

    return Mistake(train, "leftover queue, `workers > 1`", False, data.y, training=True)


def _reads_on(data: Data) -> Mistake:
    """``__getitem__`` gives the next batch, whichever is asked for."""
    stream = data.endless()
    made = type("ReadsOn", (data.pydataset(),), {"__getitem__": lambda self, index: next(stream)})
    return data.done(made, "`__getitem__` depends on more than its index", certain=True)


def _one_buffer(data: Data) -> Mistake:
    """One array is filled again for each batch."""
    buffer = _aligned((data.batch_size, *data.x.shape[1:]), data.x.dtype)

    def stream() -> Iterator[Any]:
        for ids in data.cut(np.arange(data.n)):
            part = buffer[: len(ids)]
            part[:] = data.x[ids]
            yield part, data.y[ids]

    given = {"reference": None}
    cause = "the source fills its array again"
    return Mistake(lambda model: model.predict(stream(), steps=data.steps, verbose=0), cause, True, data.y, given)


def _aligned(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """At an address from which TensorFlow takes an array over without a copy."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.zeros(size + 64, dtype=np.uint8)
    start = -raw.ctypes.data % 64
    view: NDArray[Any] = raw[start : start + size].view(dtype).reshape(shape)
    return view


# -- Too many, too few -----------------------------------------------------------------------------------------------


def _wrapped_generator(data: Data) -> Mistake:
    """An endless generator goes on with sample 0 inside the last batch."""

    def stream() -> Iterator[Any]:
        at = 0
        while True:
            yield data.rows(np.arange(at, at + data.batch_size) % data.n)
            at += data.batch_size

    return data.done(stream, "stream wrapped", certain=True, steps=data.steps)


def _wrapped_dataset(data: Data) -> Mistake:
    """``repeat()`` before ``batch()``, and ``steps`` rounded up."""
    made = data.dataset().repeat().batch(data.batch_size)
    return data.done(lambda: made, "stream wrapped", certain=True, steps=data.steps)


def _padded(data: Data) -> Mistake:
    """The last sample fills the last batch."""
    more = data.steps * data.batch_size - data.n
    x = data.x[[*range(data.n), *[data.n - 1] * more]]
    return Mistake(lambda model: model.predict(x, batch_size=data.batch_size, verbose=0), "padded", True, data.y)


def _every_reader_reads_all(data: Data) -> Mistake:
    """Two readers in parallel, each of which reads all batches instead of its share."""
    import tensorflow as tf

    batches = data.dataset().batch(data.batch_size)
    made = tf.data.Dataset.range(2).interleave(lambda _: batches, cycle_length=2)
    return data.done(lambda: made, "source copied per worker, or not sharded", certain=False)


def _sampler_padding(data: Data) -> Mistake:
    """A sampler that gives three replicas equally many whole batches: it begins again at the first sample."""
    replicas = next(count for count in range(3, 9) if -data.n % (count * data.batch_size) >= data.batch_size)
    more = -data.n % (replicas * data.batch_size)
    ids = np.arange(data.n + more) % data.n
    return data.done(
        lambda: (data.rows(part) for part in data.cut(ids)), "sampler padding across replicas", certain=False
    )


def _cleared_cache(data: Data) -> Mistake:
    """The list that forms batches is cleared inside the endless loop."""

    def stream() -> Iterator[Any]:
        while True:
            cache: list[int] = []
            for sample in range(data.n):
                cache.append(sample)
                if len(cache) == data.batch_size:
                    yield data.rows(cache)
                    cache = []

    return data.done(stream, "partial batch thrown away at each pass", certain=True, steps=data.steps)


def _floor_steps(data: Data) -> Mistake:
    """``steps = N // batch_size``."""
    steps = data.n // data.batch_size
    return data.done(data.endless, "`steps = N // batch_size`", certain=True, steps=steps)


def _floor_length(data: Data) -> Mistake:
    """``__len__`` rounds down."""
    made = data.pydataset(length=data.n // data.batch_size)
    return data.done(made, "`__len__` rounds down", certain=True)


def _dropped(data: Data) -> Mistake:
    """``drop_remainder=True``."""
    made = data.dataset().batch(data.batch_size, drop_remainder=True)
    return data.done(lambda: made, "partial batch dropped", certain=True)


def _few_steps(data: Data) -> Mistake:
    """Fewer ``steps`` than batches."""
    steps = max(1, data.steps // 2)
    return data.done(data.endless, "`steps` too small", certain=True, steps=steps)


def _passed_over(data: Data) -> Mistake:
    """Files that cannot be read are passed over."""
    bad = {data.n // 9, data.n // 3, data.n // 2}

    def stream() -> Iterator[Any]:
        for ids in data.cut(range(data.n)):
            left = [sample for sample in ids if sample not in bad]
            if left:
                yield data.rows(left)

    return data.done(stream, "samples left out by the source", certain=True)


# -- In another order ------------------------------------------------------------------------------------------------


def _racing(data: Data) -> Mistake:
    """Threads load batches, and whichever is ready goes first."""
    batches = data.cut(np.arange(data.n))
    slow = {0, 3 % len(batches)}

    def load(number: int) -> Any:
        time.sleep(0.05 if number in slow else 0)
        return data.rows(batches[number])

    def stream() -> Iterator[Any]:
        with ThreadPoolExecutor(2) as pool:
            for first in range(0, len(batches), 2):
                jobs = [pool.submit(load, number) for number in range(first, min(first + 2, len(batches)))]
                yield from (job.result() for job in as_completed(jobs))

    return data.done(stream, "parallel work inside the source", certain=False)


def _asked_by_two(data: Data) -> Mistake:
    """Two workers of tf_keras ask one iterator: the first to ask is not the first to be given."""

    class Loader:
        def __init__(self) -> None:
            self.batches = map(data.rows, data.cut(np.arange(data.n)))
            self.turns, self.lock = count(), threading.Lock()
            self.given: dict[int, threading.Event] = defaultdict(threading.Event)

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> Any:
            turn = next(self.turns)
            if turn % 2 == 0:
                self.given[turn + 1].wait(timeout=0.5)
            try:
                with self.lock:
                    return next(self.batches)
            finally:
                self.given[turn].set()

    return Mistake(
        lambda model: model.predict(Loader(), steps=data.steps, workers=2, verbose=0),
        "unordered queue",
        True,
        data.y,
        engine="tf_keras",
    )


def _buffer_shuffle(data: Data) -> Mistake:
    """A shuffle buffer smaller than the data."""
    made = data.dataset().shuffle(max(2, data.n // 8), reshuffle_each_iteration=False, seed=1).batch(data.batch_size)
    return data.done(lambda: made, "shuffle buffer", certain=True)


def _shuffle_attribute(data: Data) -> Mistake:
    """``shuffle=True`` of a PyDataset, as of image iterators."""

    def shuffle(self: Any) -> None:
        self.batches = data.cut(np.random.default_rng(0).permutation(data.n))

    made = type("Shuffling", (data.pydataset(shuffle=True),), {"on_epoch_begin": shuffle})

    def source() -> Any:
        dataset = made()
        dataset.on_epoch_begin()  # Keras before 3.5 does not call it
        return dataset

    return data.done(source, "`shuffle=True`", certain=True)


def _reshuffled(data: Data) -> Mistake:
    """A dataset that is shuffled anew at each pass."""
    made = data.dataset().shuffle(data.n).batch(data.batch_size)
    return data.done(lambda: made, "shuffled anew at each pass", certain=True)


def _sorted_as_text(data: Data) -> Mistake:
    """Files listed as text: ``10`` before ``2``."""
    order = np.array(sorted(range(data.n), key=str))
    return data.done(data.pydataset(order), "labels in another sort order", certain=False)


def _by_class(data: Data) -> Mistake:
    """Directories of classes, one after the other."""
    order = np.argsort(data.y, kind="stable")
    return data.done(data.pydataset(order), "labels in another sort order", certain=False)


def _shards(data: Data) -> Mistake:
    """Three shards, one put behind the other."""

    def predict(model: Any) -> Any:
        parts = (data.dataset().shard(3, rank).batch(data.batch_size) for rank in range(3))
        return [model.predict(part, verbose=0) for part in parts]

    return Mistake(predict, "stride of 3", True, data.y, {"scope": "session"})


# -- Labels ----------------------------------------------------------------------------------------------------------


def _two_branches(data: Data) -> Mistake:
    """Inputs and targets come out of one shuffle by two ways."""
    import tensorflow as tf

    numbers = tf.data.Dataset.range(data.n).shuffle(data.n, seed=1)
    # Not two lambdas in one line: TensorFlow warns that it cannot tell them apart.
    x, y = (numbers.map(partial(tf.gather, tf.constant(part))) for part in (data.x, data.y))
    apart = tf.data.Dataset.zip((x, y))
    return data.done(lambda: apart.batch(data.batch_size), "labels in the stream belong to other rows", certain=True)


def _label_file(data: Data) -> Mistake:
    """The label file is off by one row."""
    source = data.pydataset()
    labels = np.roll(data.y, 1)
    return Mistake(lambda model: model.predict(source(), verbose=0), "label file in another order", True, labels)


MISTAKES: Mapping[str, Callable[[Data], Mistake]] = {
    "generator_looked_at": _looked_at,
    "generator_for_two_calls": _two_calls,
    "leftover_queue": _left_in_the_queue,
    "item_that_reads_on": _reads_on,
    "one_buffer": _one_buffer,
    "endless_generator": _wrapped_generator,
    "repeat": _wrapped_dataset,
    "padded_array": _padded,
    "every_reader_reads_all": _every_reader_reads_all,
    "sampler_padding": _sampler_padding,
    "cleared_cache": _cleared_cache,
    "steps_rounded_down": _floor_steps,
    "length_rounded_down": _floor_length,
    "drop_remainder": _dropped,
    "too_few_steps": _few_steps,
    "files_passed_over": _passed_over,
    "batches_by_threads": _racing,
    "two_workers_ask_one_iterator": _asked_by_two,
    "shuffle_buffer": _buffer_shuffle,
    "shuffle_attribute": _shuffle_attribute,
    "shuffled_anew": _reshuffled,
    "files_sorted_as_text": _sorted_as_text,
    "directories_by_class": _by_class,
    "shards": _shards,
    "two_branches_of_a_shuffle": _two_branches,
    "shifted_label_file": _label_file,
}


def mistake(name: str, x: Any, y: Any, *, batch_size: int = 32) -> Mistake:
    """An evaluation of these samples done wrong.

    Args:
        name: A name in ``MISTAKES``.
        x: Inputs in label order, shape ``(n, ...)``, no two rows equal; ``n``
            at least three batches and no multiple of ``batch_size``, since
            many mistakes are about the last, partial batch.
        y: Class numbers, int, shape ``(n,)``, not sorted.
        batch_size: Rows in a batch.

    Raises:
        KeyError: No mistake has this name.
        ValueError: There are too few samples, or no partial batch.
    """
    data = Data(np.asarray(x), np.asarray(y), batch_size)
    if data.steps < 3 or data.n % batch_size == 0:
        msg = f"expected at least three batches and a partial one, found {data.n} samples in batches of {batch_size}"
        raise ValueError(msg)
    return MISTAKES[name](data)
