"""Whether a dataset gives the user's own memory to the model, and overwrites it while the model computes."""

import numpy as np
import pytest
import tensorflow as tf

from evalguard.capture.buffer_reuse import RECENT_BATCHES, BufferReuseDetector
from evalguard.capture.contract import BatchTag, Untagged
from evalguard.core.own_errors import STRICT
from tests.buffers import aligned

BATCH, WIDTH = 8, 16
SPEC = tf.TensorSpec((BATCH, WIDTH), tf.float32)


@pytest.mark.parametrize("arrays", [1, 2, 3])
def test_reused_arrays_are_distinguished_from_new_ones(arrays):
    buffers = [aligned((BATCH, WIDTH)) for _ in range(arrays)]

    def batches(copied):
        for number in range(12):
            buffer = buffers[number % arrays]
            buffer[:] = number
            yield buffer.copy() if copied else buffer

    for copied in (False, True):
        dataset = tf.data.Dataset.from_generator(batches, args=(copied,), output_signature=SPEC)
        detector = BufferReuseDetector(Untagged())
        for data in dataset:
            detector.identify(data)
        assert detector.overwritten is not copied


def test_a_cache_reuses_memory_with_the_same_rows():
    detector = BufferReuseDetector(Untagged())
    for data in tf.data.Dataset.from_tensors(np.ones((BATCH, WIDTH), "float32")).repeat(6):
        detector.identify(data)
        assert detector.intact() == [True]
    assert not detector.overwritten


def test_every_batch_is_hashed_again_however_late_in_a_call_it_is():
    detector = BufferReuseDetector(Untagged())
    for _ in range(RECENT_BATCHES + 2):
        buffer = aligned((BATCH, WIDTH))
        tensor = next(iter(tf.data.Dataset.from_generator(lambda: iter([buffer]), output_signature=SPEC)))  # noqa: B023
        detector.identify(tensor)
        buffer += 1
        in_place = tensor.numpy()[0, 0] == 1
        assert detector.intact() == [not in_place]


def test_each_batch_is_answered_for_also_where_one_cannot_be_read(monkeypatch):
    monkeypatch.delenv(STRICT)
    detector = BufferReuseDetector(Untagged())
    monkeypatch.setattr("evalguard.capture.buffer_reuse.tree.leaves", lambda _: 1 / 0)
    for _ in range(2):
        detector.identify((tf.zeros((1, 1)),))
    assert detector.intact() == [True, True]
    assert detector.intact() == []


def test_tags_are_those_of_the_stream_below():
    class Numbered(Untagged):
        def identify(self, data):
            return data[0], BatchTag(7)

        def without_tag(self, data):
            return data[0]

    detector, x = BufferReuseDetector(Numbered()), tf.zeros((1, 1))
    batch, tag = detector.identify((x, 7))
    assert batch is detector.without_tag((x, 7)) is x
    assert tag.number == 7
    assert detector.hold((x, 7)) is None
