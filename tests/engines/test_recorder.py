"""Small batches are noted together, in the order in which they were fed, as they were when the model was done."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from evalguard.engines.batches import note_fed, take
from evalguard.engines.copies import SMALL_BATCH, small_copy
from evalguard.engines.recorder import Recorder, Wanted
from evalguard.fingerprint import row_fingerprints
from evalguard.seals import Seals

ROWS = 3
SMALL, LARGE = 2, SMALL_BATCH // (4 * ROWS) + 1


def batch(number, width=SMALL):
    return (tf.fill((ROWS, width), np.float32(number)),)


def run(recorder, batches):
    for data in batches:
        take(recorder, data)
        note_fed(recorder)
    recorder.settle()
    return recorder


@given(st.lists(st.sampled_from([SMALL, LARGE, SMALL + 1]), min_size=1, max_size=12))
def test_batches_of_all_sizes_are_noted_in_the_order_they_were_fed(widths):
    fed = [batch(number, width) for number, width in enumerate(widths)]
    recorder = run(Recorder(Wanted("always")), fed)
    found = recorder.contents.parts.array()
    assert found.tolist() == np.concatenate([row_fingerprints(data[0])[0] for data in fed]).tolist()
    assert len(recorder.tags) == len(fed)


class Sealed:
    """What a probe knows of a source whose batches are sealed."""

    def __init__(self):
        self.seals = Seals()

    @property
    def unwrap(self):
        return self.seals.take

    @property
    def bare(self):
        return not self.seals.shared

    @property
    def shared(self):
        return self.seals.shared

    def intact(self):
        return self.seals.intact()


@pytest.mark.parametrize("filled_anew_after", [0, 1, 3])
def test_the_order_stays_where_a_source_begins_to_fill_its_array_anew(filled_anew_after):
    buffer = np.zeros((ROWS, SMALL), np.float32)
    fed = [(np.full((ROWS, SMALL), number, np.float32),) for number in range(6)]
    stream = Sealed()
    recorder = Recorder(Wanted("always"), stream)
    for number, data in enumerate(fed):
        if number >= filled_anew_after:
            buffer[:] = number
            stream.seals.put((buffer,), number)
        else:
            stream.seals.put(data, number)
        take(recorder, data)
        note_fed(recorder)
        recorder.ran()
    recorder.settle()
    assert stream.shared
    assert np.asarray(recorder.tags.tags()).tolist() == [
        (number << 32) + row for number in range(6) for row in range(3)
    ]
    found = recorder.contents.parts.array()
    assert found.tolist() == np.concatenate([row_fingerprints(data[0])[0] for data in fed]).tolist()


def test_what_a_batch_held_when_its_array_was_first_filled_anew_is_not_known():
    """It was fed before, and nobody looked at it then."""
    stream = Sealed()
    recorder = Recorder(Wanted("always"), stream)
    buffer = np.zeros((ROWS, SMALL), np.float32)
    stream.seals.put((buffer,), 0)
    take(recorder, (buffer,))
    buffer[:] = 1
    stream.seals.put((buffer,), 1)
    note_fed(recorder)
    recorder.settle()
    assert np.asarray(recorder.tags.tags()).tolist() == [-1] * ROWS


def test_rows_are_noted_as_they_were_when_the_model_was_done():
    x = np.zeros((ROWS, SMALL), np.float32)
    recorder = Recorder(Wanted("always"))
    take(recorder, (x,))
    note_fed(recorder)
    before = row_fingerprints(x)[0]
    x[:] = 7
    recorder.settle()
    assert recorder.contents.parts.array().tolist() == before.tolist()


@pytest.mark.parametrize(
    "nest",
    [
        pytest.param((tf.zeros((2, 3)), None), id="no targets"),
        pytest.param(({"b": tf.ones((2, 1)), "a": np.zeros((2,))}, np.arange(2)), id="a dict of inputs"),
        pytest.param(([tf.zeros((2, 3)), tf.zeros((2, 1), tf.uint8)],), id="a list of inputs"),
        pytest.param(tf.zeros((2, 3)), id="a bare tensor"),
    ],
)
def test_copies_have_the_structure_of_the_batch(nest):
    copy = small_copy(nest)
    assert copy is not None
    assert tf.nest.map_structure(
        lambda leaf: None if leaf is None else leaf.shape, copy.batch
    ) == tf.nest.map_structure(lambda leaf: None if leaf is None else tuple(leaf.shape), nest)
    flat = [np.asarray(leaf) for leaf in tf.nest.flatten(nest) if leaf is not None]
    assert copy.n_bytes == sum(leaf.nbytes for leaf in flat)
    for ours, theirs in zip((leaf for leaf in tf.nest.flatten(copy.batch) if leaf is not None), flat, strict=True):
        assert (ours == theirs).all()
        assert not np.shares_memory(ours, theirs)


@pytest.mark.parametrize(
    "nest",
    [
        pytest.param((tf.constant(["a"]),), id="text"),
        pytest.param(({"x": tf.ragged.constant([[1], [2, 3]])},), id="ragged"),
        pytest.param((tf.zeros((1, SMALL_BATCH)),), id="large"),
        pytest.param((tf.zeros((1, SMALL_BATCH // 8)), {"y": tf.zeros((1, SMALL_BATCH // 4))}), id="large together"),
        pytest.param((tf.constant(1.0),), id="a scalar"),
        pytest.param((object(),), id="something else"),
    ],
)
def test_what_is_large_or_no_plain_numbers_is_not_copied(nest):
    assert small_copy(nest) is None
