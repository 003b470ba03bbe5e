"""Rows are compared in the precision in which the model computes: Unix seconds half a second apart, on either Keras."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import evalguard
from evalguard import Labels, Verdict
from tests.guards.streams import guard
from tests.versions import floatx

N, BATCH = 32, 8
SECONDS = 1.7e9 + 0.5 * np.arange(N)[:, None]
ALIGNED, SHUFFLED = np.arange(N), np.random.default_rng(0).permutation(N)


def generator(order):
    for start in range(0, N, BATCH):
        yield (SECONDS[order[start : start + BATCH]],)


def items(order, framework):
    base: Any = keras.utils.PyDataset if framework is keras else tf_keras.utils.Sequence

    class Items(base):
        def __len__(self):
            return N // BATCH

        def __getitem__(self, number):
            return (SECONDS[order[number * BATCH :][:BATCH]],)

    return Items()


SOURCES = {
    "arrays": lambda order, _: SECONDS[order],
    "items": items,
    "generator": lambda order, _: generator(order),
    "tf.data": lambda order, _: tf.data.Dataset.from_tensor_slices(SECONDS[order]).batch(BATCH),
}
REFERENCES = {
    "arrays": lambda: {"reference": SECONDS},
    "collected": lambda: {"reference": Labels.collect(lambda: generator(ALIGNED))},
    "labels": lambda: {"labels": Labels.collect(lambda: ((x, np.arange(BATCH)) for (x,) in generator(ALIGNED)))},
}
BUILDS = {
    "functional": lambda k: k.Sequential([k.Input((1,)), k.layers.Activation("linear")]),
    "unbuilt": lambda k: k.Sequential([k.layers.Activation("linear")]),
}


@pytest.fixture(params=[keras, tf_keras], ids=["keras", "tf_keras"])
def framework(request):
    return request.param


@pytest.fixture
def float64(framework):
    with floatx(framework, "float64"):
        yield


def verdict_of(call, **options):
    with guard(**{"labels": np.arange(N), "on_failure": "record", "on_unproven": "record", **options}) as g:
        call()
    return g.report.verdict, g.report.proof


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("reference", REFERENCES.values(), ids=REFERENCES)
@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)
def test_a_shuffle_of_float64_rows_is_found_where_the_model_computes_in_float64(
    framework, float64, source, reference, build
):
    model = build(framework)

    def predict(order):
        return lambda: model.predict(source(order, framework), verbose=0, steps=N // BATCH)

    assert verdict_of(predict(SHUFFLED), **reference()) == (Verdict.FAIL, "identity")
    assert verdict_of(predict(ALIGNED), **reference()) == (Verdict.PASS, "identity")


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("reference", REFERENCES.values(), ids=REFERENCES)
def test_rows_that_are_equal_to_a_float32_model_are_equal(framework, source, reference):
    """As before: what the model computes on is one number for all rows, so no order is wrong."""
    model = framework.Sequential([framework.Input((1,)), framework.layers.Activation("linear")])
    for order in (ALIGNED, SHUFFLED):
        found = verdict_of(
            lambda order=order: model.predict(source(order, framework), verbose=0, steps=N // BATCH), **reference()
        )
        assert found == (Verdict.PASS, "identity")


def test_a_model_of_float64_beside_others_is_fed_what_its_source_yields():
    """Without ``floatx`` Keras casts arrays to float32 first, and those are the rows that the model computes on."""
    model = keras.Sequential([keras.Input((1,), dtype="float64"), keras.layers.Activation("linear", dtype="float64")])
    found = verdict_of(lambda: model.predict(generator(SHUFFLED), steps=N // BATCH, verbose=0), reference=SECONDS)
    assert found == (Verdict.FAIL, "identity")
    found = verdict_of(lambda: model.predict(SECONDS, verbose=0), reference=SECONDS)
    assert found == (Verdict.PASS, "identity")


@pytest.mark.parametrize("narrow", [True, False], ids=["float32-collected", "float64-collected"])
def test_what_was_collected_serves_arrays_of_either_type(framework, float64, narrow):
    model = framework.Sequential([framework.Input((1,)), framework.layers.Activation("linear")])
    x = np.random.default_rng(0).normal(size=(N, 1)).astype("float32")
    rows = x if narrow else x.astype("float64")
    reference = Labels.collect(lambda: ((rows[start : start + BATCH],) for start in range(0, N, BATCH)))
    assert reference.float64_fingerprints is None
    for fed in (x, x.astype("float64"), tf.data.Dataset.from_tensor_slices(x).batch(BATCH)):
        found = verdict_of(lambda fed=fed: model.predict(fed, verbose=0), reference=reference)
        assert found == (Verdict.PASS, "identity")


def test_a_loop_over_calls_and_an_evaluation_are_compared_in_float64(framework, float64):
    model = framework.Sequential([framework.Input((1,)), framework.layers.Activation("linear")])
    model.compile(loss="mse")

    def loop():
        for (x,) in generator(SHUFFLED):
            model(x)

    assert verdict_of(loop, reference=SECONDS, scope="session") == (Verdict.FAIL, "identity")
    twice = np.append(ALIGNED[:-1], 0)
    evaluated = verdict_of(
        lambda: model.evaluate(SECONDS[twice], np.zeros((N, 1)), verbose=0), reference=SECONDS, labels=np.zeros((N, 1))
    )
    assert evaluated == (Verdict.FAIL, "identity")


@pytest.mark.parametrize("reference", REFERENCES.values(), ids=REFERENCES)
def test_a_fault_of_float64_rows_stops_a_call_early(framework, float64, reference):
    model = BUILDS["functional"](framework)
    with guard(**{"labels": np.arange(N), "on_failure": "record", "fail_fast": True, **reference()}) as g:
        model.predict(generator(SHUFFLED), steps=N // BATCH, verbose=0)
    assert g.report.verdict is Verdict.FAIL
    assert any(f"stopped after {BATCH} of {N} rows" in note for note in g.report.not_proven)


def test_a_part_that_two_rows_share_does_not_identify_them_in_float64():
    """In float32 the whole rows are equal, and either sample will do."""

    def halves(x):
        return x[:, 1:]

    x = np.column_stack([SECONDS, np.arange(N) // 2])
    verdicts = []
    for name in ("float64", "float32"):
        with floatx(keras, name):
            model = keras.Sequential([keras.Input((2,)), keras.layers.Activation("linear")])
            for reference in (x, Labels.collect(lambda: iter([(x,)]), fingerprint=halves)):
                with guard(reference=reference, fingerprint=halves, labels=np.arange(N), on_unproven="record") as g:
                    model.predict((batch for batch in [(x,)]), verbose=0)
                verdicts.append(g.report.verdict)
    assert verdicts == [Verdict.UNPROVEN, Verdict.UNPROVEN, Verdict.PASS, Verdict.UNPROVEN]


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_a_manifest_keeps_both_precisions(tmp_path, form):
    labels = Labels.collect(lambda: generator(ALIGNED))
    labels.save(tmp_path / f"manifest.{form}")
    loaded = Labels.load(tmp_path / f"manifest.{form}")
    assert loaded.fingerprints is not None
    assert loaded.float64_fingerprints is not None
    assert np.array_equal(loaded.fingerprints, labels.fingerprints)
    assert np.array_equal(loaded.float64_fingerprints, labels.float64_fingerprints)
    assert len(np.unique(loaded.fingerprints)) == 1
    assert len(np.unique(loaded.float64_fingerprints)) == N
    assert evalguard.Labels.of(loaded).float64_fingerprints is loaded.float64_fingerprints
