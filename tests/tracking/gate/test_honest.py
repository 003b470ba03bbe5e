"""Evaluations that are as they should be open the gate, with a signature and its digest, by every way of use."""

import shutil
import time

import keras
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

import evalguard
from evalguard.tracking import spool
from evalguard.tracking.mlflow_sink import MlflowSink
from evalguard.tracking.replay import replay
from evalguard.tracking.signing import new_key
from evalguard.tracking.target import Target
from tests.mlflow_stores import free_port
from tests.tracking.gate.test_gate import version
from tests.tracking.records import FAILED, Store, report, write

X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
TABLE = pd.DataFrame({"id": np.arange(40) + 500, "label": (X.sum(1) > 0).astype(int)})


@pytest.fixture(scope="module")
def model():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])


@pytest.fixture
def store(mlflow_store, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    return Store(mlflow_store)


@pytest.fixture
def signed(tmp_path, monkeypatch):
    private, public, _ = new_key(tmp_path / "ci.pem")
    monkeypatch.setenv("EVALGUARD_SIGNING_KEY", str(private))
    return public


def by_decorator(model, target):
    @evalguard.guard(labels=TABLE["label"].to_numpy(), reference=X, mlflow=target)
    def evaluate():
        return model.predict(X, verbose=0)

    evaluate()


def by_session(model, target):
    options = {"labels": TABLE["label"].to_numpy(), "reference": X, "mlflow": target}
    with evalguard.guard(scope="session", **options):
        for at in range(0, 40, 10):
            model.predict(X[at : at + 10], verbose=0)


def by_confirm(model, target):
    with evalguard.guard(labels=TABLE["label"].to_numpy(), reference=X, mlflow=target) as g:
        y_pred = model.predict(X, verbose=0)
        g.confirm(y_pred, TABLE["label"].to_numpy())


@pytest.mark.parametrize("evaluate", [by_decorator, by_session, by_confirm])
def test_an_evaluation_in_python_opens_the_gate(store, signed, model, evaluate):
    run = store.run()
    named, _ = version(store, f"honest-{evaluate.__name__}".replace("_", "-"))
    evaluate(model, evalguard.MlflowTarget(run, named))
    for question in ({"run": run}, {"model": named}, {"model": named, "labels_digest": digest()}):
        result = evalguard.gate(tracking_uri=store.uri, trust=signed, **question)
        assert result, result.reasons


def digest():
    return evalguard.Labels(values=TABLE["label"].to_numpy()).digest


def test_a_record_that_arrived_after_an_outage_opens_the_gate(store, signed, model, monkeypatch):
    run, down = store.run(), f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", down)
    with pytest.warns(evalguard.EvalGuardWarning):
        by_decorator(model, evalguard.MlflowTarget(run))
    (spooled,) = spool.waiting()
    # The same server, at its own address.
    spooled.write_text(spooled.read_text().replace(down, store.uri))
    assert replay().sent == 1
    result = evalguard.gate(run=run, tracking_uri=store.uri, trust=signed)
    assert result, result.reasons
    assert "what was recorded before" in " ".join(result.notes)


def test_two_tables_that_were_checked_open_the_gate_that_accepts_what_is_declared(
    store, signed, command, tmp_path, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    pd.DataFrame({"id": TABLE["id"], "prediction": TABLE["label"]}).to_csv(tmp_path / "predictions.csv", index=False)
    TABLE.to_csv(tmp_path / "labels.csv", index=False)
    TABLE.sample(frac=1, random_state=0).to_parquet(tmp_path / "sorted_again.parquet")
    run = store.run()
    tables = tmp_path / "predictions.csv", tmp_path / "labels.csv"
    done = command("check", *tables, "--key", "id", "--mlflow", run)
    assert done.exit_code == 0, done.output
    asked = {"run": run, "tracking_uri": store.uri, "trust": signed, "labels": tmp_path / "sorted_again.parquet"}
    assert "proof declared, weaker than labels" in " ".join(evalguard.gate(**asked).reasons)
    result = evalguard.gate(**asked, require="declared")
    assert result, result.reasons


def evaluated(store, model, judged, key=None, name="digits"):
    run = store.run()
    sink = MlflowSink(Target(store.uri, run, model), 90.0, signing_key=key)
    write(sink, judged, name)
    time.sleep(0.002)
    return run, sink.head


def test_a_run_whose_record_was_cleaned_up_can_be_named_as_superseded(store):
    model, _ = version(store, "cleaned")
    old, _ = evaluated(store, model, report(FAILED))
    evaluated(store, model, report())
    shutil.rmtree(store.client.get_run(old).info.artifact_uri.removeprefix("file://"))
    assert "no record" in " ".join(evalguard.gate(model=model, tracking_uri=store.uri).reasons)
    assert evalguard.gate(model=model, tracking_uri=store.uri, superseded=[old])


def test_an_unguarded_run_that_was_deleted_closes_no_experiment(mlflow_store):
    MlflowClient(tracking_uri=mlflow_store).create_experiment("with-a-deleted-run")
    store = Store(mlflow_store, "with-a-deleted-run")
    evaluated(store, "", report())
    store.client.delete_run(store.run())
    assert evalguard.gate(experiment="with-a-deleted-run", tracking_uri=store.uri)


def test_a_pass_in_a_deleted_run_is_not_missed(store, signed):
    model, _ = version(store, "tidied")
    old, _ = evaluated(store, model, report())
    run, head = evaluated(store, model, report())
    store.client.delete_run(old)
    for question in ({"model": model}, {"run": run}):
        result = evalguard.gate(**question, tracking_uri=store.uri, trust=signed, head=head)
        assert result, result.reasons


def test_models_whose_names_are_cut_to_the_same_tag_share_a_chain(store, signed):
    models = [version(store, f"catalog.schema.{'a' * 80}")[0] for _ in range(2)]
    for model in models:
        _, head = evaluated(store, model, report())
    result = evalguard.gate(model=models[1], tracking_uri=store.uri, trust=signed, head=head)
    assert result, result.reasons
