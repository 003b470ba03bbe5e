"""Each cause, made by a real source in Keras 3: the product names only what was reproduced."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import evalguard
from evalguard import Verdict

N, BATCH = 50, 8
STEPS = -(-N // BATCH)
X = np.linspace(1, 2, N, dtype="float32")[:, None]
Y = np.arange(N) * 29 % 7 % 3


def rows(ids):
    return X[np.asarray(ids)], Y[np.asarray(ids)]


def in_batches(ids, size=BATCH):
    return [ids[start : start + size] for start in range(0, len(ids), size)]


def endless():
    while True:
        yield from map(rows, in_batches(range(N)))


def whole_batches():
    """Goes on with sample 0 inside a batch."""
    at = 0
    while True:
        yield rows(np.arange(at, at + BATCH) % N)
        at += BATCH


def used(model):
    stream = endless()
    next(stream)
    model.predict(stream, steps=STEPS, verbose=0)


def in_two_calls(model):
    stream = endless()
    model.predict(stream, steps=3, verbose=0)
    model.predict(stream, steps=STEPS - 3, verbose=0)


def cleared_cache():
    """The cache that forms batches is cleared inside the endless loop."""
    while True:
        cache: list[int] = []
        for sample in range(N):
            cache.append(sample)
            if len(cache) == BATCH:
                yield rows(cache)
                cache = []


def skipping():
    """A file that cannot be read is passed over."""
    for ids in in_batches(range(N)):
        yield rows([sample for sample in ids if sample not in {5, 17, 30}])


def racing():
    """Batches are loaded by threads, and taken as they are ready."""

    def load(number):
        time.sleep(0.05 if number in {0, 3} else 0)
        return rows(in_batches(range(N))[number])

    with ThreadPoolExecutor(2) as pool:
        for first in range(0, STEPS, 2):
            jobs = [pool.submit(load, number) for number in range(first, min(first + 2, STEPS))]
            yield from (job.result() for job in as_completed(jobs))


class Batches(keras.utils.PyDataset):
    """Batches of some samples."""

    def __init__(self, ids=range(N), length=None, **attributes):
        super().__init__()
        self.batches = in_batches(list(ids))
        self.length = len(self.batches) if length is None else length
        self.__dict__.update(attributes)

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return rows(self.batches[index])


class Shuffling(Batches):
    """Shuffles at the beginning of each epoch, as image iterators do."""

    shuffle = True

    def on_epoch_begin(self):
        self.batches = in_batches(np.random.default_rng(0).permutation(N))


class ReadsOn(Batches):
    """Gives the next batch, whichever is asked for."""

    def __init__(self):
        super().__init__()
        self.stream = endless()

    def __getitem__(self, index):
        return next(self.stream)


def dataset():
    return tf.data.Dataset.from_tensor_slices((X, Y))


def apart():
    numbers = tf.data.Dataset.range(N).shuffle(N, seed=1)
    return tf.data.Dataset.zip((numbers.map(partial(tf.gather, X)), numbers.map(partial(tf.gather, Y))))


def as_text():
    return sorted(range(N), key=str)


def by_shards(model):
    for rank in range(3):
        model.predict(dataset().shard(3, rank).batch(BATCH), verbose=0)


@dataclass
class Fault:
    """What a user did.

    Attributes:
        act: Gets a model.
        cause: The beginning of the cause that must come first.
        certain: It is certain.
        options: Options of the guard beside labels and reference.
    """

    act: Callable[[Any], object]
    cause: str
    certain: bool
    options: dict[str, Any] = field(default_factory=dict)


def predicts(
    source: Callable[[], Any], cause: str, *, certain: bool, steps: int | None = None, **options: Any
) -> Fault:
    return Fault(lambda model: model.predict(source(), steps=steps, verbose=0), cause, certain, options)


START = "iterator not at its start"
FLOOR = "`steps = N // batch_size`"
SHORT_LEN = "`__len__` rounds down"
AGAIN = "shuffled anew at each pass"
SESSION = {"scope": "session"}

FAULTS = {
    "a generator that was looked at": Fault(used, START, certain=True),
    "a generator for two calls": Fault(in_two_calls, "source ahead of the first call", certain=True, options=SESSION),
    "an item that reads on": predicts(ReadsOn, "`__getitem__` depends on more than its index", certain=True),
    "an endless generator": predicts(whole_batches, "stream wrapped", certain=True, steps=STEPS),
    "repeat": predicts(lambda: dataset().repeat().batch(BATCH), "stream wrapped", certain=True, steps=STEPS),
    "a padded array": Fault(
        lambda model: model.predict(X[[*range(N), *[N - 1] * 6]], batch_size=BATCH, verbose=0), "padded", certain=True
    ),
    "a cleared cache": predicts(cleared_cache, "partial batch thrown away at each pass", certain=True, steps=STEPS),
    "steps rounded down": predicts(endless, FLOOR, certain=True, steps=N // BATCH),
    "a length rounded down": predicts(lambda: Batches(length=N // BATCH), SHORT_LEN, certain=True),
    "drop_remainder": predicts(
        lambda: dataset().batch(BATCH, drop_remainder=True), "partial batch dropped", certain=True
    ),
    "too few steps": predicts(endless, "`steps` too small", certain=True, steps=3),
    "files passed over": predicts(skipping, "samples left out by the source", certain=True),
    "batches by threads": predicts(racing, "parallel work inside the source", certain=False),
    "a shuffle buffer": predicts(
        lambda: dataset().shuffle(6, reshuffle_each_iteration=False).batch(BATCH), "shuffle buffer", certain=True
    ),
    "shuffle=True": predicts(Shuffling, "`shuffle=True`", certain=True),
    "a dataset that shuffles": predicts(lambda: dataset().shuffle(N).batch(BATCH), AGAIN, certain=True),
    "files by text": predicts(lambda: Batches(as_text()), "labels in another sort order", certain=False),
    "directories by class": predicts(
        lambda: Batches(np.argsort(Y, kind="stable")), "labels in another sort order", certain=False
    ),
    "shards": Fault(by_shards, "stride of 3", certain=True, options=SESSION),
    "two branches of a shuffle": predicts(
        lambda: apart().batch(BATCH), "labels in the stream belong to other rows", certain=True
    ),
    "a shifted label file": Fault(
        lambda model: model.predict(Batches(), verbose=0),
        "label file in another order",
        certain=True,
        options={"labels": np.roll(Y, 1)},
    ),
}


@pytest.fixture(scope="module")
def echo():
    inputs = keras.Input((1,))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


@pytest.mark.parametrize("name", FAULTS)
def test_a_real_fault_is_named(echo, name):
    fault = FAULTS[name]
    options = {"labels": Y, "reference": X, **fault.options}
    with evalguard.guard(mlflow=False, on_failure="record", **options) as g:
        fault.act(echo)
    assert g.report.verdict is Verdict.FAIL
    first, *others = g.report.diagnosis
    assert first.cause.startswith(fault.cause), g.report.diagnosis
    assert first.certain is fault.certain, first
    assert [cause for cause in others if cause.certain] == []


def test_keys_make_a_sort_order_certain():
    names = np.asarray([f"img{number}.png" for number in range(N)])
    inputs = {"x": keras.Input((1,), name="x")}
    model = keras.Model(inputs, keras.layers.Identity()(inputs["x"]))

    order = as_text()
    stream = tf.data.Dataset.from_tensor_slices({"name": names[order], "x": X[order]}).batch(BATCH)
    labels = evalguard.Labels(values=Y, keys=names)
    with evalguard.guard(labels=labels, key="name", strip_key=True, mlflow=False, on_failure="record") as g:
        model.predict(stream, verbose=0)
    first = g.report.diagnosis[0]
    assert first.cause == "labels in another sort order than the stream"
    assert first.certain
    assert "'img1.png' before 'img10.png'" in first.evidence


def test_no_cause_is_named_of_the_same_sources_used_rightly(echo):
    for source in (Batches(), dataset().batch(BATCH), (rows(ids) for ids in in_batches(range(N)))):
        with evalguard.guard(labels=Y, reference=X, mlflow=False) as g:
            echo.predict(source, verbose=0)
        assert (g.report.verdict, g.report.diagnosis) == (Verdict.PASS, ())
