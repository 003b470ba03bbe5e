"""The right rows in another order: queues, reused buffers, batches out of order, shuffles, windows."""

import numpy as np
import pytest

from evalguard.core.diagnosis import orders
from evalguard.core.trace import ALTERED
from tests.core import signatures
from tests.core.diagnosis.causes import first_cause, named, view_of
from tests.core.signatures import Setting, label_values, made, sizes_of, tags_of


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"reshuffled_each_pass": True}, "shuffled anew at each pass"),
        ({}, "shuffled anew at each pass"),
        ({"reshuffled_each_pass": False}, "`shuffle=True`"),
        ({"reshuffled_each_pass": False, "shuffled_branches": 2}, "labels in the stream belong to other rows"),
    ],
)
def test_two_shuffled_branches_are_distinguished_from_a_shuffle_at_each_pass(facts, expected):
    # The stream's targets are row numbers, so they cannot be compared with the classes.
    order = np.random.default_rng(3).permutation(50)
    cause = first_cause(order, "tf.data", facts=facts, targets=np.arange(50) + 100)
    assert cause.cause == expected


def test_swapped_batches_with_rows_out_of_order_inside_are_not_whole():
    batches = signatures.raced_batches(Setting(50, 8, "generator", declared=False))
    assert batches is not None
    samples = batches.samples.copy()
    samples[[2, 3]] = samples[[3, 2]]
    sizes = batches.trace.batch_sizes
    cause = named(made(Setting(50, 8, "generator", declared=False), samples, sizes=sizes))[0]
    assert not cause.cause.startswith("parallel work inside the source")


RECOGNISERS = [orders.queue, orders.buffer, orders.batches, orders.reshuffled, orders.shuffled, orders.window]
RANDOM = np.random.default_rng(0).permutation(50)
# Batches of 8 rows, the first two swapped, and rows swapped inside a window of 4.
SWAPPED_BATCHES = np.r_[8:16, 0:8, 16:50]
IN_A_WINDOW = np.arange(50).reshape(-1, 2)[:, ::-1].ravel()


@pytest.mark.parametrize("recogniser", RECOGNISERS, ids=lambda recogniser: recogniser.__name__)
def test_nothing_is_recognised_in_an_aligned_stream(recogniser):
    facts = {"reshuffled_each_pass": True, "shuffle": True, "shuffle_buffer": 10, "stateful_getitem": True}
    for kind in ("generator", "pydataset", "tf.data"):
        assert recogniser(view_of(np.arange(50), kind, facts=facts)) is None


def part(recogniser, cause, samples, kind, certain, **facts):
    return pytest.param(recogniser, cause, samples, kind, facts, certain, id=f"{cause}-{kind}-{certain}")


@pytest.mark.parametrize(
    ("recogniser", "cause", "samples", "kind", "facts", "certain"),
    [
        part(orders.batches, "PARALLEL", SWAPPED_BATCHES, "generator", False),
        part(orders.reshuffled, "RESHUFFLED", RANDOM, "tf.data", True, reshuffled_each_pass=True),
        part(orders.reshuffled, "RESHUFFLED", RANDOM, "tf.data", False),
        part(orders.reshuffled, "RESHUFFLED", RANDOM, "pydataset", False, stateful_getitem=True),
        part(orders.shuffled, "SHUFFLED", RANDOM, "pydataset", True, shuffle=True),
        part(orders.shuffled, "SHUFFLED", RANDOM, "pydataset", False),
        part(orders.window, "WINDOW", IN_A_WINDOW, "tf.data", True, shuffle_buffer=10),
        part(orders.window, "WINDOW", IN_A_WINDOW, "tf.data", False),
    ],
)
def test_an_order_is_recognised_and_certain_only_with_the_fact_that_confirms_it(
    recogniser, cause, samples, kind, facts, certain
):
    found = recogniser(view_of(samples, kind, facts=facts))
    assert found is not None
    assert (found.cause, found.certain) == (getattr(orders, cause), certain)


@pytest.mark.parametrize(
    ("recogniser", "samples", "kind", "facts"),
    [
        pytest.param(orders.batches, SWAPPED_BATCHES, "generator", {"shuffle": True}, id="a-declared-shuffle"),
        pytest.param(orders.reshuffled, RANDOM, "tf.data", {"reshuffled_each_pass": False}, id="one-fixed-shuffle"),
        pytest.param(orders.reshuffled, RANDOM, "generator", {}, id="a-generator"),
        pytest.param(orders.shuffled, RANDOM, "pydataset", {"shuffle": False}, id="shuffle-False"),
        pytest.param(orders.shuffled, IN_A_WINDOW, "pydataset", {}, id="a-window"),
        pytest.param(orders.window, RANDOM, "tf.data", {"shuffle_buffer": 10}, id="the-whole-range"),
    ],
)
def test_an_order_that_a_fact_contradicts_is_not_recognised(recogniser, samples, kind, facts):
    assert recogniser(view_of(samples, kind, facts=facts)) is None


def test_a_queue_is_recognised_by_tags_that_descend():
    tags = tags_of(sizes_of(50, 8))
    found = orders.queue(view_of(SWAPPED_BATCHES, tags=tags[SWAPPED_BATCHES]))
    assert found is not None
    assert (found.cause, found.certain) == (orders.QUEUE, True)
    assert found.evidence == "1 row arrived directly behind a row that batches emitted later"
    assert orders.queue(view_of(SWAPPED_BATCHES, tags=tags)) is None, "the source itself emitted this order"


def test_rows_that_changed_on_their_way_show_a_reused_buffer():
    tags = tags_of(sizes_of(50, 8))
    tags[3:5] = ALTERED
    found = orders.buffer(view_of(np.arange(50), tags=tags))
    assert found is not None
    assert (found.cause, found.certain) == (orders.BUFFER, True)
    assert found.evidence == "the content of 2 rows changed after batches emitted them"
    repeated = np.r_[8:16, 8:50]
    likely = orders.buffer(view_of(repeated, facts={"filled_anew": True}))
    assert likely is not None
    assert not likely.certain
    assert orders.buffer(view_of(np.arange(50), facts={"filled_anew": True})) is None


@pytest.mark.parametrize(
    ("targets", "same"),
    [
        pytest.param(label_values(50)[::-1], True, id="values-of-the-labels"),
        pytest.param(np.arange(50) + 100, False, id="other-values"),
        pytest.param(np.zeros((50, 3)), True, id="cannot-be-determined"),
    ],
)
def test_targets_with_values_of_the_labels_are_distinguished_from_others(targets, same):
    assert orders.same_values(view_of(np.arange(50), targets=targets)) is same
