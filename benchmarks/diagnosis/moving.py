"""Kinds in which rows move behind the source: on the way to the model, in it, before the score; other labels there."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np

from benchmarks.diagnosis.data import WITH_REFERENCE, Array, Data, Evaluation

IN_ONE_CALL = ("arrays", "generator", "pydataset", "tf.data")

# -- Between source and model -----------------------------------------------------------------------------------------


def asked_by_two(d: Data) -> Evaluation:
    """Two workers of tf_keras take batches from one iterator: who asks first may get a later batch."""
    return asked_by(d, 2)


def asked_by(d: Data, workers: int) -> Evaluation:
    """An iterator that several threads may ask; now and then it takes long before it takes its turn."""
    d = d.only(*WITH_REFERENCE)
    d.needs(d.steps >= 6)

    class Loader:
        def __init__(self) -> None:
            self.batches, self.asked, self.lock = d.endless(), count(), threading.Lock()

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> Any:
            time.sleep(0.05 * (next(self.asked) % 3 == 0))
            with self.lock:
                return next(self.batches)

    def call(model: Any) -> Any:
        return model.predict(Loader(), steps=d.steps, workers=workers, verbose=0)

    return Evaluation(call, d.labelled(), model="tf_keras")


# -- In the model -----------------------------------------------------------------------------------------------------


def rows_moved_in_model(d: Data) -> Evaluation:
    """A layer sorts, rolls or reverses the rows of a batch."""
    return verified(d, d.one_of("sorting", "rolling", "reversing"))


def verified(d: Data, model: str = "") -> Evaluation:
    """One batch of this model is computed again in another order."""
    made = d.only(*WITH_REFERENCE).predicted(d.all, d.one_of(*IN_ONE_CALL))
    return replace(made, model=model, options={"verify_model": True})


def rows_moved_after_model(d: Data) -> Evaluation:
    """A ``predict`` of the user's own class returns the rows sorted by score, backwards, or each one row late."""
    return overriding(d, d.one_of("returns sorted", "returns backwards", "returns late"))


def overriding(d: Data, model: str) -> Evaluation:
    """A model whose class overrides ``predict``."""
    return replace(d.only(*WITH_REFERENCE).predicted(d.all, d.one_of(*IN_ONE_CALL)), model=model)


# -- Of several calls -------------------------------------------------------------------------------------------------


def parts_sorted_by_name(d: Data) -> Evaluation:
    """Each part is saved to a file, and files are read in the order of their names: ``part_10`` before ``part_2``."""
    return saved(d, "part_{}.npy")


def saved(d: Data, name: str) -> Evaluation:
    """Each part is saved to a file of this name and its number; the files are read in the order of their names."""
    d = d.only(*WITH_REFERENCE)
    parts = np.array_split(d.all, int(d.rng.integers(11, 16)))

    def call(model: Any) -> Any:
        paths = [d.folder / name.format(number) for number in range(len(parts))]
        for path, part in zip(paths, parts, strict=True):
            np.save(path, model.predict(d.x[part], verbose=0))
        return np.concatenate([np.load(path) for path in sorted(paths)])

    return Evaluation(call, d.labelled(), {"scope": "parts"}, confirmed=True)


def parts_in_another_order(d: Data) -> Evaluation:
    """Parts are predicted in another order than the labels: a queue, one folder before the other."""
    order = d.rng.permutation(int(d.rng.integers(2, 6)))
    d.needs(not np.array_equal(order, np.sort(order)))
    return predicted_by_part(d, order)


def predicted_by_part(d: Data, order: Array) -> Evaluation:
    """Parts of consecutive samples, predicted in this order and joined in it."""
    d = d.only(*WITH_REFERENCE)
    parts = np.array_split(d.all, len(order))
    source = d.one_of(*IN_ONE_CALL)

    def call(model: Any) -> Any:
        return np.concatenate([d.predicting(parts[number], source)(model) for number in order.tolist()])

    scope = d.one_of("session", "parts")
    return Evaluation(call, d.labelled(), {"scope": scope}, confirmed=scope == "parts")


def member_in_another_order(d: Data) -> Evaluation:
    """The second model of an ensemble predicts the samples in another order; its rows are scored."""
    return two_members(d, d.rng.permutation(d.n))


def two_members(d: Data, order: Array) -> Evaluation:
    """Two models; the second one predicts the samples in this order."""
    d = d.only(*WITH_REFERENCE)

    def call(model: Any) -> Any:
        import keras

        model.predict(d.x, batch_size=d.batch, verbose=0)
        return keras.models.clone_model(model).predict(d.x[order], batch_size=d.batch, verbose=0)

    return Evaluation(call, d.labelled(), {"scope": "parts"}, confirmed=True)


# -- Other labels -----------------------------------------------------------------------------------------------------


def scored_with_other_labels(d: Data) -> Evaluation:
    """The score takes labels from elsewhere: of another order, of another model, one row late."""
    others = d.one_of(d.rng.permutation(d.y), (d.y + 1) % (d.y.max() + 1), np.roll(d.y, 1))
    d.needs(not np.array_equal(others, d.y))
    return scored_with(d, others)


def scored_with(d: Data, y: Array) -> Evaluation:
    """What is scored is confirmed together with these labels."""
    made = d.only(*WITH_REFERENCE).predicted(d.all, d.one_of(*IN_ONE_CALL))
    return replace(made, confirmed=True, y_true=y)


def reference_in_another_order(d: Data) -> Evaluation:
    """The frame of reference inputs has the index of the labels, in another order."""
    order = d.rng.permutation(d.n)
    d.needs(not np.array_equal(order, d.all))
    return referred(d, order)


def referred(d: Data, order: Array) -> Evaluation:
    """Labels and reference have a pandas index; the rows of the reference are in this order."""
    import pandas as pd

    d = d.only("series")
    frame = pd.DataFrame(d.x, index=d.keys)
    given = {"labels": pd.Series(d.y, index=d.keys), "reference": frame.iloc[order]}
    return Evaluation(d.predicting(d.all, d.one_of(*IN_ONE_CALL)), given)
