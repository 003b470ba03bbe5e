"""Kinds in which the source does not begin at its start, or gives too many samples or too few."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from benchmarks.diagnosis.data import COLLECTED, KEYED, WITH_REFERENCE, Data, Evaluation


def _partial(d: Data) -> None:
    d.needs(d.n % d.batch != 0)


# -- The start --------------------------------------------------------------------------------------------------------


def reused_generator(d: Data) -> Evaluation:
    """A generator of which some batches had been taken, by hand or by an earlier call."""
    by_hand, taken = bool(d.rng.integers(2)), int(d.rng.integers(1, max(2, d.steps - 1)))

    def call(model: Any) -> Any:
        stream = d.endless()
        if by_hand:
            for _ in range(taken):
                next(stream)
        else:
            model.predict(stream, steps=1, verbose=0)
        return model.predict(stream, steps=d.steps, verbose=0)

    # Only the second call is an evaluation of these labels.
    return Evaluation(call, d.labelled())


def generator_for_two_calls(d: Data) -> Evaluation:
    """One generator for two calls that answer the labels together: the first reads ahead."""
    first = d.steps // 2
    d.needs(d.steps >= 8)

    def call(model: Any) -> Any:
        stream = d.endless()
        return np.concatenate([model.predict(stream, steps=k, verbose=0) for k in (first, d.steps - first)])

    return Evaluation(call, d.labelled(), {"scope": "session"})


def item_that_reads_on(d: Data) -> Evaluation:
    """``__getitem__`` returns the next batch, whatever its index."""
    d.needs(d.steps > 4)

    def call(model: Any) -> Any:
        stream, made = d.endless(), d.pydataset(d.all)

        def following(self: Any, index: int) -> Any:
            del self, index
            found = next(stream)
            return found if len(found) > 1 else found[0]

        type(made).__getitem__ = following
        return model.predict(made, verbose=0)

    return Evaluation(call, d.labelled())


def one_buffer(d: Data) -> Evaluation:
    """A generator yields one array, overwritten for each batch, at an address that TensorFlow uses in place."""
    import keras

    d = d.only(*WITH_REFERENCE)
    d.needs(d.x.dtype == np.float32 and d.steps > 5)
    size = d.batch * d.x[0].nbytes
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    buffer = raw[start : start + size].view("float32").reshape(d.batch, -1)

    def batches() -> Iterator[Any]:
        for ids in d.cut(d.all):
            part = buffer[: len(ids)]
            part[:] = d.x[ids]
            yield (part, d.y[ids]) if d.with_y else (part,)

    class Slow(keras.callbacks.Callback):
        """A model that is slower than the source, on a busy machine as well: the source runs ahead."""

        def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
            del batch, logs
            time.sleep(0.02)

    return Evaluation(
        lambda model: model.predict(batches(), steps=d.steps, verbose=0, callbacks=[Slow()]), d.labelled()
    )


# -- Too few ----------------------------------------------------------------------------------------------------------


def dropped_remainder(d: Data) -> Evaluation:
    """``batch(…, drop_remainder=True)``."""
    _partial(d)
    return Evaluation(
        lambda model: model.predict(d.dataset().batch(d.batch, drop_remainder=True), verbose=0), d.labelled()
    )


def floor_steps(d: Data) -> Evaluation:
    """``steps = n // batch_size``."""
    _partial(d)
    steps = d.n // d.batch
    made = d.one_of(d.endless, partial(d.generator, d.all), lambda: d.dataset().batch(d.batch))
    return Evaluation(lambda model: model.predict(made(), steps=steps, verbose=0), d.labelled())


