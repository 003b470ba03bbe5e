"""Datasets: numbered as they are delivered, or in their own graph."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from evalguard.capture.buffer_reuse import BufferReuseDetector
from evalguard.capture.contract import NOT_OBSERVED
from evalguard.capture.probes.tf_data import CountedBatches, NumberedBatches, TfDataProbe

REPLICATED = SimpleNamespace(distribute_strategy=SimpleNamespace(num_replicas_in_sync=2))


def dataset(rows=10, batch=4):
    return tf.data.Dataset.range(rows).batch(batch)


def tags(probe):
    return [probe.stream.identify(data)[1] for data in probe.source]


@pytest.mark.parametrize(("steps", "counted"), [(None, True), (3, True), (4, True), (2, False)])
def test_batches_are_counted_where_a_call_requests_all_of_a_known_number(steps, counted):
    source = dataset()
    probe = TfDataProbe(source, {"steps": steps})
    assert (probe.source is source) is counted
    assert [tag.number for tag in tags(probe)] == [0, 1, 2]
    assert type(probe.stream) is (CountedBatches if counted else NumberedBatches)


@pytest.mark.parametrize("source", [dataset().repeat(), dataset().filter(lambda _: True)], ids=["endless", "unknown"])
def test_batches_of_other_datasets_carry_their_number(source):
    probe = TfDataProbe(source, {"steps": 3})
    assert probe.source.cardinality() == source.cardinality()
    assert [tag.number for tag in tags(SimpleNamespace(source=probe.source.take(3), stream=probe.stream))] == [0, 1, 2]


@pytest.mark.parametrize(
    "source",
    [dataset(), dataset().map(lambda x: (x, {"a": x})), dataset().map(lambda x: tf.ragged.range(x))],
    ids=["one", "tree", "ragged"],
)
def test_under_a_strategy_each_row_carries_its_number(source):
    probe = TfDataProbe(source, {"self": REPLICATED})
    for number, ((batch, rows), tag) in enumerate(zip(probe.source, tags(probe), strict=True)):
        assert (tag.number, tag.first_row, len(rows)) == (number, 0, 2 if number == 2 else 4)
        assert probe.stream.without_tag((batch, rows)) is batch
        part = probe.stream.identify((batch, rows[1:]))[1]
        assert (part.number, part.first_row) == (number, 1)


@pytest.mark.parametrize(("delivered", "complete"), [(3, True), (2, False), (4, False)])
def test_counted_numbers_are_trusted_if_all_arrived(delivered, complete):
    assert TfDataProbe(dataset(), {}).tags_complete(delivered) is complete
    assert TfDataProbe(dataset(), {"steps": 1}).tags_complete(delivered)


@pytest.mark.parametrize(
    ("source", "detects"),
    [(dataset(), False), (dataset().map(lambda x: x), True)],
    ids=["allocated by batch", "out of a function"],
)
def test_memory_is_watched_where_the_users_code_may_have_allocated_it(source, detects):
    probe = TfDataProbe(source, {})
    assert isinstance(probe.stream, BufferReuseDetector) is detects
    assert [tag.number for tag in tags(probe)] == [0, 1, 2]
    assert isinstance(TfDataProbe(source, {"self": REPLICATED}).stream, BufferReuseDetector) is detects


def test_a_dataset_that_is_not_batched_is_left_to_keras():
    source = tf.data.Dataset.range(3)
    probe = TfDataProbe(source, {})
    assert probe.source is source
    assert tags(probe) == [NOT_OBSERVED] * 3


def test_facts_name_the_number_of_batches_and_the_transformations():
    facts = TfDataProbe(dataset().shuffle(2), {"steps": np.int64(3)}).facts()
    assert (facts["num_batches"], facts["steps"], facts["shuffle_buffer"]) == (3, 3, 2)
    assert "num_batches" not in TfDataProbe(dataset().filter(lambda _: True), {}).facts()


@pytest.mark.parametrize("ahead", [0, 2])
def test_no_more_is_requested_than_without_numbers(ahead):
    def pulled(numbered):
        count = [0]

        def batches():
            for _ in range(100):
                count[0] += 1
                yield np.zeros((2, 1), "float32")

        source = tf.data.Dataset.from_generator(batches, output_signature=tf.TensorSpec((None, 1)))
        if ahead:
            source = source.prefetch(ahead)
        else:
            # TensorFlow prefetches by itself here, as far ahead as its tuning finds right at the time.
            options = tf.data.Options()
            options.autotune.enabled = False
            source = source.with_options(options)
        taken = iter(TfDataProbe(source, {"steps": 10}).source if numbered else source)
        for _ in range(10):
            next(taken)
        time.sleep(0.2)
        return count[0]

    assert pulled(numbered=True) == pulled(numbered=False)
