"""The data set that all scenarios share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

PredictFunction = Callable[[Any], Any]


@dataclass(frozen=True, eq=False)
class Scenario:
    """An evaluation with one fault.

    Attributes:
        predict: Takes a model and predicts as the user did.
        cause: Beginning of the cause that the report must name first.
        certain: Whether the guard sees what confirms it.
        labels: The labels that the user scores against.
        options: Options of the user's guard besides labels and reference.
        training: The fault is in the validations of a ``fit``: it needs a
            ``ValidationGuard``, and no labels.
        engine: Package whose models ``predict`` takes, ``keras`` or ``tf_keras``.
    """

    predict: PredictFunction
    cause: str
    certain: bool
    labels: Any
    options: dict[str, Any] = field(default_factory=dict)
    training: bool = False
    engine: str = "keras"


@dataclass(frozen=True, eq=False)
class ScenarioData:
    """Inputs and targets in label order, and how they are put into batches."""

    x: NDArray[Any]
    y: NDArray[Any]
    batch_size: int

    @property
    def n(self) -> int:
        """Samples."""
        return len(self.x)

    @property
    def steps(self) -> int:
        """Batches of one pass, the last one as short as it comes."""
        return -(-self.n // self.batch_size)

    def rows(self, ids: Any) -> tuple[Any, Any]:
        """A batch ``(x, y)`` of these samples."""
        return self.x[np.asarray(ids)], self.y[np.asarray(ids)]

    def cut(self, ids: Any) -> list[Any]:
        """Samples in batches."""
        return [ids[start : start + self.batch_size] for start in range(0, len(ids), self.batch_size)]

    def endless(self) -> Iterator[tuple[Any, Any]]:
        """Pass after pass, each with its partial batch."""
        while True:
            yield from map(self.rows, self.cut(np.arange(self.n)))

    def dataset(self) -> Any:
        """As ``tf.data``, sample by sample."""
        import tensorflow as tf

        return tf.data.Dataset.from_tensor_slices((self.x, self.y))

    def pydataset(self, ids: Any = None, length: int | None = None, **attributes: Any) -> Any:
        """As a PyDataset of some samples, with further class attributes."""
        import keras

        batches = self.cut(np.arange(self.n) if ids is None else ids)
        rows = self.rows

        class Batches(keras.utils.PyDataset):
            def __init__(self, **options: Any) -> None:
                super().__init__(**options)
                self.batches = batches
                self.__dict__.update(attributes)

            def __len__(self) -> int:
                return len(batches) if length is None else length

            def __getitem__(self, index: int) -> Any:
                return rows(self.batches[index])

        return Batches

    def predict_scenario(
        self, source: Callable[[], Any], cause: str, *, certain: bool, steps: int | None = None
    ) -> Scenario:
        """One ``predict`` of a source."""
        return Scenario(lambda model: model.predict(source(), steps=steps, verbose=0), cause, certain, self.y)
