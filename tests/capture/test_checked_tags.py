"""Tags that ride, and digests of the numbers that ride with them."""

import tracemalloc

import numpy as np
import pytest

from evalguard.capture.checked_tags import CheckedTags
from evalguard.capture.contract import BatchTag
from evalguard.core.own_errors import STRICT
from tests.buffers import aligned

NAMES = np.array(["a", "b", "c"])


def emitted(stream, buffer, number, index=None):
    return stream.emit(({"image": buffer, "name": NAMES},), number, index)


def test_an_untouched_batch_has_its_tag_and_its_structure():
    stream = CheckedTags(({},))
    image = np.arange(6.0).reshape(3, 2)
    (batch,), tag = stream.identify(emitted(stream, image, 4, [7, 8, 9]))
    assert batch["image"] is image
    assert (tag.number, tag.samples.tolist(), tag.altered) == (4, [7, 8, 9], False)
    assert all(stream.intact())


def test_numbers_overwritten_while_the_batch_waits_are_altered_and_state_no_sample():
    stream, buffer = CheckedTags(({},)), aligned((3, 2))
    first = emitted(stream, buffer, 0, [0, 1, 2])
    buffer += 1
    second = emitted(stream, buffer, 1, [3, 4, 5])
    tag = stream.identify(first)[1]
    assert (tag.altered, tag.samples) == (True, None)
    assert stream.identify(second)[1].number == 1
    buffer += 1
    assert stream.intact() == [False, False]


def test_equal_numbers_beside_other_text_keep_their_own_tags():
    stream = CheckedTags(({},))
    waiting = [emitted(stream, np.zeros((3, 2)), number) for number in range(3)]
    assert [stream.identify(waiting[at])[1].number for at in (2, 0, 1)] == [2, 0, 1]


def test_an_item_that_is_other_data_when_it_is_asked_again_is_not_altered():
    stream = CheckedTags(({},))
    emitted(stream, np.zeros((3, 2)), 0)
    again = emitted(stream, np.ones((3, 2)), 0)
    assert stream.identify(again)[1].number == 0


def test_a_batch_without_numbers_has_its_tag():
    stream = CheckedTags((NAMES,))
    assert stream.identify(stream.emit((NAMES,), 2))[1].number == 2


def test_a_batch_that_cannot_be_read_is_not_observed_and_keeps_its_place(monkeypatch):
    monkeypatch.delenv(STRICT)
    stream, buffer = CheckedTags(({},)), aligned((3, 2))
    waiting = [emitted(stream, buffer.copy(), 0), emitted(stream, buffer, 1)]
    buffer += 1
    emitted(stream, buffer, 2)
    buffer -= 1
    with monkeypatch.context() as patch:
        patch.setattr("evalguard.capture.checked_tags.digest", lambda _: 1 / 0)
        tag = stream.identify(waiting[0])[1]
    assert (tag.number, tag.samples, tag.altered) == (None, None, False)
    assert isinstance(tag, BatchTag)
    stream.identify(waiting[1])
    buffer += 1
    assert stream.intact() == [True, False]


@pytest.mark.parametrize("index", [None, [0, 1, 2]])
def test_the_first_batch_decides_the_structure(index):
    stream = CheckedTags({"image": 1})
    batch = {"image": np.zeros((3, 2)), "name": NAMES}
    same, tag = stream.identify(stream.emit(batch, 0, index))
    assert same is batch
    assert tag.states_samples is (index is not None)


def test_a_long_call_keeps_digests_of_waiting_batches_only():
    stream = CheckedTags((NAMES,))
    tracemalloc.start()
    try:
        for number in range(2000):
            stream.identify(stream.emit((NAMES,), number))
            stream.intact()
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()
