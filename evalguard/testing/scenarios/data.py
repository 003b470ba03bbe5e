"""A scenario, and the data set that all scenarios share."""

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
        certain: Whether the report calls that cause certain and not only likely.
        labels: The labels that the user scores against.
        options: Options of the user's guard in addition to labels and reference.
        training: Whether the fault is in the validations of a ``fit``. Such a
            scenario needs a ``ValidationGuard`` and no labels.
        engine: Package of the models that ``predict`` accepts, ``keras`` or
            ``tf_keras``.
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
    """Inputs and targets in label order, and the size of batches.

    Attributes:
        x: Inputs, shape ``(n, ...)``.
        y: Targets, shape ``(n,)``.
        batch_size: Rows in a batch.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    batch_size: int

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.x)

    @property
    def steps(self) -> int:
        """Number of batches in one pass, a partial one included."""
        return -(-self.n // self.batch_size)

    def rows(self, ids: Any) -> tuple[Any, Any]:
        """A batch ``(x, y)`` of these samples."""
        return self.x[np.asarray(ids)], self.y[np.asarray(ids)]

    def cut(self, ids: Any) -> list[Any]:
        """Split samples into batches."""
        return [ids[start : start + self.batch_size] for start in range(0, len(ids), self.batch_size)]

    def endless(self) -> Iterator[tuple[Any, Any]]:
        """Yield the batches of pass after pass, each with its partial batch."""
        while True:
            yield from map(self.rows, self.cut(np.arange(self.n)))

    def dataset(self) -> Any:
        """A ``tf.data.Dataset`` of single samples."""
        import tensorflow as tf

        return tf.data.Dataset.from_tensor_slices((self.x, self.y))

    def pydataset(self, ids: Any = None, length: int | None = None, **attributes: Any) -> Any:
        """A PyDataset class with some or all samples.

        Args:
            ids: Samples in the order of the rows; all if omitted.
            length: What ``len`` returns; if omitted, the number of batches.
            **attributes: Further attributes of its instances.
        """
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
        """A scenario of one ``predict`` on a source."""
        return Scenario(lambda model: model.predict(source(), steps=steps, verbose=0), cause, certain, self.y)
