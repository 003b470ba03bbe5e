"""Inputs that are outputs as well: what the caller gets changes with the memory of the source."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import evalguard
from evalguard.capture.recording.passed_on import PassedOn
from tests.buffers import aligned

N, BATCH = 24, 4
ROWS = np.arange(N, dtype="float32")[:, None] * [1, 10]


def test_an_output_that_is_an_input_is_hashed_again_at_the_end():
    passed_on = PassedOn()
    batches = [np.full((4, 2), number, "float32") for number in range(3)]
    for batch in batches:
        passed_on.add([(batch,)], {"score": batch.sum(1), "same": batch[:2]})
    assert passed_on.intact() == [True, True, True]
    batches[1] += 1
    assert passed_on.intact() == [True, False, True]


def test_only_the_part_that_is_an_output_counts():
    passed_on = PassedOn()
    ids, image = np.arange(4), np.zeros((4, 2))
    passed_on.add([({"id": ids, "image": image},)], (image + 1, ids))
    image += 1
    assert passed_on.intact() == [True]
    ids += 1
    assert passed_on.intact() == [False]


def test_of_the_batches_of_one_execution_those_that_are_outputs_are_hashed_again():
    passed_on = PassedOn()
    one, other = np.zeros((4, 2)), np.ones((4, 2))
    passed_on.add([(one,), (other,)], other)
    one += 1
    assert passed_on.intact() == [True, True]
    other += 1
    assert passed_on.intact() == [True, False]


def test_outputs_in_other_memory_are_compared_once():
    passed_on, batch = PassedOn(), np.zeros((4, 2))
    assert passed_on.compares
    passed_on.add([(batch,)], batch + 1)
    assert not passed_on.compares
    assert passed_on.intact() == []


def test_text_and_scalars_are_no_outputs_that_could_change():
    passed_on = PassedOn()
    passed_on.add([(tf.constant(["a"]),)], {"loss": tf.constant(1.0), "word": tf.constant(["a"])})
    assert passed_on.intact() == []


def passing_on(engine, dtype="float32"):
    x = engine.Input((2,), dtype=dtype)
    model = engine.Model(x, [x * 2, engine.layers.Activation("linear", dtype=dtype)(x)])
    model.compile()
    return model


def batches(slots, dtype, words=False):
    buffers = [aligned((BATCH, 2), dtype=dtype) for _ in range(slots)]
    for number, start in enumerate(range(0, N, BATCH)):
        buffer = buffers[number % slots]
        buffer[:] = ROWS[start : start + BATCH]
        x = {"x": buffer, "word": tf.constant(["a"] * BATCH)} if words else buffer
        yield evalguard.tagged((x,), index=range(start, start + BATCH))


@pytest.mark.parametrize("engine", [keras, tf_keras], ids=["keras", "tf_keras"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("slots", [1, 2, N // BATCH])
def test_a_model_that_passes_an_input_on_passes_only_where_what_it_returned_is_right(engine, dtype, slots):
    model = passing_on(engine, dtype)
    with evalguard.guard(labels=np.arange(N), mlflow=False, on_failure="record", on_unproven="record") as g:
        rows = model.predict(batches(slots, dtype), steps=N // BATCH, verbose=0)[1]
    right = np.array_equal(rows, ROWS)
    assert (g.report.verdict == "PASS") is right
    # With as many arrays as batches none is overwritten.
    assert right or slots < N // BATCH


@pytest.mark.parametrize("slots", [1, 2, N // BATCH])
def test_rows_beside_text_that_were_overwritten_in_the_queue_do_not_pass_by_what_they_state(slots):
    inputs = {"x": keras.Input((2,), name="x"), "word": keras.Input((), dtype="string", name="word")}
    model = keras.Model(inputs, keras.layers.Rescaling(1.0)(inputs["x"]))
    with evalguard.guard(labels=np.arange(N), mlflow=False, on_failure="record", on_unproven="record") as g:
        rows = model.predict(batches(slots, "float32", words=True), verbose=0)
    assert (g.report.verdict == "PASS") is np.array_equal(rows, ROWS)
    assert np.array_equal(rows, ROWS) or slots < N // BATCH
