"""Scenarios in which samples are missing or repeated."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from evalguard.testing.scenarios.data import Scenario, ScenarioData


def wrapped_generator(data: ScenarioData) -> Scenario:
    """An endless generator continues with sample 0 inside the last batch."""

    def stream() -> Iterator[Any]:
        at = 0
        while True:
            yield data.rows(np.arange(at, at + data.batch_size) % data.n)
            at += data.batch_size

    return data.predict_scenario(stream, "stream wrapped", certain=True, steps=data.steps)


def wrapped_dataset(data: ScenarioData) -> Scenario:
    """``repeat()`` before ``batch()``, and ``steps`` rounded up."""
    made = data.dataset().repeat().batch(data.batch_size)
    return data.predict_scenario(lambda: made, "stream wrapped", certain=True, steps=data.steps)


def padded(data: ScenarioData) -> Scenario:
    """The last batch is filled up with copies of the last sample."""
    more = data.steps * data.batch_size - data.n
    x = data.x[[*range(data.n), *[data.n - 1] * more]]
    return Scenario(lambda model: model.predict(x, batch_size=data.batch_size, verbose=0), "padded", True, data.y)


def every_reader_reads_all(data: ScenarioData) -> Scenario:
    """Two readers in parallel, each of which reads all batches instead of its share."""
    import tensorflow as tf

    batches = data.dataset().batch(data.batch_size)
    made = tf.data.Dataset.range(2).interleave(lambda _: batches, cycle_length=2)
    return data.predict_scenario(lambda: made, "source copied per worker, or not sharded", certain=False)


def sampler_padding(data: ScenarioData) -> Scenario:
    """A sampler that gives three or more replicas equally many whole batches, by repeating the first samples."""
    # Ends at the latest with one replica more than there are batches.
    replicas = next(count for count in itertools.count(3) if -data.n % (count * data.batch_size) >= data.batch_size)
    more = -data.n % (replicas * data.batch_size)
    ids = np.arange(data.n + more) % data.n
    return data.predict_scenario(
        lambda: (data.rows(part) for part in data.cut(ids)), "sampler padding across replicas", certain=False
    )


def cleared_cache(data: ScenarioData) -> Scenario:
    """The list that collects a batch is emptied inside the endless loop, so a partial batch is lost."""

    def stream() -> Iterator[Any]:
        while True:
            cache: list[int] = []
            for sample in range(data.n):
                cache.append(sample)
                if len(cache) == data.batch_size:
                    yield data.rows(cache)
                    cache = []

    return data.predict_scenario(stream, "partial batch thrown away at each pass", certain=True, steps=data.steps)


def floor_steps(data: ScenarioData) -> Scenario:
    """``steps = N // batch_size``."""
    steps = data.n // data.batch_size
    return data.predict_scenario(data.endless, "`steps = N // batch_size`", certain=True, steps=steps)


def floor_length(data: ScenarioData) -> Scenario:
    """``__len__`` rounds down."""
    made = data.pydataset(length=data.n // data.batch_size)
    return data.predict_scenario(made, "`__len__` rounds down", certain=False)


def dropped(data: ScenarioData) -> Scenario:
    """``drop_remainder=True``."""
    made = data.dataset().batch(data.batch_size, drop_remainder=True)
    return data.predict_scenario(lambda: made, "partial batch dropped", certain=True)


def few_steps(data: ScenarioData) -> Scenario:
    """Fewer ``steps`` than batches."""
    steps = max(1, data.steps // 2)
    return data.predict_scenario(data.endless, "`steps` too small", certain=True, steps=steps)


def passed_over(data: ScenarioData) -> Scenario:
    """Files that cannot be read are skipped."""
    bad = {data.n // 9, data.n // 3, data.n // 2}

    def stream() -> Iterator[Any]:
        for ids in data.cut(range(data.n)):
            left = [sample for sample in ids if sample not in bad]
            if left:
                yield data.rows(left)

    return data.predict_scenario(stream, "samples left out by the source", certain=False)
