"""The data of one random evaluation, and what every kind of evaluation consists of."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

FEATURES = 4
DTYPES = ("float32", "float64", "int32", "uint8")
# How labels come, and what shows which sample a row is: the reference beside an array, a `.npy` file or a table; a key
# that rides in the stream; a pass over a clean source.
WITH_REFERENCE = ("array", "list", "series", "npy", "csv")
KEYED = "keyed"
COLLECTED = "collected"
WAYS = (*WITH_REFERENCE, KEYED, COLLECTED)
SOURCES = ("arrays", "generator", "pydataset", "tf.data", "loop")


class Unsuitable(Exception):  # noqa: N818 - it is drawn again, nothing is wrong
    """These random sizes do not let the fault happen."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a user does, and what stands around it.

    Attributes:
        call: Takes the model and returns the rows that the user scores.
        labels: Options of the guard that say what the labels are.
        options: Further options of the guard.
        confirmed: What ``call`` returns is confirmed.
        y_true: The labels that it is confirmed with.
        model: Name of its model; empty: the one that takes ``FEATURES`` numbers.
        validates: ``call`` is a ``fit``, whose validations are guarded.
    """

    call: Callable[[Any], Any]
    labels: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    confirmed: bool = False
    y_true: Any = None
    model: str = ""
    validates: bool = False


@dataclass(frozen=True, eq=False)
class Data:
    """Random samples in label order.

    Attributes:
        rng: For whatever else is drawn.
        x: Inputs, no two rows equal, shape ``(n, FEATURES)``.
        y: Class numbers, int64, shape ``(n,)``.
        keys: Names of the samples, in their order or in no order.
        batch: Rows of a batch.
        way: How labels come, of ``WAYS``.
        with_y: The stream holds targets as well.
        folder: For files.
    """

    rng: np.random.Generator
    x: Array
    y: Array
    keys: Array
    batch: int
    way: str
    with_y: bool
    folder: Path

    @property
    def n(self) -> int:
        """Samples."""
        return len(self.x)

    @property
    def steps(self) -> int:
        """Batches of one pass."""
        return -(-self.n // self.batch)

    @property
    def all(self) -> Array:
        """All samples, in label order."""
        return np.arange(self.n)

    def needs(self, holds: bool) -> None:
        """Draw other sizes unless this holds."""
        if not holds:
            raise Unsuitable

    def only(self, *ways: str) -> Data:
        """The same data, labels coming in one of these ways."""
        return self if self.way in ways else replace(self, way=str(self.rng.choice(ways)))

    def one_of(self, *values: Any) -> Any:
        """One of the values, at random."""
        return values[int(self.rng.integers(len(values)))]

    # -- The stream ---------------------------------------------------------------------------------------------------

    def inputs(self, ids: Any) -> Any:
        """What the model is fed of these samples."""
        ids = np.asarray(ids, dtype=np.int64)
        if self.way != KEYED:
            return self.x[ids]
        import tensorflow as tf

        # Keras refuses text that is an array of NumPy's.
        return {"x": self.x[ids], "id": tf.constant(self.keys[ids])}

    def rows(self, ids: Any) -> tuple[Any, ...]:
        """A batch of these samples."""
        return (self.inputs(ids), self.y[np.asarray(ids)]) if self.with_y else (self.inputs(ids),)

    def cut(self, ids: Any) -> list[Array]:
        """Samples in batches."""
        ids = np.asarray(ids)
        return [ids[start : start + self.batch] for start in range(0, len(ids), self.batch)]

    def generator(self, ids: Any) -> Iterator[Any]:
        """A generator of batches."""

        def batches() -> Iterator[Any]:
            yield from map(self.rows, self.cut(ids))

        return batches()

    def endless(self) -> Iterator[Any]:
        """Pass after pass, each with its partial batch."""

        def batches() -> Iterator[Any]:
            while True:
                yield from map(self.rows, self.cut(self.all))

        return batches()

    def pydataset(self, ids: Any, length: int | None = None, **options: Any) -> Any:
        """A PyDataset of these samples."""
        import keras

        parts, rows = self.cut(ids), self.rows

        class Batches(keras.utils.PyDataset):
            def __len__(self) -> int:
                return len(parts) if length is None else length

            def __getitem__(self, index: int) -> Any:
                found = rows(parts[index])
                return found if len(found) > 1 else found[0]

        return Batches(**options)

    def dataset(self, ids: Any = None) -> Any:
        """As ``tf.data``, sample by sample."""
        import tensorflow as tf

        ids = self.all if ids is None else ids
        parts = self.rows(ids)
        return tf.data.Dataset.from_tensor_slices(parts if len(parts) > 1 else parts[0])

    def predicted(self, ids: Any, source: str = "", labels: dict[str, Any] | None = None) -> Evaluation:
        """These samples are predicted in this order, from a source of this kind or of a random one."""
        source = source or self.source()
        session = {"scope": "session"} if source == "loop" else {}
        return Evaluation(self.predicting(ids, source), self.labelled() if labels is None else labels, session)

    def source(self) -> str:
        """A kind of source, at random."""
        # Keras takes no text in arrays.
        return str(self.rng.choice(SOURCES[1:4] if self.way == KEYED else SOURCES))

    def predicting(self, ids: Any, source: str) -> Callable[[Any], Any]:
        """A call that predicts these samples in this order."""
        ids = np.asarray(ids)
        if source == "arrays":
            return lambda model: model.predict(self.inputs(ids), batch_size=self.batch, verbose=0)
        if source == "generator":
            return lambda model: model.predict(self.generator(ids), steps=len(self.cut(ids)), verbose=0)
        if source == "pydataset":
            return lambda model: model.predict(self.pydataset(ids), verbose=0)
        if source == "tf.data":
            return lambda model: model.predict(self.dataset(ids).batch(self.batch), verbose=0)

        def loop(model: Any) -> Any:
            return np.concatenate([model.predict_on_batch(self.inputs(part)) for part in self.cut(ids)])

        return loop

    # -- The labels ---------------------------------------------------------------------------------------------------

    def labelled(self, ids: Any = None, *, keys: Any = None, y: Any = None, sort: bool = False) -> dict[str, Any]:
        """Options of a guard whose labels are those of these samples.

        Args:
            ids: Samples in label order.
            keys: Names to use instead.
            y: Labels to use instead, in the order of the samples.
            sort: The table is sorted by key.
        """
        ids = self.all if ids is None else np.asarray(ids)
        keys = self.keys if keys is None else keys
        y = self.y if y is None else y
        if sort:
            ids = ids[np.argsort(keys[ids], kind="stable")]
        if self.way == KEYED:
            path = self.table(keys[ids], y[ids])
            return {"labels": path, "labels_key": "id", "key": "id", "drop_key": True}
        if self.way == COLLECTED:
            import evalguard

            return {"labels": evalguard.Labels.collect(replace(self, with_y=True, y=y).dataset(ids).batch(self.batch))}
        reference = {"reference": self.x[ids]}
        if self.way == "csv":
            return {"labels": self.table(keys[ids], y[ids]), "labels_key": "id", **reference}
        if self.way == "npy":
            path = self.folder / "labels.npy"
            np.save(path, y[ids])
            return {"labels": path, **reference}
        if self.way == "series":
            import pandas as pd

            return {"labels": pd.Series(y[ids]), **reference}
        return {"labels": y[ids].tolist() if self.way == "list" else y[ids], **reference}

    def table(self, keys: Any, y: Any, name: str = "labels.csv") -> Path:
        """A CSV file of keys and labels."""
        path = self.folder / name
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([("id", "label"), *zip(keys.tolist(), y.tolist(), strict=True)])
        return path


def drawn(rng: np.random.Generator, folder: Path) -> Data:
    """Random data: sizes, batch size, dtype, classes, names, how labels come."""
    n = int(np.exp(rng.uniform(np.log(24), np.log(400))))
    batch = int(rng.integers(2, min(33, n // 3)))
    dtype = str(rng.choice(DTYPES))
    while True:
        x = rng.integers(0, 256, (n, FEATURES)) if dtype in {"int32", "uint8"} else rng.normal(size=(n, FEATURES))
        x = x.astype(dtype)
        if len(np.unique(x, axis=0)) == n:
            break
    y = rng.integers(0, int(rng.integers(3, 11)), n)
    return Data(rng, x, y, names(rng, n), batch, str(rng.choice(WAYS)), bool(rng.integers(2)), folder)


def names(rng: np.random.Generator, n: int) -> Array:
    """Random names of samples: numbers, or text; sorted, or in no order."""
    numbers = np.arange(n) + int(rng.integers(1, 5000))
    is_sorted = bool(rng.integers(2))
    numbers = numbers if is_sorted else rng.permutation(numbers)
    style = int(rng.integers(4))
    if style == 0:
        return numbers.astype(np.int64)
    words: Sequence[str] = [
        [f"{number:06d}", f"img_{number}.png", f"patient-{number % 7}/scan{number:05d}"][style - 1]
        for number in numbers.tolist()
    ]
    return np.sort(words) if is_sorted else np.asarray(words)
