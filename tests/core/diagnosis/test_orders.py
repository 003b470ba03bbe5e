"""The right rows in another order: queues, reused buffers, batches out of order, shuffles, windows."""

import numpy as np
import pytest

from tests.core import signatures
from tests.core.diagnosis.causes import first_cause, named
from tests.core.signatures import Setting, made


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"reshuffled_each_pass": True}, "shuffled anew at each pass"),
        ({}, "shuffled anew at each pass"),
        ({"reshuffled_each_pass": False}, "`shuffle=True`"),
        ({"reshuffled_each_pass": False, "shuffled_branches": 2}, "labels in the stream belong to other rows"),
    ],
)
def test_two_branches_of_a_shuffle_are_told_from_a_shuffle_at_each_pass(facts, expected):
    # The stream's targets are row numbers, so they cannot be compared with the classes.
    order = np.random.default_rng(3).permutation(50)
    cause = first_cause(order, "tf.data", facts=facts, targets=np.arange(50) + 100)
    assert cause.cause == expected


def test_batches_that_changed_places_with_rows_out_of_order_inside_are_not_whole():
    batches = signatures.raced_batches(Setting(50, 8, "generator", told=False))
    assert batches is not None
    samples = batches.samples.copy()
    samples[[2, 3]] = samples[[3, 2]]
    sizes = batches.trace.batch_sizes
    cause = named(made(Setting(50, 8, "generator", told=False), samples, sizes=sizes))[0]
    assert not cause.cause.startswith("parallel work inside the source")
