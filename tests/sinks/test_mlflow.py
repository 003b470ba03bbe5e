"""The record in MLflow: a real store and a real server, and what happens when it does not answer."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

import evalguard
from evalguard.errors import SinkError
from evalguard.render import artifacts
from evalguard.sinks import spool
from evalguard.sinks.mlflow import MlflowSink, Target, find_run, mlflow_sink, replay, send, slug


@pytest.fixture(autouse=True)
def _own_spool(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALGUARD_SPOOL", str(tmp_path / "spool"))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A tracking URI of a fresh sqlite store, with an experiment whose artifacts stay beside it."""
    folder = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder}/mlflow.db"
    MlflowClient(tracking_uri=uri).create_experiment("evaluations", artifact_location=str(folder / "artifacts"))
    return uri


@pytest.fixture
def run(store):
    client = MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("evaluations")
    return client.create_run(experiment.experiment_id)


def report(delivered=range(5), labels=5):
    from dataclasses import replace

    judged = evalguard.check(delivered, labels, name="digits")
    return replace(judged, checked_at_ms=int(time.time() * 1000))


PASSED, FAILED = [0, 1, 2, 3, 4], [1, 0, 2, 3, 4]


def write(sink, judged, name="digits"):
    sink.begin(name)
    sink.write(judged, artifacts(judged))


def tags_of(store, run):
    return MlflowClient(tracking_uri=store).get_run(run.info.run_id).data.tags


def test_a_verdict_is_pending_until_it_is_judged(store, run):
    sink = MlflowSink(Target(store, run.info.run_id))
    sink.begin("digits")
    assert tags_of(store, run)["evalguard.verdict"] == "PENDING"
    judged = report()
    sink.write(judged, artifacts(judged))
    assert tags_of(store, run)["evalguard.verdict"] == "PASS"


@pytest.mark.parametrize(("delivered", "verdict", "violations"), [(PASSED, "PASS", 0), (FAILED, "FAIL", 1)])
def test_tags_metrics_and_files_are_written(store, run, delivered, verdict, violations):
    judged = report(delivered)
    write(MlflowSink(Target(store, run.info.run_id)), judged)
    client = MlflowClient(tracking_uri=store)
    data = client.get_run(run.info.run_id).data
    assert data.tags["evalguard.verdict"] == data.tags["evalguard.digits.verdict"] == verdict
    assert data.tags["evalguard.proof"] == "identity"
    assert data.metrics["evalguard/violations"] == violations
    assert data.metrics["evalguard/n_labels"] == 5
    assert not data.params, "a second value of a parameter raises: none is ever written"
    paths = [item.path for item in client.list_artifacts(run.info.run_id, "evalguard/digits")]
    assert set(paths) == {f"evalguard/digits/{name}" for name in artifacts(judged)}
    found = client.search_runs([run.info.experiment_id], f"tags.`evalguard.verdict` = '{verdict}'")
    assert run.info.run_id in [item.info.run_id for item in found]
    assert not list(spool.waiting())


def test_the_run_shows_the_worst_of_its_evaluations(store, run):
    target = Target(store, run.info.run_id)
    write(MlflowSink(target), report(FAILED), "first")
    write(MlflowSink(target), report(PASSED), "second")
    tags = tags_of(store, run)
    assert tags["evalguard.verdict"] == "FAIL"
    assert (tags["evalguard.first.verdict"], tags["evalguard.second.verdict"]) == ("FAIL", "PASS")


def test_a_later_pass_does_not_hide_a_failure_of_the_same_entry(store, run):
    sink = MlflowSink(Target(store, run.info.run_id))
    sink.begin("digits")
    for delivered in (FAILED, PASSED):
        judged = report(delivered)
        sink.write(judged, artifacts(judged))
    assert tags_of(store, run)["evalguard.verdict"] == "FAIL"


def test_the_users_own_exception_is_marked(store, run):
    sink = MlflowSink(Target(store, run.info.run_id))
    sink.begin("digits")
    sink.failed(RuntimeError("the disk is gone"))
    assert tags_of(store, run)["evalguard.verdict"] == "ERROR"


def test_which_run_is_found(store, run, monkeypatch):
    assert find_run("auto") is None
    assert mlflow_sink("auto") is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    assert find_run("auto") == Target(store, run.info.run_id)
    assert os.environ["MLFLOW_RUN_ID"] == run.info.run_id, "read, not popped"
    assert find_run("other") == Target(store, "other")


