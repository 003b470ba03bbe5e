"""Batch digests: a batch is recognised where the model receives it, and a batch that changed on the way is not."""

import numpy as np
import pytest
import tensorflow as tf

from evalguard.capture.batch_digests import BatchDigests
from evalguard.capture.contract import NOT_OBSERVED
from evalguard.core.own_errors import STRICT
from tests.buffers import TF_ALIGNMENT, aligned, aligned_copy

# TensorFlow uses the memory of both in place.
X = aligned_copy(np.arange(24, dtype="float32").reshape(8, 3))
BIG = aligned_copy(np.random.default_rng(0).normal(size=(32, 64, 64, 3)))


ALTERED = "altered"


def number(digests, batch):
    held = digests.hold(batch)
    same, tag = digests.identify(held)
    assert same is held
    return ALTERED if tag.altered else tag.number


@pytest.mark.parametrize("x", [X, BIG], ids=["small", "large"])
@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda x: (tf.constant(x),), id="a tensor"),
        pytest.param(lambda x: {"x": x}, id="another structure"),
        pytest.param(lambda x: (x[..., None],), id="a dimension of one"),
        pytest.param(lambda x: (np.asfortranarray(x),), id="another layout"),
    ],
)
def test_a_batch_is_recognised_in_any_form_in_which_it_arrives(form, x):
    for emitted, delivered in [((x,), form(x)), (form(x), (x,))]:
        digests = BatchDigests()
        digests.emit(emitted, 7)
        assert number(digests, delivered) == 7


@pytest.mark.parametrize("shape", [(8, 3), (8, 10_000)])
def test_float64_arrives_as_float32(shape):
    x = np.random.default_rng(0).normal(size=shape)
    digests = BatchDigests()
    digests.emit((x, np.arange(8)), 0)
    assert number(digests, (tf.cast(x, tf.float32), tf.range(8, dtype=tf.int64))) == 0


def test_a_change_of_any_row_of_a_large_batch_is_reported():
    for row in range(len(BIG)):
        changed = BIG.copy()
        changed[row] = BIG[row - 1]
        digests = BatchDigests()
        digests.emit((BIG,), 0)
        assert number(digests, (changed,)) == ALTERED


@pytest.mark.parametrize("beyond", [0, 16])
@pytest.mark.parametrize("arrays", [1, 2, 3])
def test_large_buffers_overwritten_with_one_number_changed_are_identified_by_what_they_held(arrays, beyond):
    buffers = [aligned(BIG.shape, beyond) for _ in range(arrays)]
    digests, changed, copies = BatchDigests(), BatchDigests(), []
    for pull in range(6):
        buffer = buffers[pull % arrays]
        buffer[:] = BIG
        buffer[:, 0, 0, 0] = pull
        copies.append((buffer.copy(),))
        digests.emit((buffer,), pull)
        changed.emit((buffer,), pull)
    assert [number(digests, copies[at]) for at in range(6)] == list(range(6))
    # The model is fed the second content of a buffer twice.
    assert [number(changed, copies[at]) for at in (arrays, *range(1, 6))] != list(range(6))


def test_equal_large_batches_are_matched_in_the_order_of_emission():
    constant = (BIG,)
    for copies in (lambda: constant, lambda: (BIG.copy(),)):
        digests = BatchDigests()
        for pull in (0, 1, 0, 1, 2):
            digests.emit(copies(), pull)
        assert [number(digests, constant) for _ in range(3)] == [0, 1, 2]


def test_a_large_array_overwritten_while_it_waits_is_reported_as_altered():
    digests, buffer = BatchDigests(), aligned_copy(BIG)
    digests.emit((buffer,), 0)
    copied = buffer.copy()
    buffer += 1
    digests.emit((buffer,), 1)
    # TensorFlow copied the first one before, so it arrives unchanged.
    assert number(digests, (copied,)) == 0
    assert number(digests, (buffer,)) == 1
    buffer += 1
    assert digests.intact() == [True, False]
    digests.emit((buffer,), 2)
    buffer[0, 0, 0, 0] += 1
    assert number(digests, (buffer,)) == ALTERED


@pytest.mark.parametrize("beyond", [0, 4, 8, 16, 32, 48])
@pytest.mark.parametrize("shape", [X.shape, BIG.shape], ids=["small", "large"])
def test_tensorflow_uses_memory_in_place_at_multiples_of_64_bytes_only(shape, beyond):
    """The tests of reused buffers rest on this."""
    buffer = aligned(shape, beyond)

    def batches():
        for fill in range(3):
            buffer[:] = fill
            yield (buffer,)

    dataset = tf.data.Dataset.from_generator(batches, output_signature=(tf.TensorSpec(shape, tf.float32),))
    addresses = {np.asarray(x).__array_interface__["data"][0] for (x,) in dataset}
    assert (buffer.ctypes.data in addresses) is (beyond == 0)
    assert f"-DEIGEN_MAX_ALIGN_BYTES={TF_ALIGNMENT}" in tf.sysconfig.get_compile_flags()


