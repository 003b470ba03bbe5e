"""Public reports of misaligned evaluations, rebuilt: what the guard says to each of these users.

Each report is a few lines that do what its reporter did, on data whose rows
name themselves. Some are sound code that only looks suspicious; they must pass.
"""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import keras
import numpy as np
import pytest
import tensorflow as tf

import evalguard
from evalguard import Verdict

SAMPLES, BATCH = 44, 6
INPUTS = np.linspace(1, 2, SAMPLES, dtype="float32")[:, None]
CLASSES = np.arange(SAMPLES) * 29 % 7 % 3


@dataclass
class Report:
    """What a user did, and what is true of it.

    Attributes:
        cite: The public thread, or why it is sound.
        act: Gets an echo model; does what the user did.
        misaligned: Whether predictions and labels are apart.
        options: What this user has at hand.
    """

    cite: str
    act: Callable[..., object]
    misaligned: bool
    options: dict[str, object] = field(default_factory=lambda: {"reference": INPUTS})
    labels: object = field(default_factory=lambda: CLASSES)


def pairs(start=0, stop=SAMPLES, targets=False):
    for first in range(start, stop, BATCH):
        rows = slice(first, min(first + BATCH, stop))
        yield (INPUTS[rows], CLASSES[rows]) if targets else (INPUTS[rows],)


def endless(**options):
    while True:
        yield from pairs(**options)


def in_two_calls(model):
    stream = endless()
    model.predict(stream, steps=3, verbose=0)
    model.predict(stream, steps=5, verbose=0)


def inspected_first(model):
    stream = endless()
    next(stream)
    model.predict(stream, steps=8, verbose=0)


def evaluated_first(model):
    model.compile(loss="mse")
    stream = endless(targets=True)
    # One step past the end of the pass: with 8, how far it is ahead depends on the prefetch.
    model.evaluate(stream, steps=9, verbose=0)
    model.predict(stream, steps=8, verbose=0)


class ReadsOn(keras.utils.PyDataset):
    """Like a file read chunk by chunk: the index it is given is not used."""

    def __init__(self):
        super().__init__()
        self.stream = endless()

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return next(self.stream)


class LateBatch(keras.utils.PyDataset):
    """Batches that take longer or shorter to load."""

    def __init__(self, workers):
        super().__init__(workers=workers)

    def __len__(self):
        return 8

    def __getitem__(self, index):
        time.sleep(0.02 * (index * 5 % 3))
        return next(pairs(index * BATCH, min((index + 1) * BATCH, SAMPLES)))


def dataset(targets=False):
    return tf.data.Dataset.from_tensor_slices((INPUTS, CLASSES) if targets else INPUTS)


def collected(model):
    shuffled = dataset(targets=True).shuffle(SAMPLES).batch(BATCH)
    labels = evalguard.Labels.collect(shuffled)
    return labels, lambda: model.predict(shuffled, verbose=0)


def text_order():
    return np.array(sorted(range(SAMPLES), key=str))


def branches(model):
    numbers = tf.data.Dataset.range(SAMPLES).shuffle(SAMPLES, seed=1)
    x = numbers.map(lambda i: tf.gather(INPUTS, i))
    y = numbers.map(lambda i: i)
    model.predict(tf.data.Dataset.zip((x, y)).batch(BATCH), verbose=0)


def shards(model):
    for rank in range(4):
        model.predict(dataset().shard(4, rank).batch(BATCH), verbose=0)


def padded(rows):
    return np.concatenate([INPUTS, np.repeat(INPUTS[[rows]], 4, axis=0)])


SESSION = {"reference": INPUTS, "scope": "session"}
TRIM = {"reference": INPUTS, "padding": "trim"}

