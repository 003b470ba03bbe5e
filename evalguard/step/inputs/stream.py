"""The data that a step file names, as Keras is fed it, each row with its name where it has one.

A name rides in the third place of a batch, that of the sample weight, which
``predict`` leaves alone: as a number that stands for it, because XLA, which
compiles most models, takes no text.
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
    """What ``predict`` is given.

    Attributes:
        source: The data.
        key: Gives the names of a batch's rows, or None where they have none.
        ours: Made here, in batches of the size asked for; not by the user's function.
        n_rows: Number of rows, where that is known.
    """

    source: Any
    key: Callable[[Any], Any] | None = None
    ours: bool = True
    n_rows: int | None = None


@dataclass(frozen=True, slots=True)
class InputContext:
    """Where a stream is described, and for what.

    Attributes:
        base: Folder that paths are relative to.
        where: Key path of the section, for messages.
        batch_size: Rows in a batch.
        labels: The labels that rows are to be found in; None where names are
            of no use.
        label_key: Column of the labels that names each sample.
        label_columns: Columns with the labels; where data and labels are one
            table, they are no features.
    """

    base: Path
    where: str = "data"
    batch_size: int = BATCH_SIZE
    labels: Labels | None = None
    label_key: str | None = None
    label_columns: tuple[str, ...] = ()

    @property
    def keyed(self) -> bool:
        """Whether the labels can be told apart by name."""
        return self.labels is not None and self.labels.keys is not None


def key_entry(given: str | None, known: list[str], context: InputContext) -> str | None:
    """Where the name of each row stands.

    Raises:
        ConfigError: The labels have names and the data has none, or the
            other way round: then rows would be compared by their place, which
            is not what was asked for.
    """
    key = given if given is not None else (context.label_key if context.label_key in known else None)
    if context.labels is None:
        return None
    if key is None and context.keyed:
        named = f"the labels are named by {context.label_key!r}" if context.label_key else "the labels are named"
        msg = f"{context.where}.key: {named}, the data is not; say what names it, or leave out labels.key"
        raise ConfigError(msg)
    if key is not None and not context.keyed:
        msg = f"{context.where}.key: the rows are named by {key!r}, the labels are not; give labels.key"
        raise ConfigError(msg)
    return key


def without_target(x: Any, rows: Any) -> Any:
    """A batch of inputs and row numbers, with no target."""
    return x, None, rows


def lookup(names: NDArray[Any] | None) -> Callable[[Any], Any] | None:
    """A callable from a batch to the names of its rows."""
    return None if names is None else lambda batch: names[batch[2]]