def test_batches_are_recognised_in_any_order_of_arrival():
    digests = BatchDigests()
    batches = [(X + step,) for step in range(5)]
    for pull, batch in enumerate(batches):
        digests.emit(batch, pull)
    assert [number(digests, batches[at]) for at in (3, 0, 4)] == [3, 0, 4]


def test_equal_batches_are_matched_in_the_order_of_emission():
    digests = BatchDigests()
    for pull in range(3):
        digests.emit((X,), pull)
    assert [number(digests, (X,)) for _ in range(3)] == [0, 1, 2]


def test_a_batch_that_comes_twice_keeps_its_number():
    digests = BatchDigests()
    digests.emit((X,), 4)
    assert [number(digests, (X,)), number(digests, (X,))] == [4, 4]


def test_an_item_requested_twice_counts_as_one_batch():
    digests = BatchDigests()
    for pull in (0, 1, 0, 1):
        digests.emit((X + pull,), pull)
    assert [number(digests, (X,)), number(digests, (X + 1,))] == [0, 1]


def test_a_change_of_any_part_is_reported():
    y = np.arange(8)
    for changed in [(X + 1, y), (X, y + 1), (np.where(X == 23, 24, X).astype("float32"), y)]:
        digests = BatchDigests()
        digests.emit((X, y), 0)
        assert number(digests, changed) == ALTERED


def test_a_batch_without_a_digest_makes_unknown_batches_unproven_and_not_altered():
    digests = BatchDigests()
    digests.emit((X, ["a", "b"]), 0)
    assert number(digests, (X + 1,)) is None


def test_digested_rows_keep_the_samples_that_they_stated_when_they_were_emitted():
    digests, index = BatchDigests(), np.arange(8)[::-1].copy()
    digests.emit((X,), 2, index)
    index[:] = 0
    tag = digests.identify((X,))[1]
    assert (tag.number, tag.first_row) == (2, 0)
    assert tag.samples.tolist() == list(range(8))[::-1]


def test_an_array_that_is_used_in_place_is_compared_after_the_model_ran():
    digests, buffer = BatchDigests(), aligned((4, 2))
    digests.emit((buffer[:],), 0)
    assert number(digests, (buffer,)) == 0
    assert digests.intact() == [True]
    assert number(digests, (buffer,)) == 0
    buffer[:] = 3
    assert digests.intact() == [False]
    assert digests.intact() == []


def test_an_array_that_tensorflow_copied_may_be_overwritten():
    digests, buffer = BatchDigests(), aligned((4, 2))
    digests.emit((buffer,), 0)
    assert number(digests, (buffer.copy(),)) == 0
    buffer += 1
    assert digests.intact() == [True]


def test_memory_that_proves_to_be_reused_while_the_model_computes_is_compared_at_once():
    buffer = aligned((4, 2))
    digests = BatchDigests()
    digests.emit((buffer,), 0)
    assert number(digests, (buffer,)) == 0
    buffer += 1
    digests.emit((buffer,), 1)
    assert digests.intact() == [False]


def test_a_batch_that_cannot_be_read_is_not_observed_and_keeps_its_place(monkeypatch):
    monkeypatch.delenv(STRICT)
    digests, buffer = BatchDigests(), aligned((4, 2))
    for pull in range(2):
        buffer[:] = pull
        digests.emit((buffer,), pull)
    with monkeypatch.context() as patch:
        patch.setattr("evalguard.capture.batch_digests.digest", lambda _: 1 / 0)
        assert digests.identify(digests.hold((X,)))[1] is NOT_OBSERVED
    assert number(digests, (buffer,)) == 1
    buffer += 1
    assert digests.intact() == [True, False]


def test_an_item_that_is_requested_again_with_other_data_has_the_samples_it_had_at_that_time():
    digests, later = BatchDigests(), X + 1
    digests.emit((X,), 0, range(8))
    digests.emit((later,), 0, range(8, 16))
    for batch, first in ((X, 0), (later, 8)):
        tag = digests.identify((batch,))[1]
        assert (tag.number, tag.samples.tolist()) == (0, list(range(first, first + 8)))


def test_float64_that_is_equal_as_float32_is_altered_where_it_stays_float64():
    given, other = 1.7e9 + np.arange(4) / 10, 1.7e9 + np.arange(4) / 7
    assert np.array_equal(given.astype("float32"), other.astype("float32"))
    for delivered, altered in ((given, False), (other, True), (given.astype("float32"), False)):
        stream = BatchDigests()
        stream.emit((given,), 0)
        assert stream.identify((delivered,))[1].altered is altered
