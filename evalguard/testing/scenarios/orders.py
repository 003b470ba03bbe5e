"""Scenarios in which samples arrive in another order than the labels, or labels belong to other samples."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from itertools import count
from typing import Any

import numpy as np

from evalguard.testing.scenarios.data import Scenario, ScenarioData


def racing(data: ScenarioData) -> Scenario:
    """Threads load batches, which are emitted as soon as they are ready."""
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

    return data.predict_scenario(stream, "parallel work inside the source", certain=False)


def asked_by_two(data: ScenarioData) -> Scenario:
    """Two workers of tf_keras read one iterator, and the first that requests a batch is not the first that gets one."""

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

    return Scenario(
        lambda model: model.predict(Loader(), steps=data.steps, workers=2, verbose=0),
        "unordered queue",
        True,
        data.y,
        engine="tf_keras",
    )


def buffer_shuffle(data: ScenarioData) -> Scenario:
    """A shuffle buffer smaller than the data."""
    made = data.dataset().shuffle(max(2, data.n // 8), reshuffle_each_iteration=False, seed=1).batch(data.batch_size)
    return data.predict_scenario(lambda: made, "shuffle buffer", certain=True)


def shuffle_attribute(data: ScenarioData) -> Scenario:
    """A PyDataset with ``shuffle=True``, which is the default of image iterators."""

    def shuffle(self: Any) -> None:
        self.batches = data.cut(np.random.default_rng(0).permutation(data.n))

    made = type("Shuffling", (data.pydataset(shuffle=True),), {"on_epoch_begin": shuffle})

    def source() -> Any:
        dataset = made()
        dataset.on_epoch_begin()  # Keras before 3.5 does not call it
        return dataset

    return data.predict_scenario(source, "`shuffle=True`", certain=True)


def reshuffled(data: ScenarioData) -> Scenario:
    """A dataset that is shuffled again at each pass."""
    made = data.dataset().shuffle(data.n).batch(data.batch_size)
    return data.predict_scenario(lambda: made, "shuffled anew at each pass", certain=True)


def sorted_as_text(data: ScenarioData) -> Scenario:
    """Files sorted as text, so that ``10`` comes before ``2``."""
    order = np.array(sorted(range(data.n), key=str))
    return data.predict_scenario(data.pydataset(order), "labels in another sort order", certain=False)


def by_class(data: ScenarioData) -> Scenario:
    """Files in directories of classes, one class after the other."""
    order = np.argsort(data.y, kind="stable")
    return data.predict_scenario(data.pydataset(order), "labels in another sort order", certain=False)


def shards(data: ScenarioData) -> Scenario:
    """Three shards, predicted one after the other."""

    def predict(model: Any) -> Any:
        parts = (data.dataset().shard(3, rank).batch(data.batch_size) for rank in range(3))
        return [model.predict(part, verbose=0) for part in parts]

    return Scenario(predict, "stride of 3", True, data.y, {"scope": "session"})


def in_the_model(data: ScenarioData) -> Scenario:
    """A model that reverses the rows of each batch."""
    import keras

    class Reversing(keras.Model):
        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model = model

        def call(self, x: Any) -> Any:
            return self.model(x)[::-1]

    return Scenario(
        lambda model: Reversing(model).predict(data.x, batch_size=data.batch_size, verbose=0),
        "the model moves rows between its input and its output",
        True,
        data.y,
        {"verify_model": True},
    )


def two_branches(data: ScenarioData) -> Scenario:
    """Inputs and targets are two branches of one shuffle, which shuffles each branch in another order."""
    import tensorflow as tf

    numbers = tf.data.Dataset.range(data.n).shuffle(data.n, seed=1)
    # Not two lambdas in one line, because TensorFlow warns that it cannot distinguish their source.
    x, y = (numbers.map(partial(tf.gather, tf.constant(part))) for part in (data.x, data.y))
    apart = tf.data.Dataset.zip((x, y))
    return data.predict_scenario(
        lambda: apart.batch(data.batch_size), "labels in the stream belong to other rows", certain=True
    )


def label_file(data: ScenarioData) -> Scenario:
    """The label file is off by one row."""
    source = data.pydataset()
    labels = np.roll(data.y, 1)
    return Scenario(lambda model: model.predict(source(), verbose=0), "label file in another order", True, labels)
