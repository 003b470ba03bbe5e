"""Facts of a tf.data pipeline: they rest on private names, so a change of these must be noticed here."""

import numpy as np
import pytest
import tensorflow as tf

from evalguard.capture.probes.tf_pipeline import MAX_NODES, allocates_batches, pipeline_facts

N = 20
ORDERED = {"keeps_order": True}


def rows():
    return tf.data.Dataset.range(N)


def branches(base):
    return tf.data.Dataset.zip((base.map(lambda i: i), base.map(lambda i: i)))


def in_any_order():
    options = tf.data.Options()
    options.deterministic = False
    return options


@pytest.mark.parametrize(
    ("dataset", "facts"),
    [
        pytest.param(rows, ORDERED, id="plain"),
        pytest.param(
            lambda: rows().batch(8).ignore_errors().prefetch(1),
            {"ignores_batches": True, "leaves_out": "`ignore_errors`", **ORDERED},
            id="bad batches",
        ),
        pytest.param(
            lambda: rows().ignore_errors().batch(8), {"leaves_out": "`ignore_errors`", **ORDERED}, id="bad samples"
        ),
        pytest.param(
            lambda: rows().filter(lambda i: i > 3).batch(8), {"leaves_out": "`filter`", **ORDERED}, id="filtered"
        ),
        pytest.param(
            lambda: rows().map(lambda i: i, num_parallel_calls=2).batch(8).prefetch(2), ORDERED, id="in order"
        ),
        pytest.param(lambda: rows().shuffle(1).batch(8), ORDERED, id="shuffled in a buffer of one"),
        pytest.param(lambda: rows().skip(3).take(9).batch(8), {"skip": 3, "take": 9, **ORDERED}, id="a part"),
        pytest.param(lambda: rows().take(-1).repeat(1).batch(8), ORDERED, id="all, once"),
        pytest.param(lambda: rows().repeat(2).batch(8), {"repeat": 2, **ORDERED}, id="twice"),
        pytest.param(lambda: rows().repeat().batch(8), ORDERED, id="endless"),
        pytest.param(lambda: rows().shard(3, 1).batch(8), {"shards": 3, **ORDERED}, id="one shard"),
        pytest.param(lambda: rows().flat_map(tf.data.Dataset.range), {}, id="a function that makes datasets"),
        pytest.param(
            lambda: rows().interleave(tf.data.Dataset.range, cycle_length=2), {"interleaves": True}, id="interleaved"
        ),
        pytest.param(lambda: rows().with_options(in_any_order()), {}, id="an option gives up the order"),
        pytest.param(lambda: tf.data.TFRecordDataset(["a", "b"]), ORDERED, id="files one after the other"),
        pytest.param(lambda: tf.data.TFRecordDataset(["a", "b"], num_parallel_reads=2), {}, id="files in parallel"),
        pytest.param(
            lambda: rows().shuffle(7).batch(8).prefetch(1),
            {"reshuffled_each_pass": True, "shuffled_branches": 1, "shuffle_buffer": 7},
            id="shuffled",
        ),
        pytest.param(
            lambda: rows().shuffle(7, seed=3).batch(8),
            {"reshuffled_each_pass": True, "shuffled_branches": 1, "shuffle_buffer": 7},
            id="a seed does not fix the order",
        ),
        pytest.param(
            lambda: rows().shuffle(7, reshuffle_each_iteration=False).batch(8),
            {"reshuffled_each_pass": False, "shuffled_once": True, "shuffled_branches": 1, "shuffle_buffer": 7},
            id="shuffled once",
        ),
        pytest.param(
            lambda: rows().shuffle(7).cache().batch(8),
            {"reshuffled_each_pass": False, "shuffled_branches": 1, "shuffle_buffer": 7},
            id="cached behind the shuffle",
        ),
        pytest.param(
            lambda: rows().cache().shuffle(7).batch(8),
            {"reshuffled_each_pass": True, "shuffled_branches": 1, "shuffle_buffer": 7},
            id="cached before the shuffle",
        ),
        pytest.param(
            lambda: branches(rows().shuffle(N)).batch(8),
            {"reshuffled_each_pass": True, "shuffled_branches": 2, "shuffle_buffer": N},
            id="two branches of a shuffle",
        ),
        pytest.param(
            lambda: tf.data.Dataset.zip((rows().shuffle(N), rows())).batch(8),
            {"reshuffled_each_pass": True, "shuffled_branches": 1, "shuffle_buffer": N, "zips_a_shuffle": True},
            id="one of two zipped branches",
        ),
        pytest.param(
            lambda: branches(rows()).shuffle(N).batch(8),
            {"reshuffled_each_pass": True, "shuffled_branches": 1, "shuffle_buffer": N},
            id="shuffled behind the join",
        ),
        pytest.param(
            lambda: rows().batch(8, drop_remainder=True), {"drop_remainder": True, **ORDERED}, id="drop_remainder"
        ),
        pytest.param(
            lambda: rows().map(lambda i: i, num_parallel_calls=2, deterministic=False),
            {"unordered": True},
            id="unordered",
        ),
    ],
)
def test_the_transformations_of_a_pipeline_are_reported(dataset, facts):
    assert pipeline_facts(dataset()) == facts


