"""One digest of the numbers of a batch."""

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from evalguard.capture.hashing import can_digest, digest, numbers_of

X = np.arange(24, dtype="float32").reshape(8, 3)


@pytest.mark.parametrize("dtype", ["float16", "float64", ml_dtypes.bfloat16])
def test_floats_count_as_float32(dtype):
    for given in (X.astype(dtype), tf.constant(X.astype(dtype))):
        assert can_digest(given)
        assert digest(given) == digest(X)


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int32", "int64", "bool", "complex64"])
def test_other_numbers_are_digested_as_they_are(dtype):
    assert can_digest(X.astype(dtype))
    assert digest(X.astype(dtype)) != digest((X + 1).astype("int16"))


def test_a_digest_is_of_the_numbers_whatever_structure_holds_them():
    y = np.arange(8)
    for structure in [{"a": X, "b": y}, [X, y], ((X,), {"y": y}), (tf.constant(X), tf.constant(y))]:
        assert digest(structure) == digest((X, y))
    for other in [(y, X), (X, y + 1), (X,)]:
        assert digest(other) != digest((X, y))


def test_another_layout_of_the_same_numbers_has_the_same_digest():
    assert digest(np.asfortranarray(X)) == digest(X[::-1][::-1]) == digest(X)


@pytest.mark.parametrize(
    "structure",
    [
        pytest.param([1.0, 2.0], id="a list"),
        pytest.param(np.array(["a"]), id="text"),
        pytest.param(X.astype(">f4"), id="foreign byte order"),
        pytest.param(tf.ragged.constant([[1.0], [2.0, 3.0]]), id="ragged"),
        pytest.param(np.float32(1), id="a scalar"),
        pytest.param((), id="nothing"),
    ],
)
def test_values_that_keras_may_feed_in_another_form_are_not_digested(structure):
    assert not can_digest(structure)


def test_the_numbers_of_a_batch_are_the_parts_that_can_be_digested():
    batch = {"image": X, "name": np.array(["a"] * 8), "size": tf.ones(8), "word": tf.constant(["b"] * 8)}
    image, size = numbers_of((batch, None))
    assert image is X
    assert size is batch["size"]
