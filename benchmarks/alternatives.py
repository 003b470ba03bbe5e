"""What people do today to know which prediction is whose, beside the guard: time, and what it shows.

Each way ends with predictions and something to compare them with. The source is
a ``tf.data`` pipeline of inputs and targets, as ``image_dataset_from_directory`` gives one.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import evalguard
from benchmarks.pairs import Ratio, compare
from benchmarks.subjects import BATCH, CONV, KERAS_3, MLP, Subject, subject

CHECKOUT = Path(__file__).resolve().parents[1]
# `make bench-lightning` makes it.
LIGHTNING = CHECKOUT / ".venv-lightning/bin/python"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to evaluate.

    Attributes:
        name: For the table.
        shows: What is known when it is done.
        run: Does it once.
    """

    name: str
    shows: str
    run: Callable[[], object]


def ways(subject: Subject) -> tuple[Callable[[], object], list[Way]]:
    """``predict`` alone, and each way."""
    model, x, y = subject.model, subject.x, subject.y
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH)
    numbered = tf.data.Dataset.from_tensor_slices((x, np.arange(len(x)))).batch(BATCH)
    ids = tf.data.Dataset.from_tensor_slices(np.arange(len(x), dtype="float32")[:, None]).batch(BATCH)
    inputs = keras.Input((1,))
    identity = keras.Model(inputs, keras.layers.Identity()(inputs))
    by_labels = evalguard.guard(labels=y, mlflow=False)
    by_content = evalguard.guard(labels=y, reference=x, mlflow=False)

    def bare() -> object:
        return model.predict(dataset, verbose=0)

    def second_pass() -> object:
        return bare(), identity.predict(ids, verbose=0)

    def labels_by_iterating() -> object:
        return bare(), np.concatenate([labels for _, labels in dataset])

    def loop_with_ids() -> object:
        seen = [(model.predict_on_batch(batch), rows.numpy()) for batch, rows in numbered]
        return [np.concatenate(parts) for parts in zip(*seen, strict=True)]

    def guarded(guard: Any) -> Callable[[], object]:
        def run() -> object:
            with guard:
                rows = bare()
            assert guard.report.verdict == "PASS", guard.report.headline
            return rows

        return run

    return bare, [
        Way("evalguard, targets of the stream", "proof: labels", guarded(by_labels)),
        Way("evalguard, content against a reference", "proof: identity", guarded(by_content)),
        Way("a second pass with an identity model", "the order of another pass", second_pass),
        Way("labels gathered by iterating again", "the labels of another pass", labels_by_iterating),
        Way("a loop of predict_on_batch with ids", "ids, if the source carries them", loop_with_ids),
    ]


def ratios(pairs: int, rows: Mapping[str, int]) -> Iterator[tuple[str, Way, Ratio]]:
    """Model, way, and the way over ``predict`` alone."""
    for name in (MLP, CONV):
        bare, found = ways(subject(KERAS_3, name, rows[name]))
        for way in found:
            yield name, way, compare(bare, way.run, pairs=pairs, warmup=min(pairs, 2))


def lightning_ratios(pairs: int, rows: Mapping[str, int]) -> Iterator[tuple[str, Way, Ratio]]:
    """The same for ``Trainer.predict`` of PyTorch Lightning, in its own environment; empty where that is missing."""
    if not LIGHTNING.is_file():
        return
    sizes = [f"--mlp-rows={rows[MLP]}", f"--conv-rows={rows[CONV]}"]
    command = [str(LIGHTNING), "-m", "benchmarks.lightning_predict", "--json", f"--pairs={pairs}", *sizes]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
    for name, ratio in json.loads(done.stdout).items():
        way = Way("Lightning, batch_indices of its writer", "what the sampler said", lambda: None)
        yield name, way, Ratio(**ratio)