def test_the_active_run_of_the_thread_is_found_and_left_as_it_is(store, run, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    before = dict(os.environ)
    with mlflow.start_run(run_id=run.info.run_id):
        mlflow.set_tag("mlflow.note.content", "mine")
        mlflow.log_param("rate", 0.1)
        entered = dict(os.environ)
        with evalguard.guard(labels=range(5), on_unproven="record"):
            pass
        assert mlflow.active_run().info.run_id == run.info.run_id
        assert dict(os.environ) == entered
        seen = []
        thread = threading.Thread(target=lambda: seen.append(find_run("auto")))
        thread.start()
        thread.join()
        assert seen == [None], "active runs are the thread's own"
    found = MlflowClient(tracking_uri=store).get_run(run.info.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.tags["mlflow.note.content"] == "mine"
    assert found.data.params == {"rate": "0.1"}
    assert found.data.tags["evalguard.verdict"] == "UNPROVEN"
    assert set(before) <= set(os.environ)


def hanging_server():
    """A port that accepts and never answers."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(8)
    return server


@pytest.mark.parametrize("kind", ["refused", "hanging"])
def test_nobody_waits_longer_than_the_deadline_and_nothing_is_lost(store, run, kind, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    server = hanging_server()
    uri = f"http://127.0.0.1:{server.getsockname()[1]}"
    if kind == "refused":
        server.close()
    sink = MlflowSink(Target(uri, run.info.run_id), timeout_s=0.5)
    judged = report(FAILED)
    start = time.monotonic()
    with pytest.raises(SinkError, match=r"MLflow at .* did not take the PENDING mark"):
        sink.begin("digits")
    with pytest.raises(SinkError, match="evalguard replay"):
        sink.write(judged, artifacts(judged))
    assert time.monotonic() - start < 5
    (kept,) = spool.waiting()
    record = spool.read(kept)
    assert record.verdict == "FAIL"
    assert record.artifacts["digits/report.json"] == judged.to_json()
    server.close()


def test_an_alignment_error_is_raised_although_the_server_is_down(monkeypatch, run):
    import keras

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    x = np.arange(6, dtype="float32")[:, None]
    with pytest.warns(evalguard.EvalGuardWarning, match="did not take"), pytest.raises(evalguard.MisalignmentError):
        with evalguard.guard(labels=range(6), reference=x, mlflow=run.info.run_id):
            model.predict(x[::-1].copy(), verbose=0)
    assert [spool.read(path).verdict for path in spool.waiting()] == ["FAIL"]


def kept_record(store, run, verdict="FAIL", at=None):
    at = at or int(time.time() * 1000)
    tags = {"verdict": verdict, "checked_at_ms": str(at)}
    return spool.Record(store, run.info.run_id, "digits", verdict, tags, {"violations": 1.0}, {"digits/a.txt": "a"}, at)


def test_replay_sends_what_is_left_once_in_effect(store, run):
    record = kept_record(store, run)
    spool.put(record)
    spool.put(record)
    assert replay() == (2, [])
    assert tags_of(store, run)["evalguard.verdict"] == "FAIL"
    assert len(MlflowClient(tracking_uri=store).get_metric_history(run.info.run_id, "evalguard/violations")) <= 2
    assert not list(spool.waiting())


def test_an_older_verdict_never_takes_the_place_of_a_newer_one(store, run):
    now = int(time.time() * 1000)
    send(kept_record(store, run, "FAIL", now))
    spool.put(kept_record(store, run, "PASS", now - 1000))
    replay()
    assert tags_of(store, run)["evalguard.verdict"] == "FAIL"
    assert not list(spool.waiting())


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 99}', '{"version": 1, "run_id": "x"}'])
def test_a_corrupt_record_is_named_and_keeps_no_other(store, run, text, tmp_path):
    spool.put(kept_record(store, run))
    (tmp_path / "spool" / "0-broken.evalguard.json").write_text(text)
    sent, failures = replay()
    assert sent == 1
    assert len(failures) == 1
    assert "0-broken" in str(failures[0])


def test_a_spool_that_cannot_be_written_is_a_sink_error(store, run, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EVALGUARD_SPOOL", str(tmp_path / "file"))
    sink = MlflowSink(Target(store, run.info.run_id))
    with pytest.raises(SinkError, match="could not write"):
        sink.write(report(), {})


@pytest.mark.parametrize("name", ["digits", "a/b.c d", "…", "x" * 300, "../../etc"])
def test_any_name_makes_a_tag_and_a_path(store, run, name):
    assert "." not in slug(name)
    assert "/" not in slug(name)
    write(MlflowSink(Target(store, run.info.run_id)), report(), name)
    assert tags_of(store, run)[f"evalguard.{slug(name)}.verdict"] == "PASS"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A real MLflow server on loopback, killed with its whole process group."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    uri = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                with urllib.request.urlopen(f"{uri}/health", timeout=2):  # noqa: S310 - loopback
                    break
            except OSError:
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.5)
        yield uri
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_a_real_server_gets_the_whole_record(server):
    client = MlflowClient(tracking_uri=server)
    run = client.create_run(client.create_experiment("served"))
    judged = report(FAILED)
    write(MlflowSink(Target(server, run.info.run_id)), judged)
    data = client.get_run(run.info.run_id).data
    assert data.tags["evalguard.verdict"] == "FAIL"
    assert data.metrics["evalguard/misaligned"] == 2
    paths = [item.path for item in client.list_artifacts(run.info.run_id, "evalguard/digits")]
    assert "evalguard/digits/report.json" in paths
