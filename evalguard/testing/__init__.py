"""A test kit: streams with known faults, and a sink that keeps reports in memory.

Use it to check that your own evaluation notices a misalignment::

    batches = evalguard.testing.faulty_batches("swapped_batches", n=50, batch_size=8)
    dataset = evalguard.testing.as_tf_dataset(batches, lambda ids: (x[ids],))

``MISTAKES`` are whole evaluations done wrong, one for each cause that a report names.
"""

from evalguard.testing.memory_sink import MemorySink
from evalguard.testing.scenarios.data import Mistake
from evalguard.testing.scenarios.scenario import MISTAKES, mistake
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
    "MISTAKES",
    "MemorySink",
    "Mistake",
    "aligned_batches",
    "as_generator",
    "as_pydataset",
    "as_sequence",
    "as_tf_dataset",
    "faulty_batches",
    "mistake",
]
