"""``evaluate`` and batch-by-batch calls: each sample once, with its own target; metrics equal to the bit."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import evalguard
from evalguard import Verdict, testing
from tests.capture.engines import patching

ENGINES = {"keras3": keras, "tf_keras": tf_keras}

N, BATCH = 37, 5
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N + 20, 6)).astype("float32")
Y = RNG.integers(0, 3, size=N + 20)


def make_model(engine, **options):
    library = ENGINES[engine]
    library.utils.set_random_seed(1)
    inputs = library.Input((6,))
    model = library.Model(inputs, library.layers.Dense(3, activation="softmax")(inputs))
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"], **options)
    return model


@pytest.fixture(scope="module", params=ENGINES)
def engine(request):
    return request.param


@pytest.fixture(scope="module")
def model(engine):
    return make_model(engine)


def batch(ids):
    return X[ids], Y[ids]


def stream(engine, kind, batches):
    if kind == "generator":
        return testing.as_generator(batches, batch)
    if kind == "tf.data":
        return testing.as_tf_dataset(batches, batch)
    if engine == "tf_keras":
        return testing.as_sequence(batches, batch)
    return testing.as_pydataset(batches, batch, workers=4 if kind.endswith("threads") else 1)


def evaluate(model, source, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return model.evaluate(source, verbose=0, return_dict=True, **options)


def guard(**options):
    return evalguard.guard(labels=Y[:N], mlflow=False, on_failure="record", on_unproven="record", **options)


STREAMS = ["generator", "pydataset", "pydataset-4-threads", "tf.data"]


# tf_keras takes five seconds to stop its workers: once is enough, in test_tf_keras_workers.py.
BY_ENGINE = [(engine, kind) for engine in ENGINES for kind in STREAMS if (engine, kind) != ("tf_keras", STREAMS[2])]


@pytest.mark.parametrize("source", ["arrays", "weighted-arrays", "weighted-tf.data", *STREAMS[:2], "tf.data"])
def test_guarded_metrics_are_the_same_to_the_bit(engine, source):
    model, weights = make_model(engine), np.linspace(0, 1, N)

    def run():
        if source.endswith("arrays"):
            options = {"sample_weight": weights} if source.startswith("weighted") else {}
            return evaluate(model, X[:N], y=Y[:N], batch_size=BATCH, **options)
        if source == "weighted-tf.data":
            return evaluate(model, tf.data.Dataset.from_tensor_slices((X[:N], Y[:N], weights)).batch(BATCH))
        return evaluate(model, stream(engine, source, testing.aligned_batches(N, BATCH)))

    bare = run()
    with guard(reference=X[:N]) as g:
        guarded = run()
    assert guarded == bare == run()
    assert (g.report.verdict, g.report.proof, g.report.method) == (Verdict.PASS, "identity", "evaluate")
    assert "make_test_function" not in vars(model)
    assert not patching.active()


@pytest.mark.parametrize("fault", list(testing.FAULTS))
@pytest.mark.parametrize(("engine", "source"), BY_ENGINE, indirect=["engine"])
def test_a_faulty_stream_fails_unless_only_its_order_is_another(engine, model, source, fault):
    batches = testing.faulty_batches(fault, n=N, batch_size=BATCH)
    with guard(reference=X[:N]) as g:
        evaluate(model, stream(engine, source, batches))
    delivered = np.concatenate(batches)
    counts = np.bincount(delivered[delivered < N], minlength=N)
    report = g.report
    expected = {
        "missing": int((counts == 0).sum()),
        "duplicate": int((counts[counts > 1] - 1).sum()),
        "foreign": int((delivered >= N).sum()),
        "reordered": None,
    }
    assert {name: report.counts[name] for name in expected} == expected
    whole = not any(expected.values())
    assert report.verdict is (Verdict.PASS if whole else Verdict.FAIL)
    if not whole:
        assert "metrics unfit for use: " in report.not_proven[0]
        assert "accuracy" in report.not_proven[0]


@pytest.mark.parametrize("return_dict", [False, True])
def test_a_fail_names_the_metrics(model, return_dict):
    with guard() as g:
        model.evaluate(stream("", "tf.data", testing.aligned_batches(N - 1, BATCH)), verbose=0, return_dict=return_dict)
    assert g.report.verdict is Verdict.FAIL
    unfit = g.report.not_proven[0].partition(": ")[2]
    assert sorted(unfit.split(", ")) == ["accuracy", "loss"]


def test_a_target_of_another_sample_fails(model):
    def wrong(ids):
        return X[ids], Y[(np.asarray(ids) + 1) % N]

    with guard(reference=X[:N]) as g:
        evaluate(model, testing.as_tf_dataset(testing.aligned_batches(N, BATCH), wrong))
    assert g.report.verdict is Verdict.FAIL
    assert g.report.counts["label_disagreements"] == np.count_nonzero(Y[(np.arange(N) + 1) % N] != Y[:N])
    assert [link.link for link in g.report.chain if link.status == "broken"] == ["labels"]


def test_targets_in_order_prove_by_labels_and_in_another_order_prove_nothing(model):
    with guard() as g:
        evaluate(model, stream("", "tf.data", testing.aligned_batches(N, BATCH)))
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "labels")
    with guard() as g:
        evaluate(model, stream("", "tf.data", testing.faulty_batches("shuffled", n=N, batch_size=BATCH)))
    assert g.report.verdict is Verdict.UNPROVEN
    assert "labels in another order" in " ".join(g.report.not_proven)
    with guard() as g:
        evaluate(model, stream("", "tf.data", testing.faulty_batches("repeated_batch", n=N, batch_size=BATCH)))
    assert g.report.verdict is Verdict.FAIL


@pytest.mark.parametrize("method", ["predict_on_batch", "test_on_batch"])
def test_a_loop_over_batches_is_one_session(model, method):
    def loop(dataset):
        results = []
        model.reset_metrics()  # Keras before 3.7 does not
        for x, y in dataset:
            results.append(model.predict_on_batch(x) if method == "predict_on_batch" else model.test_on_batch(x, y))
        return results

    aligned = stream("", "tf.data", testing.aligned_batches(N, BATCH))
    # Keras before 3.7 cannot begin with `test_on_batch`: it pulls twice where it makes variables
    evaluate(model, aligned)
    bare = loop(aligned)
    with guard(reference=X[:N]) as g:
        guarded = loop(aligned)
    assert all(np.array_equal(a, b) for a, b in zip(bare, guarded, strict=True))
    assert len(g.reports) == 1
    assert g.report.verdict is Verdict.PASS
    assert len(g.report.calls) == len(bare)
    with guard(reference=X[:N]) as g:
        loop(stream("", "tf.data", testing.faulty_batches("skipped_batch", n=N, batch_size=BATCH)))
    assert g.report.verdict is Verdict.FAIL
    assert g.report.counts["missing"] == BATCH


def test_batches_passed_one_by_one_are_no_proof_by_themselves(model):
    """Nothing shows that a loader emits its batches in label order."""
    with guard() as g:
        for x, _ in stream("", "tf.data", testing.faulty_batches("shuffled", n=N, batch_size=BATCH)):
            model.predict_on_batch(x)
    assert g.report.verdict is Verdict.UNPROVEN
    with guard(scope="session") as g:
        for x, _ in stream("", "tf.data", testing.faulty_batches("shuffled", n=N, batch_size=BATCH)):
            model.predict(x, verbose=0)
    assert g.report.verdict is Verdict.UNPROVEN


def test_validation_inside_fit_is_not_the_users_evaluation(engine):
    model = make_model(engine)
    with guard(reference=X[:N]) as g:
        model.fit(X[:20], Y[:20], validation_data=(X[20:30], Y[20:30]), epochs=2, verbose=0)
        evaluate(model, X[:N], y=Y[:N])
    assert len(g.reports) == 1
    assert g.report.verdict is Verdict.PASS


@pytest.mark.slow
def test_logging_a_model_is_not_the_users_evaluation(tmp_path, monkeypatch):
    import mlflow

    model = make_model("keras3")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        experiment = mlflow.MlflowClient().create_experiment("e", artifact_location=str(tmp_path / "files"))
        with mlflow.start_run(experiment_id=experiment), guard(reference=X[:N]) as g:
            mlflow.tensorflow.log_model(model, name="model", input_example=X[:3])
            model.predict(X[:N], verbose=0)
    assert [report.counts["n_predictions"] for report in g.reports] == [N]


def test_evaluate_before_predict_with_one_generator_is_found(model):
    def endless():
        while True:
            yield from testing.as_generator(testing.aligned_batches(N, BATCH), batch)

    source, steps = endless(), -(-N // BATCH)
    with guard() as g:
        evaluate(model, source, steps=steps)
        model.predict(source, steps=steps, verbose=0)
    assert [report.method for report in g.reports] == ["evaluate", "predict"]
    assert g.reports[1].verdict is Verdict.FAIL


def test_a_wrapped_model_guards_evaluate(model):
    guarded = evalguard.wrap(model, labels=Y[:N], reference=X[:N], mlflow=False)
    metrics = guarded.evaluate(tf.data.Dataset.from_tensor_slices((X[:N], Y[:N])).batch(BATCH), verbose=0)
    assert len(metrics) == 2
    assert guarded.report.method == "evaluate"


@pytest.mark.parametrize("padding", ["forbid", "trim"])
def test_metrics_that_count_padding_are_unfit_for_use(model, padding):
    """Nothing can be cut off: the padding is part of the metric."""
    rows = np.r_[np.arange(N), np.zeros(3, int)]
    with evalguard.guard(labels=Y[:N], reference=X[:N], padding=padding, mlflow=False, on_failure="record") as g:
        evaluate(model, X[rows], y=Y[rows], batch_size=BATCH)
    assert g.report.verdict is Verdict.FAIL
    assert g.report.counts["duplicate"] == 3
    assert any("unfit for use" in note for note in g.report.not_proven)