REPORTS = {
    "generator-resumed": Report("tensorflow/tensorflow#45459, #61161", in_two_calls, True, SESSION),
    "generator-looked-at": Report("no public thread; a batch inspected first", inspected_first, True),
    "evaluate-before-predict": Report("keras-team/keras#10208, #11754", evaluated_first, True),
    "floor-steps": Report(
        "keras-team/keras#6745, brucechou1983/CheXNet-Keras#47",
        lambda m: m.predict(pairs(), steps=SAMPLES // BATCH, verbose=0),
        True,
    ),
    "getitem-reads-on": Report("keras-team/keras#15701, #12768", lambda m: m.predict(ReadsOn(), verbose=0), True),
    "drop-remainder": Report(
        "salesforce/ml4ir#105, huggingface/transformers#21285",
        lambda m: m.predict(dataset().batch(BATCH, drop_remainder=True), verbose=0),
        True,
    ),
    "repeat-and-ceil": Report(
        "tensorflow/tensorflow#57636, keras-team/keras#10208",
        lambda m: m.predict(dataset().repeat().batch(BATCH), steps=8, verbose=0),
        True,
    ),
    "repeat-and-ceil-as-padding": Report(
        "tensorflow/tensorflow#57636",
        lambda m: m.predict(dataset().repeat().batch(BATCH), steps=8, verbose=0),
        False,
        TRIM,
    ),
    "shuffle-window": Report(
        "tensorflow/tensorflow#57636", lambda m: m.predict(dataset().shuffle(5, seed=2).batch(BATCH), verbose=0), True
    ),
    "text-order-of-files": Report(
        "keras-team/keras#3296, pytorch/vision#714",
        lambda m: m.predict(INPUTS[text_order()], batch_size=BATCH, verbose=0),
        True,
    ),
    "two-branches-of-a-shuffle": Report("tensorflow/tensorflow#39021", branches, True),
    "ranks-gathered": Report(
        "huggingface/transformers#33728, Lightning-AI/pytorch-lightning#13580", shards, True, SESSION
    ),
    "sorted-then-put-back": Report(
        "IndicoDataSolutions/finetune#552",
        lambda m: m.predict(INPUTS[::-1].copy(), batch_size=BATCH, verbose=0),
        False,
        {"reference": INPUTS[::-1].copy()},
    ),
    "slow-workers": Report("sound since keras-team/keras#6891", lambda m: m.predict(LateBatch(4), verbose=0), False),
    "parallel-map": Report(
        "sound: a map keeps its order",
        lambda m: m.predict(dataset().map(lambda x: x, num_parallel_calls=4).batch(BATCH), verbose=0),
        False,
    ),
    "padded-with-the-last": Report(
        "sound: usual on TPU", lambda m: m.predict(padded(-1), batch_size=BATCH, verbose=0), False, TRIM
    ),
    "padded-with-the-first": Report(
        "sound: usual on TPU", lambda m: m.predict(padded(0), batch_size=BATCH, verbose=0), False, TRIM
    ),
    "fresh-generator-each-time": Report(
        "sound: a generator for each call", lambda m: [m.predict(pairs(), steps=8, verbose=0) for _ in range(2)], False
    ),
    "in-chunks": Report(
        "sound: chunks",
        lambda m: [m.predict(pairs(start, start + 22), verbose=0) for start in (0, 22)],
        False,
        SESSION,
    ),
}


@pytest.fixture
def echo():
    inputs = keras.Input((1,))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


@pytest.mark.parametrize("name", REPORTS)
def test_each_report_gets_the_right_verdict(echo, name):
    report = REPORTS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with evalguard.guard(labels=report.labels, mlflow=False, on_failure="record", **report.options) as g:
            report.act(echo)
    verdicts = [item.verdict for item in g.reports]
    if report.misaligned:
        assert g.report.verdict is Verdict.FAIL, report.cite
        assert g.report.proof == "identity"
    else:
        assert set(verdicts) == {Verdict.PASS}, (report.cite, [item.headline for item in g.reports])


def test_labels_from_another_pass_of_a_shuffling_dataset(echo):
    """tensorflow/tensorflow#57636: a shuffling dataset has another order in each pass."""
    labels, predict = collected(echo)
    with evalguard.guard(labels=labels, mlflow=False, on_failure="record") as g:
        predict()
    assert g.report.verdict is Verdict.FAIL
    with evalguard.guard(labels=labels, mlflow=False, on_failure="repair") as g:
        predict()
    assert g.report.verdict is Verdict.REPAIRED
