"""Kinds in which the samples come in another order than the labels."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.diagnosis.data import COLLECTED, KEYED, WITH_REFERENCE, Data, Evaluation

# -- Shuffled ---------------------------------------------------------------------------------------------------------


def shuffling_pydataset(d: Data) -> Evaluation:
    """A PyDataset with ``shuffle=True``, as most that people write have it."""

    def call(model: Any) -> Any:
        made = d.pydataset(d.all)
        parts = d.cut(np.random.default_rng(int(d.rng.integers(1 << 30))).permutation(d.n))

        def item(self: Any, index: int) -> Any:
            del self
            found = d.rows(parts[index])
            return found if len(found) > 1 else found[0]

        type(made).__getitem__ = item
        made.shuffle = True
        return model.predict(made, verbose=0)

    return Evaluation(call, d.labelled())


def shuffling_dataset(d: Data) -> Evaluation:
    """``shuffle(n)`` of tf.data: another order at each pass."""
    seed = d.one_of(None, 7)
    return Evaluation(
        lambda model: model.predict(d.dataset().shuffle(d.n, seed=seed).batch(d.batch), verbose=0), d.labelled()
    )


def image_generator(d: Data) -> Evaluation:
    """``ImageDataGenerator().flow(x, y)`` shuffles unless asked not to; the labels are an array, or its own."""
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    pixels = np.repeat(d.x.astype("float32")[:, :, None, None], 3, axis=3)
    d.needs(len(np.unique(pixels, axis=0)) == d.n)
    made = ImageDataGenerator().flow(pixels, d.y, batch_size=d.batch)
    given = d.one_of({"labels": d.y, "reference": pixels}, {"labels": made}, {"labels": d.y})
    return Evaluation(lambda model: model.predict(made, verbose=0), given, model="images")


def known_seed(d: Data) -> Evaluation:
    """Inputs are permuted with a seed; the labels are not."""
    # Where there are keys, the same is keyed data in another order.
    d = d.only("array", "list", "series", "npy", COLLECTED)
    seed = int(d.rng.integers(100))
    order = np.random.default_rng(seed).permutation(d.n)
    if d.rng.integers(3) == 0:
        once = d.dataset().shuffle(d.n, seed=seed, reshuffle_each_iteration=False)
        return Evaluation(lambda model: model.predict(once.batch(d.batch), verbose=0), d.labelled())
    return d.predicted(order, d.one_of("arrays", "generator", "pydataset"))


def shuffle_buffer(d: Data) -> Evaluation:
    """A shuffle buffer that is small compared with the data."""
    d.needs(d.n >= 60)
    size = int(d.rng.integers(3, d.n // 12 + 3))
    once = d.dataset().shuffle(size, reshuffle_each_iteration=False)
    return Evaluation(lambda model: model.predict(once.batch(d.batch), verbose=0), d.labelled())


# -- In parallel ------------------------------------------------------------------------------------------------------


def completed_first(d: Data) -> Evaluation:
    """Threads load batches, which are used as soon as they are ready."""
    parts = d.cut(d.all)
    d.needs(len(parts) >= 5)
    slow = set(d.rng.choice(len(parts) - 1, 2, replace=False).tolist())
    jobs_at_a_time = int(d.rng.integers(2, 4))
    # One that is slow is overtaken by those behind it.
    d.needs(any(number % jobs_at_a_time == 0 for number in slow))

    def load(number: int) -> Any:
        time.sleep(0.1 * (number in slow))
        return d.rows(parts[number])

    def batches() -> Iterator[Any]:
        with ThreadPoolExecutor(jobs_at_a_time) as pool:
            for first in range(0, len(parts), jobs_at_a_time):
                numbers = range(first, min(first + jobs_at_a_time, len(parts)))
                yield from (job.result() for job in as_completed([pool.submit(load, number) for number in numbers]))

    def loop(model: Any) -> Any:
        return np.concatenate([model.predict_on_batch(batch[0]) for batch in batches()])

    if d.way != KEYED and d.rng.integers(2):
        return Evaluation(loop, d.labelled(), {"scope": "session"})
    return Evaluation(lambda model: model.predict(batches(), steps=len(parts), verbose=0), d.labelled())


def files_in_turn(d: Data) -> Evaluation:
    """``interleave`` over files of consecutive samples."""
    files = int(d.rng.integers(2, 6))
    bounds = np.linspace(0, d.n, files + 1).astype(int)

    def call(model: Any) -> Any:
        import tensorflow as tf

        base, ends = d.dataset(), tf.constant(bounds, tf.int64)

        def read(number: Any) -> Any:
            return base.skip(ends[number]).take(ends[number + 1] - ends[number])

        rows = tf.data.Dataset.range(files).interleave(read, cycle_length=files, block_length=1)
        return model.predict(rows.batch(d.batch), verbose=0)

    return Evaluation(call, d.labelled())


def rank_by_rank(d: Data) -> Evaluation:
    """Shards of ranks, put one behind the other."""
    ranks = int(d.rng.integers(2, 6))
    d = d.only(*WITH_REFERENCE, COLLECTED)

    def call(model: Any) -> Any:
        shards = (d.dataset().shard(ranks, rank).batch(d.batch) for rank in range(ranks))
        return np.concatenate([model.predict(shard, verbose=0) for shard in shards])

    return Evaluation(call, d.labelled(), {"scope": "session"})


def partitions(d: Data) -> Evaluation:
    """A table partitioned by the hash of its key, or by worker, read one partition after the other."""
    d.needs(d.n >= 40)
    parts = int(d.rng.integers(3, 9))
    if d.rng.integers(2):
        of = np.asarray([zlib.crc32(str(key).encode()) % parts for key in d.keys.tolist()])
    else:  # a worker takes the next batch when it is free
        # A few batches of each are not distinguishable from a random order.
        d.needs(d.steps >= 8 * parts)
        of = np.repeat(d.rng.integers(0, parts, d.steps), d.batch)[: d.n]
    order = np.argsort(of, kind="stable")
    d.needs(int((np.diff(order) < 0).sum()) >= 2)
    return d.predicted(order)


def retried_at_the_end(d: Data) -> Evaluation:
    """What failed the first time is read again when everything else is done."""
    d.needs(d.n >= 40)
    parts = d.cut(d.all)
    if d.rng.integers(2):
        failed = np.sort(d.rng.choice(d.n - 2, int(d.rng.integers(1, d.n // 10)), replace=False))
    else:
        numbers = np.sort(d.rng.choice(len(parts) - 2, max(1, len(parts) // 10), replace=False))
        failed = np.concatenate([parts[number] for number in numbers])
    # The first samples at the end are a source that was not at its start.
    d.needs(not np.array_equal(failed, np.arange(len(failed))))
    return d.predicted(np.concatenate([np.setdiff1d(d.all, failed), failed]))


# -- Sorted -----------------------------------------------------------------------------------------------------------


def sorted_by_length(d: Data) -> Evaluation:
    """Sequences are sorted by length, so that batches need little padding, and nothing puts them back."""
    longest = int(d.rng.integers(8, 25))
    lengths = d.rng.integers(2, longest + 1, d.n)
    x = np.zeros((d.n, longest), "int32")
    for row, length in enumerate(lengths.tolist()):
        x[row, :length] = d.rng.integers(1, 90, length)
    d.needs(len(np.unique(x, axis=0)) == d.n and len(set(lengths.tolist())) > 3)
    order = np.argsort(d.one_of(lengths, -lengths), kind=d.one_of("stable", None))
    d = replace(d.only(*WITH_REFERENCE), x=x)
    return replace(d.predicted(order), model="tokens")


def labels_sorted_by_name(d: Data) -> Evaluation:
    """The label file is sorted by name; predictions come in the order of another table."""
    d = d.only("csv", KEYED)
    d.needs(not np.array_equal(np.argsort(d.keys, kind="stable"), d.all))
    return d.predicted(d.all, labels=d.labelled(sort=True))


def keyed_in_another_order(d: Data) -> Evaluation:
    """The label file is an export of a database, in the order of the database."""
    d = d.only("csv", KEYED)
    return d.predicted(d.all, labels=d.labelled(d.rng.permutation(d.n)))


def text_and_numbers(d: Data) -> Evaluation:
    """One side lists files by name as text, the other by number: ``10`` before ``2``."""
    d = d.only("csv", KEYED)
    d.needs(d.n >= 30)
    names = np.asarray([f"{d.one_of('img', 'frame', 'x')}_{number}.png" for number in range(d.n)])
    names = np.asarray([names[0].partition("_")[0] + "_" + name.partition("_")[2] for name in names])
    d = replace(d, keys=names)
    as_text = np.argsort(names, kind="stable")
    if d.rng.integers(2):
        return d.predicted(as_text)
    return d.predicted(d.all, labels=d.labelled(as_text))


def two_listings(d: Data) -> Evaluation:
    """Images and masks are listed in two folders, each sorted by its own names: ``a_b.png`` and ``a_b_mask.png``."""
    d = d.only("csv", KEYED)
    words = ["a", "b", "cat", "car", "x", "scan"]
    made = {f"{d.one_of(*words)}{d.one_of('', '2', '_b', '-b', '_crop')}{d.one_of('', '_1', '_2', '-3', '4', '_12')}"
            for _ in range(400)}  # fmt: skip
    stems = np.asarray(sorted(made))[: d.n]
    d.needs(len(stems) >= 24)
    ending = d.one_of("_mask.png", "-label.txt", "_seg.png")
    images, masks = np.sort(np.char.add(stems, ".png")), np.sort(np.char.add(stems, ending))
    of_images = np.asarray([name.removesuffix(".png") for name in images.tolist()])
    of_masks = np.asarray([name.removesuffix(ending) for name in masks.tolist()])
    d.needs(bool((of_images != of_masks).any()))
    n = len(stems)
    d = replace(d, x=d.x[:n], y=d.y[:n], keys=of_images, batch=min(d.batch, n // 3))
    d.needs(len(d.x) == n)
    place = {name: row for row, name in enumerate(of_images.tolist())}
    return d.predicted(d.all, labels=d.labelled(np.asarray([place[name] for name in of_masks.tolist()])))


def class_by_class(d: Data) -> Evaluation:
    """Files are listed folder by folder; the table of labels is not."""
    d = d.only(*WITH_REFERENCE, COLLECTED)
    d.needs(bool((np.diff(d.y) < 0).any()))
    return d.predicted(np.argsort(d.y, kind="stable"))


def labels_class_by_class(d: Data) -> Evaluation:
    """The label file is sorted by class; the stream is not."""
    d = d.only(*WITH_REFERENCE)
    d.needs(d.n >= 30 and len(np.unique(d.y)) > 2)
    return d.predicted(d.all, labels=d.labelled(np.argsort(d.y, kind="stable")))


# -- Simple to say ----------------------------------------------------------------------------------------------------


def backwards(d: Data) -> Evaluation:
    """The newest file first, or a table in descending order."""
    return d.only(*WITH_REFERENCE, COLLECTED).predicted(d.all[::-1])


def rolled(d: Data) -> Evaluation:
    """An array that was rolled, or joined of its two halves in the wrong order."""
    d = d.only(*WITH_REFERENCE, COLLECTED)
    d.needs(d.n >= 40)
    return d.predicted(np.roll(d.all, int(d.rng.integers(d.n // 4, d.n - d.n // 4))), "arrays")


def parts_as_text(d: Data) -> Evaluation:
    """Parts of a table that were joined in the order of text: ``part_10`` before ``part_2``."""
    parts = np.array_split(d.all, 12)
    d.needs(d.n >= 60)
    # Where there are keys, or a source that may have been read before, other names fit as well.
    d = d.only("array", "list", "npy")
    order = np.concatenate([parts[number] for number in sorted(range(12), key=str)])
    return d.predicted(order, d.one_of("arrays", "generator", "pydataset"))


def sorted_in_batches(d: Data) -> Evaluation:
    """The rows of each batch are sorted by something, as for sequences that are packed."""
    d.needs(d.batch >= 6 and d.n >= 2 * d.batch)
    way = int(d.rng.integers(3))
    parts = [(part[np.argsort(d.x[part, 0])], d.rng.permutation(part), part[::-1])[way] for part in d.cut(d.all)]
    d = d.only(*WITH_REFERENCE, COLLECTED)
    return d.predicted(np.concatenate(parts))


# -- After predict ----------------------------------------------------------------------------------------------------


def order_not_inverse(d: Data) -> Evaluation:
    """``predict(x[order])[order]``."""
    d = d.only(*WITH_REFERENCE)
    order = d.one_of(d.rng.permutation(d.n), np.argsort(d.x[:, 0], kind="stable"))
    d.needs(not np.array_equal(order[order], d.all))

    def call(model: Any) -> Any:
        return model.predict(d.x[order], batch_size=d.batch, verbose=0)[order]

    return Evaluation(call, d.labelled(), {"scope": d.one_of("parts", "call")}, confirmed=True)


def folds_joined(d: Data) -> Evaluation:
    """Folds, concatenated fold after fold."""
    d = d.only(*WITH_REFERENCE)
    folds = np.array_split(d.rng.permutation(d.n), int(d.rng.integers(3, 7)))
    folds = [np.sort(fold) for fold in folds]

    def call(model: Any) -> Any:
        return np.concatenate([model.predict(d.x[fold], verbose=0) for fold in folds])

    return Evaluation(call, d.labelled(), {"scope": "parts"}, confirmed=True)


def parts_as_completed(d: Data) -> Evaluation:
    """Threads predict parts; results are joined as they complete."""
    d = d.only(*WITH_REFERENCE)
    parts = np.array_split(d.all, 5)

    def call(model: Any) -> Any:
        def predict(number: int) -> Any:
            time.sleep(0.12 * (number == 0))
            return model.predict_on_batch(d.x[parts[number]])

        with ThreadPoolExecutor(2) as pool:
            jobs = [pool.submit(predict, number) for number in range(len(parts))]
            return np.concatenate([job.result() for job in as_completed(jobs)])

    return Evaluation(call, d.labelled(), {"scope": "parts", "model": "given"}, confirmed=True)


def sorted_after_predict(d: Data) -> Evaluation:
    """Predictions are sorted, by a score or by a join, before they are scored."""
    d = d.only(*WITH_REFERENCE)
    order = d.rng.permutation(d.n)
    # Its own inverse is an order that was not inverted.
    d.needs(not np.array_equal(order, d.all))

    def call(model: Any) -> Any:
        return model.predict(d.x, batch_size=d.batch, verbose=0)[order]

    return Evaluation(call, d.labelled(), confirmed=True)


def fold_left_out(d: Data) -> Evaluation:
    """One of the folds is never predicted."""
    d = d.only(*WITH_REFERENCE)
    folds = np.array_split(d.rng.permutation(d.n), 4)[1:]

    def call(model: Any) -> Any:
        for fold in folds:
            model.predict(d.x[fold], batch_size=d.batch, verbose=0)

    return Evaluation(call, d.labelled(), {"scope": "parts"})
