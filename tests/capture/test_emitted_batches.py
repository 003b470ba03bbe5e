"""Batches that are seen one by one: the first one decides between a digest and a tag that rides."""

import pickle

import numpy as np
import pytest

from evalguard.capture.contract import NOT_OBSERVED
from evalguard.capture.emitted_batches import EmittedBatches, as_tf_keras_packs
from evalguard.capture.tags import tagged

X, Y = np.arange(6, dtype="float32").reshape(3, 2), np.arange(3)
TEXT = np.array(["a", "b", "c"])


@pytest.mark.parametrize(
    ("first", "may_digest", "digested"),
    [
        pytest.param((X, Y), True, True, id="numbers"),
        pytest.param((X, Y), False, False, id="numbers-of-a-worker"),
        pytest.param((TEXT,), True, False, id="text"),
        pytest.param({"x": X}, True, True, id="dict"),
        pytest.param({"x": TEXT}, True, False, id="dict-of-text"),
    ],
)
def test_the_first_batch_decides_how_batches_are_identified(first, may_digest, digested):
    batches = EmittedBatches(may_digest=may_digest)
    emitted = batches.emit(first, 0)
    assert (emitted is first) is digested
    assert batches.without_tag(emitted) == first if digested else batches.without_tag(emitted) is not emitted
    batch, tag = batches.identify(emitted)
    assert type(batch) is type(first)
    assert (tag.number, tag.samples) == (0, None)
    assert all(batches.intact())


def test_before_the_first_batch_nothing_is_observed():
    batches = EmittedBatches(may_digest=True)
    assert batches.identify("batch") == ("batch", NOT_OBSERVED)
    assert (batches.without_tag("batch"), batches.intact()) == ("batch", [])


@pytest.mark.parametrize("may_digest", [True, False])
def test_what_a_batch_states_itself_comes_before_what_its_source_states(may_digest):
    batches = EmittedBatches(may_digest=may_digest)
    stated = [batches.emit(tagged((X + 1, Y), index=[4, 5, 6]), 0, [1, 2, 3]), batches.emit((X, Y), 1, [1, 2, 3])]
    assert [batches.identify(batch)[1].samples.tolist() for batch in stated] == [[4, 5, 6], [1, 2, 3]]


def test_a_worker_process_decides_again_and_takes_no_digests():
    batches = EmittedBatches(may_digest=True)
    batches.emit((X, Y), 0)
    sent = pickle.loads(pickle.dumps(batches))  # noqa: S301 - what a worker process is sent
    assert len(sent.emit((X, Y), 5)) == 3
    assert sent.identify(sent.emit((X, Y), 5))[1].number == 5


@pytest.mark.parametrize(
    ("batch", "packed"),
    [
        ("x", "x"),
        (("x",), "x"),
        (("x", None), "x"),
        (["x", None, "w"], "x"),
        ((("a", "b"), None), (("a", "b"),)),
        (("x", "y", None), ("x", "y")),
        (["x", "y"], ("x", "y")),
        (("x", "y", "w"), ("x", "y", "w")),
        ((1, 2, 3, 4), (1, 2, 3, 4)),
        ((), ()),
    ],
    ids=str,
)
def test_batches_are_packed_as_tf_keras_does(batch, packed):
    assert as_tf_keras_packs(batch) == packed
