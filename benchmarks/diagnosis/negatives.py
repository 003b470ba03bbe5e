"""Kinds in which every certain cause is wrong: what is seen has several explanations, or nothing is wrong at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.diagnosis.data import KEYED, WITH_REFERENCE, Data, Evaluation

# -- A part of the samples --------------------------------------------------------------------------------------------


def subset(d: Data) -> Evaluation:
    """Some samples were chosen; the labels are those of all."""
    chosen = np.flatnonzero(d.rng.random(d.n) < d.rng.uniform(0.2, 0.7))
    d.needs(4 < len(chosen) < d.n - 4)
    return d.predicted(chosen)


def fold(d: Data) -> Evaluation:
    """The test fold of a cross-validation; the labels are those of all."""
    d.needs(d.n // d.batch >= 2)
    folds = np.array_split(d.one_of(d.all, d.rng.permutation(d.n)), int(d.rng.integers(3, 6)))
    test = np.sort(folds[int(d.rng.integers(len(folds)))])

    def filtered(model: Any) -> Any:
        import tensorflow as tf

        of_fold = tf.data.Dataset.from_tensor_slices(np.isin(d.all, test))
        rows = tf.data.Dataset.zip((d.dataset(), of_fold)).filter(lambda row, there: there)
        return model.predict(rows.map(lambda row, there: row).batch(d.batch), verbose=0)

    if not d.with_y and d.rng.integers(2):
        return Evaluation(filtered, d.labelled())
    if d.rng.integers(4) == 0:  # whole batches from the first sample on, which a number of steps would leave as well
        return d.predicted(np.arange(d.n // d.batch // 2 * d.batch))
    return d.predicted(test)


def skipped(d: Data) -> Evaluation:
    """``skip(k)`` leaves a validation part out."""
    k = int(d.rng.integers(1, d.n // 2))
    return Evaluation(lambda model: model.predict(d.dataset().skip(k).batch(d.batch), verbose=0), d.labelled())


def taken(d: Data) -> Evaluation:
    """``take(k)``."""
    k = int(d.rng.integers(d.n // 4, d.n - 1))
    return Evaluation(lambda model: model.predict(d.dataset().take(k).batch(d.batch), verbose=0), d.labelled())


def one_shard(d: Data) -> Evaluation:
    """One of several shards."""
    shards = int(d.rng.integers(2, 5))
    index = int(d.rng.integers(shards))
    return Evaluation(
        lambda model: model.predict(d.dataset().shard(shards, index).batch(d.batch), verbose=0), d.labelled()
    )


# -- Several explanations ---------------------------------------------------------------------------------------------


def two_rows_swapped(d: Data) -> Evaluation:
    """Two rows are swapped, for whatever reason."""
    ids = d.all.copy()
    one, other = d.rng.choice(d.n, 2, replace=False)
    ids[[one, other]] = ids[[other, one]]
    return d.predicted(ids)


def two_classes_swapped(d: Data) -> Evaluation:
    """Labels in which two classes are exchanged: which side is wrong, and why, nothing shows."""
    d = replace(d.only(*WITH_REFERENCE), with_y=True)
    one, other = d.rng.choice(np.unique(d.y), 2, replace=False)
    y = np.where(d.y == one, other, np.where(d.y == other, one, d.y))
    d.needs(min(np.bincount(d.y)[[one, other]]) > 2)
    return d.predicted(d.all, d.one_of("generator", "tf.data"), labels=d.labelled(y=y))


def labels_corrected(d: Data) -> Evaluation:
    """A few labels were corrected, as many one way as the other: the values are the same, in another order."""
    d = replace(d.only(*WITH_REFERENCE), with_y=True)
    pairs = int(d.rng.integers(1, 3))
    d.needs(d.n >= 40 and min(np.bincount(d.y % 2)) > 4)
    y = d.y.copy()
    for _ in range(pairs):
        one, other = (int(d.rng.choice(np.flatnonzero(y % 2 == odd))) for odd in (0, 1))
        y[[one, other]] = y[[other, one]]
    return d.predicted(d.all, d.one_of("generator", "tf.data"), labels=d.labelled(y=y))


def loop_run_twice(d: Data) -> Evaluation:
    """The cell with the loop is run twice; its list of predictions is not emptied."""
    d = d.only(*WITH_REFERENCE)

    def call(model: Any) -> Any:
        done: list[Any] = []
        for _ in range(2):
            for ids in d.cut(d.all):
                done.append(model.predict_on_batch(d.x[ids]))  # noqa: PERF401 - as users write it
        return np.concatenate(done)

    def whole(model: Any) -> Any:
        return np.concatenate([model.predict(d.x, batch_size=d.batch, verbose=0) for _ in range(2)])

    return Evaluation(d.one_of(call, whole), d.labelled(), {"scope": "session"})


def labels_of_another_iterator(d: Data) -> Evaluation:
    """``classes`` of one image iterator, predictions of another one, made of the same images in another order."""
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    pixels = np.repeat(d.x.astype("float32")[:, :, None, None], 3, axis=3)
    d.needs(len(np.unique(pixels, axis=0)) == d.n and len(set(d.y.tolist())) > 2)
    order = d.rng.permutation(d.n)
    one, other = (
        ImageDataGenerator().flow(pixels[ids], d.y[ids], batch_size=d.batch, shuffle=False) for ids in (d.all, order)
    )
    given = d.one_of({"labels": np.asarray(one.y), "reference": pixels}, {"labels": np.asarray(one.y)})
    return Evaluation(lambda model: model.predict(other, verbose=0), given, model="images")


def snapshot(d: Data) -> Evaluation:
    """A shuffled dataset that was written to disk by ``snapshot``: its order is that of the first pass."""
    d.needs(not d.with_y)
    made = d.dataset().shuffle(d.n).snapshot(str(d.folder / "snapshot"))

    def call(model: Any) -> Any:
        for _ in made:
            pass
        return model.predict(made.batch(d.batch), verbose=0)

    return Evaluation(call, d.labelled())


# -- Right but odd ----------------------------------------------------------------------------------------------------


def right_but_odd(d: Data) -> Evaluation:
    """Evaluations that look suspicious and are right."""
    make: Callable[[Data], Evaluation] = d.one_of(
        sorted_and_put_back, _labels_in_stream_order, _shuffle_of_one, _generator_at_the_right_place, _cached, _subset
    )
    return make(d)


def sorted_and_put_back(d: Data) -> Evaluation:
    """Predicted in another order, and put back by its inverse."""
    d = d.only(*WITH_REFERENCE)
    order = d.rng.permutation(d.n)

    def call(model: Any) -> Any:
        return model.predict(d.x[order], batch_size=d.batch, verbose=0)[np.argsort(order)]

    return Evaluation(call, d.labelled(), {"scope": "parts"}, confirmed=True)


def _labels_in_stream_order(d: Data) -> Evaluation:
    order = d.rng.permutation(d.n)
    return d.predicted(order, labels=d.labelled(order))


def _shuffle_of_one(d: Data) -> Evaluation:
    d = d.only(*WITH_REFERENCE)
    return Evaluation(lambda model: model.predict(d.dataset().shuffle(1).batch(d.batch), verbose=0), d.labelled())


def _generator_at_the_right_place(d: Data) -> Evaluation:
    d.needs(d.n % d.batch == 0 and d.way != KEYED)

    def call(model: Any) -> Any:
        stream = d.endless()
        for _ in range(d.steps):
            next(stream)
        return model.predict(stream, steps=d.steps, verbose=0)

    return Evaluation(call, d.labelled())


def _cached(d: Data) -> Evaluation:
    made = d.dataset().take(-1).cache().repeat(1).batch(d.batch).ignore_errors()
    return Evaluation(lambda model: model.predict(made, verbose=0), d.labelled())


def _subset(d: Data) -> Evaluation:
    ids = np.sort(d.rng.choice(d.n, d.n // 2, replace=False))
    return d.predicted(ids, labels=d.labelled(ids))
