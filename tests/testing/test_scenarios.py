"""Each scenario's cause is named, with real sources and models and at many sizes, and no other cause is."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import evalguard
from evalguard.testing.scenarios.data import ScenarioData
from evalguard.testing.scenarios.scenario import SCENARIOS, scenario

# Names that hold in any size; the others need more rows than this for their pattern to show.
SIZES = [(50, 8), (1001, 32)]
SMALL = (10, 3)
NEEDS_ROWS = {
    "batches_by_threads",
    "shuffle_buffer",
    "directories_by_class",
    "shards",
    "files_sorted_as_text",
    "files_passed_over",
    "two_workers_ask_one_iterator",
}


@pytest.fixture(scope="module")
def echo():
    inputs = keras.Input((1,))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


def data(n):
    return np.linspace(1, 2, n, dtype="float32")[:, None], np.arange(n) * 29 % 7 % 3


@pytest.fixture(scope="module")
def echoes(echo):
    inputs = tf_keras.Input((1,))
    return {"keras": echo, "tf_keras": tf_keras.Model(inputs, tf_keras.layers.Activation("linear")(inputs))}


def judged(models, name, n, batch_size):
    x, y = data(n)
    done = scenario(name, x, y, batch_size=batch_size)
    model = models[done.engine]
    quiet = {"mlflow": False, "on_failure": "record", "on_unproven": "record"}
    if done.training:
        with evalguard.ValidationGuard(**quiet) as training:
            done.predict(model)
        return done, training.report
    options = {"labels": done.labels, "reference": x, **done.options}
    with evalguard.guard(**quiet, **options) as g:
        done.predict(model)
    return done, g.report


# How far a generator is read ahead depends on the machine: with few batches it may be a whole pass.
NEEDS_BATCHES = {"generator_for_two_calls"}
CASES = [(name, *size) for name in SCENARIOS for size in (SIZES[-1:] if name in NEEDS_BATCHES else SIZES)]
CASES += [(name, *SMALL) for name in SCENARIOS if name not in NEEDS_ROWS | NEEDS_BATCHES]


# The model of these tests returns its input.
@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
@pytest.mark.parametrize(("name", "n", "batch_size"), CASES)
def test_the_cause_of_a_scenario_is_named(echoes, name, n, batch_size):
    done, report = judged(echoes, name, n, batch_size)
    assert report.verdict == "FAIL"
    first, *others = report.diagnosis
    assert first.cause.startswith(done.cause), report.diagnosis
    assert first.certain is done.certain
    assert not [cause for cause in others if cause.certain]


@pytest.mark.parametrize(("n", "batch_size"), [(1679, 2), (2519, 3), (1001, 32), (10, 3)])
def test_a_sampler_pads_at_any_size(echoes, n, batch_size):
    """1,679 lacks one sample of a multiple for three to eight replicas, which is less than a batch."""
    done, report = judged(echoes, "sampler_padding", n, batch_size)
    assert report.diagnosis[0].cause.startswith(done.cause)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["endless_generator", "drop_remainder", "shuffled_anew", "shards", "generator_looked_at"]
)
def test_the_cause_of_a_scenario_is_named_among_many_rows(echoes, name):
    done, report = judged(echoes, name, 100_003, 512)
    assert report.diagnosis[0].cause.startswith(done.cause)
    assert report.diagnosis[0].certain is done.certain


def test_keys_make_a_sort_order_certain():
    n, (x, _) = 50, data(50)
    names = np.asarray([f"img{number}.png" for number in range(n)])
    inputs = {"x": keras.Input((1,), name="x")}
    model = keras.Model(inputs, keras.layers.Identity()(inputs["x"]))
    order = sorted(range(n), key=str)
    stream = tf.data.Dataset.from_tensor_slices({"name": names[order], "x": x[order]}).batch(8)
    labels = evalguard.Labels(values=np.arange(n), keys=names)
    with evalguard.guard(labels=labels, key="name", drop_key=True, mlflow=False, on_failure="record") as g:
        model.predict(stream, verbose=0)
    first = g.report.diagnosis[0]
    assert first.cause == "labels in another sort order than the stream"
    assert first.certain
    assert "'img1.png' before 'img10.png'" in first.evidence


def test_no_cause_is_named_for_the_same_sources_used_correctly(echo):
    x, y = data(50)
    correct = ScenarioData(x, y, 8)
    for source in (correct.pydataset()(), correct.dataset().batch(8), map_batches(correct)):
        with evalguard.guard(labels=correct.y, reference=correct.x, mlflow=False) as g:
            echo.predict(source, verbose=0)
        assert (g.report.verdict, g.report.diagnosis) == ("PASS", ())


def map_batches(correct):
    return (correct.rows(ids) for ids in correct.cut(np.arange(correct.n)))


def test_each_scenario_has_its_own_docstring():
    assert all(make.__doc__ for make in SCENARIOS.values())
    assert len({make.__doc__ for make in SCENARIOS.values()}) == len(SCENARIOS)


@pytest.mark.parametrize(("n", "batch_size"), [(48, 8), (5, 4)])
def test_a_scenario_needs_a_partial_batch(n, batch_size):
    with pytest.raises(ValueError, match="a partial one"):
        scenario("drop_remainder", *data(n), batch_size=batch_size)
