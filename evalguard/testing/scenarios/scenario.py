"""Evaluations with one intentional fault each, for the causes that a report can name.

They are common mistakes: a generator used twice, ``steps`` rounded down, a
dataset shuffled again at each pass. They use real sources of Keras 3, except one
whose fault is possible only in tf_keras.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from evalguard.core.plural import plural
from evalguard.testing.scenarios import counts, orders, starts
from evalguard.testing.scenarios.data import Scenario, ScenarioData

SCENARIOS: Mapping[str, Callable[[ScenarioData], Scenario]] = {
    "generator_looked_at": starts.inspected,
    "generator_for_two_calls": starts.two_calls,
    "leftover_queue": starts.left_in_the_queue,
    "item_that_reads_on": starts.reads_on,
    "one_buffer": starts.one_buffer,
    "endless_generator": counts.wrapped_generator,
    "repeat": counts.wrapped_dataset,
    "padded_array": counts.padded,
    "every_reader_reads_all": counts.every_reader_reads_all,
    "sampler_padding": counts.sampler_padding,
    "cleared_cache": counts.cleared_cache,
    "steps_rounded_down": counts.floor_steps,
    "length_rounded_down": counts.floor_length,
    "drop_remainder": counts.dropped,
    "too_few_steps": counts.few_steps,
    "files_passed_over": counts.passed_over,
    "batches_by_threads": orders.racing,
    "two_workers_ask_one_iterator": orders.asked_by_two,
    "shuffle_buffer": orders.buffer_shuffle,
    "shuffle_attribute": orders.shuffle_attribute,
    "shuffled_anew": orders.reshuffled,
    "files_sorted_as_text": orders.sorted_as_text,
    "directories_by_class": orders.by_class,
    "shards": orders.shards,
    "two_branches_of_a_shuffle": orders.two_branches,
    "shifted_label_file": orders.label_file,
    "reversed_in_the_model": orders.in_the_model,
}


def scenario(name: str, x: Any, y: Any, *, batch_size: int = 32) -> Scenario:
    """An evaluation of these samples with a known fault.

    Args:
        name: A name in ``SCENARIOS``.
        x: Inputs in label order, shape ``(n, ...)``, no two rows equal. ``n``
            is at least three batches and not a multiple of ``batch_size``,
            because many scenarios are about the last, partial batch.
        y: Class numbers, int, shape ``(n,)``, not sorted.
        batch_size: Rows in a batch.

    Raises:
        KeyError: No scenario has this name.
        ValueError: There are too few samples, or no partial batch.
    """
    data = ScenarioData(np.asarray(x), np.asarray(y), batch_size)
    if data.steps < 3 or data.n % batch_size == 0:
        samples = plural(data.n, "sample")
        msg = f"expected at least three batches and a partial one, found {samples} in batches of {batch_size:,}"
        raise ValueError(msg)
    return SCENARIOS[name](data)