def floor_length(d: Data) -> Evaluation:
    """``__len__`` is ``n // batch_size``."""
    _partial(d)
    return Evaluation(lambda model: model.predict(d.pydataset(d.all, d.n // d.batch), verbose=0), d.labelled())


def too_few_steps(d: Data) -> Evaluation:
    """``steps`` of an older, smaller test set."""
    d.needs(d.steps >= 6)
    steps = int(d.rng.integers(2, d.n // d.batch - 1))
    return Evaluation(lambda model: model.predict(d.generator(d.all), steps=steps, verbose=0), d.labelled())


def unreadable(d: Data) -> Evaluation:
    """Samples that cannot be read are passed over, by a filter or by the user's own loop."""
    lost = d.rng.choice(np.arange(1, d.n - 1), int(d.rng.integers(1, max(2, d.n // 12))), replace=False)
    kept = np.setdiff1d(d.all, lost)
    d.needs(bool((np.diff(np.sort(lost)) > 1).all()))

    def filtered(model: Any) -> Any:
        import tensorflow as tf

        good = tf.data.Dataset.from_tensor_slices(np.isin(d.all, kept))
        numbered = tf.data.Dataset.zip((d.dataset(), good)).filter(lambda row, fine: fine)
        return model.predict(numbered.map(lambda row, fine: row).batch(d.batch), verbose=0)

    if d.rng.integers(2) and not d.with_y:
        return Evaluation(filtered, d.labelled())
    return d.predicted(kept, d.one_of("generator", "arrays") if d.way != KEYED else "generator")


def bad_batch(d: Data) -> Evaluation:
    """``ignore_errors`` after ``batch``: one bad sample loses its batch."""
    d.needs(d.steps > 4 and not d.with_y and d.x.dtype == np.float32)
    d = d.only(*WITH_REFERENCE)
    bad = int(d.rng.integers(d.batch, d.n - d.batch))

    def call(model: Any) -> Any:
        import tensorflow as tf

        def load(number: Any, row: Any) -> Any:
            tf.debugging.assert_none_equal(number, tf.constant(bad, tf.int64))
            return tf.identity(row)

        rows = tf.data.Dataset.zip((tf.data.Dataset.range(d.n), d.dataset())).map(load)
        return model.predict(rows.batch(d.batch).ignore_errors(), verbose=0)

    return Evaluation(call, d.labelled())


def fewer_windows(d: Data) -> Evaluation:
    """Windows of a series, each with the target of the step that it begins with; a label for each step."""
    return windows(d, lambda _: d.y)


def windows(d: Data, labels: Callable[[int], Any]) -> Evaluation:
    """Windows of a series; the labels are made of their number."""
    import keras

    length = int(d.rng.integers(3, 9))
    made = keras.utils.timeseries_dataset_from_array(d.x, d.y, length, batch_size=d.batch)
    given = {"labels": labels(d.n - length + 1)}
    return Evaluation(lambda model: model.predict(made, verbose=0), given, model="windows")


def dropped_in_each_file(d: Data) -> Evaluation:
    """``drop_remainder`` in the pipeline of each file: the rest of each file is lost."""
    bounds = np.sort(d.rng.choice(np.arange(d.batch, d.n), 3, replace=False))
    files = np.split(d.all, bounds)
    kept = [file[: len(file) // d.batch * d.batch] for file in files]
    d.needs(d.batch >= 6 and all(map(len, kept)) and sum(len(file) % d.batch > 0 for file in files[:3]) >= 2)
    # Of so many, a part was chosen.
    d.needs(5 * (d.n - sum(map(len, kept))) < d.n)
    d = d.only(*WITH_REFERENCE, COLLECTED)

    def joined(model: Any) -> Any:
        found = [d.dataset(file).batch(d.batch, drop_remainder=True) for file in files]
        whole = found[0]
        for other in found[1:]:
            whole = whole.concatenate(other)
        return model.predict(whole, verbose=0)

    if d.rng.integers(2):
        return Evaluation(joined, d.labelled())
    return d.predicted(np.concatenate(kept), d.one_of("generator", "pydataset"))


# -- Too many ---------------------------------------------------------------------------------------------------------


def past_the_end(d: Data) -> Evaluation:
    """An endless source and ``steps`` that go past the end."""
    _partial(d)
    steps = d.n // d.batch + 1

    def rounds(model: Any) -> Any:
        return model.predict(d.dataset().repeat().batch(d.batch), steps=steps, verbose=0)

    def loop(model: Any) -> Any:
        def batches() -> Iterator[Any]:
            at = 0
            while True:
                yield d.rows(np.arange(at, at + d.batch) % d.n)
                at += d.batch

        return model.predict(batches(), steps=steps, verbose=0)

    return Evaluation(d.one_of(rounds, loop), d.labelled())


def repeated(d: Data) -> Evaluation:
    """``repeat(2)`` left in from training."""
    times = int(d.rng.integers(2, 4))
    return Evaluation(lambda model: model.predict(d.dataset().repeat(times).batch(d.batch), verbose=0), d.labelled())


def padded(d: Data) -> Evaluation:
    """The last batch is filled up with copies of a sample."""
    _partial(d)
    extra = -d.n % d.batch
    d.needs(extra > 1)
    filler = d.one_of(0, d.n - 1)
    return d.predicted([*range(d.n), *[filler] * extra], d.one_of("generator", "pydataset"))


def thrown_away(d: Data) -> Evaluation:
    """An endless loop clears its list at each pass: the partial batch is never emitted."""
    _partial(d)
    full = d.n - d.n % d.batch

    def batches() -> Iterator[Any]:
        while True:
            yield from map(d.rows, d.cut(np.arange(full)))

    return Evaluation(lambda model: model.predict(batches(), steps=d.steps, verbose=0), d.labelled())


def every_worker_reads_all(d: Data) -> Evaluation:
    """Several readers, each of which reads the whole source."""
    workers = int(d.rng.integers(2, 4))

    def call(model: Any) -> Any:
        import tensorflow as tf

        base = d.dataset()
        rows = tf.data.Dataset.range(workers).interleave(
            lambda _: base, cycle_length=workers, block_length=d.batch, num_parallel_calls=1
        )
        return model.predict(rows.batch(d.batch), verbose=0)

    return Evaluation(call, d.labelled())


def sampler_padding(d: Data) -> Evaluation:
    """A sampler gives each of several replicas equally many whole batches: it begins again at the first sample."""
    replicas = int(d.rng.integers(2, 6))
    extra = -d.n % (replicas * d.batch)
    d.needs(d.batch <= extra < d.n)
    return d.predicted(np.arange(d.n + extra) % d.n, d.one_of("pydataset", "tf.data"))


def part_again(d: Data) -> Evaluation:
    """A job that is resumed predicts the last part once more."""
    d.needs(d.way != KEYED and d.steps > 4)
    parts = d.cut(d.all)
    at = int(d.rng.integers(1, len(parts) - 1))

    def call(model: Any) -> Any:
        return np.concatenate([model.predict(d.x[ids], verbose=0) for ids in (*parts[:at], *parts[at - 1 :])])

    return Evaluation(call, d.labelled(), {"scope": "session"})


def batch_again(d: Data) -> Evaluation:
    """A reader retries after an error and yields the batch before once more."""
    d.needs(d.steps > 4 and d.way != KEYED)
    parts = d.cut(d.all)
    at = int(d.rng.integers(1, len(parts) - 1))
    return d.predicted(np.concatenate([*parts[:at], *parts[at - 1 :]]), d.one_of("generator", "pydataset", "arrays"))


def other_samples_too(d: Data) -> Evaluation:
    """All files on disk are predicted; the labels are those of some."""
    d = d.only(*WITH_REFERENCE)
    chosen = np.sort(d.rng.choice(d.n, int(d.rng.integers(d.n // 2, d.n - 3)), replace=False))
    # Labels of consecutive samples are inputs that were cut at another row.
    d.needs(bool((np.diff(chosen) > 1).any()))
    return d.predicted(d.all, labels=d.labelled(chosen))
