"""Evaluations with a fault on purpose, one for each cause that a report can name.

They are common mistakes: a generator used twice, ``steps`` rounded down, a
dataset shuffled anew at each pass. Each uses real sources of Keras 3; one uses
tf_keras, where alone its fault is possible.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from evalguard.testing.scenarios.counts import (
    cleared_cache,
    dropped,
    every_reader_reads_all,
    few_steps,
    floor_length,
    floor_steps,
    padded,
    passed_over,
    sampler_padding,
    wrapped_dataset,
    wrapped_generator,
)
from evalguard.testing.scenarios.data import Scenario, ScenarioData
from evalguard.testing.scenarios.orders import (
    asked_by_two,
    buffer_shuffle,
    by_class,
    in_the_model,
    label_file,
    racing,
    reshuffled,
    shards,
    shuffle_attribute,
    sorted_as_text,
    two_branches,
)
from evalguard.testing.scenarios.starts import inspected, left_in_the_queue, one_buffer, reads_on, two_calls

SCENARIOS: Mapping[str, Callable[[ScenarioData], Scenario]] = {
    "generator_looked_at": inspected,
    "generator_for_two_calls": two_calls,
    "leftover_queue": left_in_the_queue,
    "item_that_reads_on": reads_on,
    "one_buffer": one_buffer,
    "endless_generator": wrapped_generator,
    "repeat": wrapped_dataset,
    "padded_array": padded,
    "every_reader_reads_all": every_reader_reads_all,
    "sampler_padding": sampler_padding,
    "cleared_cache": cleared_cache,
    "steps_rounded_down": floor_steps,
    "length_rounded_down": floor_length,
    "drop_remainder": dropped,
    "too_few_steps": few_steps,
    "files_passed_over": passed_over,
    "batches_by_threads": racing,
    "two_workers_ask_one_iterator": asked_by_two,
    "shuffle_buffer": buffer_shuffle,
    "shuffle_attribute": shuffle_attribute,
    "shuffled_anew": reshuffled,
    "files_sorted_as_text": sorted_as_text,
    "directories_by_class": by_class,
    "shards": shards,
    "two_branches_of_a_shuffle": two_branches,
    "shifted_label_file": label_file,
    "reversed_in_the_model": in_the_model,
}


def scenario(name: str, x: Any, y: Any, *, batch_size: int = 32) -> Scenario:
    """An evaluation of these samples with a known fault.

    Args:
        name: A name in ``SCENARIOS``.
        x: Inputs in label order, shape ``(n, ...)``, no two rows equal; ``n``
            at least three batches and no multiple of ``batch_size``, since
            many scenarios are about the last, partial batch.
        y: Class numbers, int, shape ``(n,)``, not sorted.
        batch_size: Rows in a batch.

    Raises:
        KeyError: No scenario has this name.
        ValueError: There are too few samples, or no partial batch.
    """
    data = ScenarioData(np.asarray(x), np.asarray(y), batch_size)
    if data.steps < 3 or data.n % batch_size == 0:
        msg = f"expected at least three batches and a partial one, found {data.n} samples in batches of {batch_size}"
        raise ValueError(msg)
    return SCENARIOS[name](data)
