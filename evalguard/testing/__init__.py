"""A test kit: streams with known faults, and a sink that keeps reports in memory.

Use it to check that your own evaluation detects a misalignment::

    batches = evalguard.testing.faulty_batches("swapped_batches", n=50, batch_size=8)
    dataset = evalguard.testing.as_tf_dataset(batches, lambda ids: (x[ids],))

``SCENARIOS`` are complete evaluations with one fault each, for the causes that a report can name.
"""

import typing
import warnings

from evalguard.testing.memory_sink import MemorySink
from evalguard.testing.scenarios.data import Scenario
from evalguard.testing.scenarios.scenario import SCENARIOS, scenario
from evalguard.testing.streams import (
    FAULTS,
    aligned_batches,
    as_generator,
    as_pydataset,
    as_sequence,
    as_tf_dataset,
    faulty_batches,
)

__all__ = [
    "FAULTS",
    "SCENARIOS",
    "MemorySink",
    "Scenario",
    "aligned_batches",
    "as_generator",
    "as_pydataset",
    "as_sequence",
    "as_tf_dataset",
    "faulty_batches",
    "scenario",
]

# Accepted until 0.2: old name → new name.
_RENAMED = {"MISTAKES": "SCENARIOS", "Mistake": "Scenario", "mistake": "scenario"}


def __getattr__(name: str) -> typing.Any:
    if name in _RENAMED:
        message = f"evalguard.testing.{name} is deprecated and goes away in 0.2: write {_RENAMED[name]}"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return globals()[_RENAMED[name]]
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