@pytest.mark.parametrize(
    ("dataset", "same"),
    [
        (lambda: rows().shuffle(N), False),
        (lambda: rows().shuffle(N, seed=1), False),
        (lambda: rows().shuffle(N).cache(), True),
        (lambda: rows().shuffle(N, reshuffle_each_iteration=False), True),
    ],
)
def test_the_reported_order_of_the_next_pass_is_that_of_two_real_passes(dataset, same):
    stream = dataset()
    first, second = (np.asarray(list(stream.as_numpy_iterator())) for _ in range(2))
    assert np.array_equal(first, second) == same
    assert pipeline_facts(stream)["reshuffled_each_pass"] is not same


def test_a_snapshot_fixes_the_order_of_a_shuffle(tmp_path):
    stream = rows().shuffle(N).snapshot(str(tmp_path))
    first, second, third = (np.asarray(list(stream.as_numpy_iterator())) for _ in range(3))
    assert np.array_equal(second, third)
    assert pipeline_facts(stream)["reshuffled_each_pass"] is False
    assert sorted(first) == sorted(second)


def test_an_endless_pipeline_and_one_without_inputs_raise_nothing():
    class Odd:
        def _inputs(self):
            return [self]

    class Closed:
        def _inputs(self):
            raise RuntimeError

    assert pipeline_facts(Odd()) == {}
    assert pipeline_facts(Closed()) == {}
    assert pipeline_facts(object()) == {}
    assert MAX_NODES > 100


def one_buffer():
    """One array, at an address that TensorFlow uses in place, overwritten for each row."""
    raw = np.zeros(16 * 4 + 64, np.uint8)
    start = -raw.ctypes.data % 64
    array = raw[start : start + 64].view("float32")
    for number in range(4):
        array[:] = number
        yield array
    array[:] = 9


def from_python():
    return tf.data.Dataset.from_generator(one_buffer, output_signature=tf.TensorSpec((16,), tf.float32))


def test_rows_from_python_may_change_later():
    """The fault is real: without it the detection would be useless."""
    assert not allocates_batches(from_python())
    assert {float(row[0]) for row in list(from_python())} == {9.0}


@pytest.mark.parametrize(
    "dataset",
    [
        pytest.param(lambda: from_python().batch(1), id="batch"),
        pytest.param(lambda: from_python().batch(1, num_parallel_calls=2), id="batch in parallel"),
        pytest.param(lambda: from_python().batch(2, drop_remainder=True).prefetch(1), id="prefetch"),
        pytest.param(lambda: from_python().batch(1).skip(1).take(2), id="skip and take"),
        pytest.param(lambda: from_python().batch(2).with_options(tf.data.Options()), id="options"),
    ],
)
def test_no_other_code_writes_to_tensors_that_batch_allocated(dataset):
    assert allocates_batches(dataset())
    delivered = [(batch, batch.numpy().copy()) for batch in dataset()]
    # A parallel `batch` may copy a row after its source has gone on: what it delivers is late, and stays as it is.
    assert all(np.array_equal(batch.numpy(), then) for batch, then in delivered)


@pytest.mark.parametrize(
    "dataset",
    [
        pytest.param(rows, id="no batches"),
        pytest.param(lambda: rows().batch(8).map(lambda batch: batch), id="a function after batch"),
        pytest.param(lambda: rows().padded_batch(8), id="padded"),
        pytest.param(lambda: rows().map(tf.range).ragged_batch(8), id="ragged"),
        pytest.param(lambda: rows().map(tf.strings.as_string).batch(8), id="text"),
        pytest.param(lambda: rows().map(tf.range).batch(1), id="rows of several lengths"),
        pytest.param(lambda: tf.data.Dataset.zip((rows().batch(8), rows().batch(8))), id="joined"),
    ],
)
def test_other_transformations_are_not_trusted_to_allocate(dataset):
    assert not allocates_batches(dataset())
