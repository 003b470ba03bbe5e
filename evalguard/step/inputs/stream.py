"""The data that a step file names, as it is passed to Keras, with the key of each row if there are keys.

A batch carries the keys in place of sample weights, which ``predict`` ignores. They
are row numbers that are translated to keys later, because XLA, which compiles most
models, does not accept text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from evalguard.errors import ConfigError
from evalguard.labels.labels import Labels

# Model.predict's own default (keras 3.15, trainer.py).
BATCH_SIZE = 32


@dataclass(frozen=True, slots=True)
class InputStream:
    """The data for ``predict``.

    Attributes:
        source: What is passed to ``predict``.
        key: Function from a batch to the keys of its rows; None if there are no keys.
        ours: Whether evalguard made the batches, with the requested size; False for a user's function.
        n_rows: Number of rows; None if it is not known.
    """

    source: Any
    key: Callable[[Any], Any] | None = None
    ours: bool = True
    n_rows: int | None = None


@dataclass(frozen=True, slots=True)
class InputContext:
    """Where a stream is described, and the labels to which it belongs.

    Attributes:
        base: Folder to which paths are relative.
        where: Key path of the section, for messages.
        batch_size: Rows in a batch.
        labels: The labels in which the rows' keys are looked up; None if keys
            are not needed.
        label_key: Column of the labels with the key of each sample.
        label_columns: Columns with the labels and their weights, which are not
            features if data and labels are one table.
    """

    base: Path
    where: str = "data"
    batch_size: int = BATCH_SIZE
    labels: Labels | None = None
    label_key: str | None = None
    label_columns: tuple[str, ...] = ()

    @property
    def keyed(self) -> bool:
        """Whether each label has a unique key."""
        return self.labels is not None and self.labels.keys is not None


def key_entry(given: str | None, known: list[str], context: InputContext) -> str | None:
    """The column or array with the key of each row; None if keys are not needed.

    Raises:
        ConfigError: Only one of labels and data has keys. Rows would then be
            compared by position, although a key was given.
    """
    key = given if given is not None else (context.label_key if context.label_key in known else None)
    if context.labels is None:
        return None
    if key is None and context.keyed:
        named = f"the labels have the key {context.label_key!r}" if context.label_key else "the labels have keys"
        msg = f"{context.where}.key: {named}, the data has none; name its key, or remove labels.key"
        raise ConfigError(msg)
    if key is not None and not context.keyed:
        msg = f"{context.where}.key: the rows have the key {key!r}, the labels have none; give labels.key"
        raise ConfigError(msg)
    return key


def without_target(x: Any, rows: Any) -> Any:
    """A batch of inputs and row numbers, without a target."""
    return x, None, rows


def lookup(names: NDArray[Any] | None) -> Callable[[Any], Any] | None:
    """A function from a batch to the keys of its rows; None if there are no keys."""
    return None if names is None else lambda batch: names[batch[2]]
