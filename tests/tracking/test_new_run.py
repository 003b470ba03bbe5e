"""A run that evalguard creates for one evaluation: once, even if no server answered when the evaluation began."""

import contextlib
import json
import shutil
import threading
from dataclasses import replace

import pytest
from mlflow import MlflowException
from mlflow.entities import ViewType

from evalguard.errors import SinkError
from evalguard.reporting import artifacts
from evalguard.tracking import spool
from evalguard.tracking.gate.gate import gate
from evalguard.tracking.mlflow_sink import MlflowSink
from evalguard.tracking.new_run import NONCE_TAG, NewRun, made, planned
from evalguard.tracking.replay import replay
from evalguard.tracking.send import send
from evalguard.tracking.signing import new_key
from evalguard.tracking.target import Target
from tests.mlflow_stores import Proxy, free_port
from tests.tracking.records import FAILED, Store, now_ms, record, report, write


@pytest.fixture(autouse=True)
def _no_retries(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture
def key(tmp_path):
    private, _, _ = new_key(tmp_path / "ci.pem")
    return private


def without_a_server(judged, new_run=None, key=None, store=None):
    """One evaluation whose server is down; its record in the spool, for the given store."""
    # Nothing listens at port 9 of this machine.
    target = Target("http://127.0.0.1:9", "", new_run=new_run or NewRun("digits", "evaluations"))
    sink = MlflowSink(target, 20.0, signing_key=key)
    sink.begin("digits")
    with pytest.raises(SinkError, match=r"`evalguard replay` creates its run and sends it\.$"):
        sink.write(judged, artifacts(judged))
    *_, path = spool.waiting()
    if store is not None:
        # As if that server were there again, at its old address.
        data = json.loads(path.read_text())
        path.write_text(json.dumps({**data, "tracking_uri": store.uri}))
    return sink, path


def runs_of(store, nonce, view=ViewType.ACTIVE_ONLY):
    text = f"tags.`{NONCE_TAG}` = '{nonce}'"
    experiments = [each.experiment_id for each in store.client.search_experiments()]
    return store.client.search_runs(experiments, filter_string=text, run_view_type=view)


# -- A server that is down from the start --


@pytest.mark.parametrize(
    ("delivered", "verdict", "status"), [(range(5), "PASS", "FINISHED"), (FAILED, "FAIL", "FAILED")]
)
def test_a_verdict_without_a_run_is_kept_and_replay_creates_and_ends_its_run(anywhere, delivered, verdict, status):
    judged = report(delivered)
    _, path = without_a_server(judged, store=anywhere)
    kept = spool.read(path)
    assert (kept.run_id, kept.new_run.name, kept.new_run.status) == ("", "digits", status)
    assert replay().sent == 1
    (run,) = runs_of(anywhere, kept.new_run.nonce)
    assert (run.info.run_name, run.info.status) == (f"digits: {verdict}", status)
    assert (run.info.start_time, run.info.end_time) == (kept.new_run.began_at_ms, kept.checked_at_ms)
    assert run.data.tags["evalguard.verdict"] == verdict
    assert run.data.tags["evalguard.evaluation"] == "digits"
    assert anywhere.files(run.info.run_id) == {*artifacts(judged), "record.json"} - {"report.txt"}
    assert bool(gate(run=run.info.run_id, tracking_uri=anywhere.uri)) is (verdict == "PASS")
    assert not list(spool.waiting())


def test_a_record_that_is_sent_twice_creates_one_run(anywhere):
    sink, path = without_a_server(report(), store=anywhere)
    text = path.read_text()
    assert replay().sent == 1
    path.write_text(text)
    assert replay().sent == 1
    assert len(runs_of(anywhere, sink.target.new_run.nonce, ViewType.ALL)) == 1


@pytest.mark.slow
def test_processes_that_send_the_same_record_at_once_agree_on_one_run(anywhere):
    kept = replace(record(anywhere.uri, ""), new_run=NewRun("digits", "evaluations", status="FAILED"))

    def send_once():
        # One whose run was deleted meanwhile fails, and its record would stay in the spool.
        with contextlib.suppress(MlflowException):
            send(kept)

    threads = [threading.Thread(target=send_once) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    send(kept)
    (run,) = runs_of(anywhere, kept.new_run.nonce)
    assert run.data.tags["evalguard.verdict"] == "FAIL"


def test_a_second_run_with_the_same_nonce_is_deleted_unless_it_holds_a_verdict(store):
    new_run = NewRun("digits", "evaluations")
    experiment = store.experiment_id
    twins = [store.client.create_run(experiment, tags={NONCE_TAG: new_run.nonce}).info.run_id for _ in range(3)]
    store.client.set_tag(max(twins), "evalguard.verdict", "PASS")
    other = store.run()
    assert made(store.client, new_run) == max(twins)
    assert [run.info.run_id for run in runs_of(store, new_run.nonce)] == [max(twins)]
    assert store.client.get_run(other).info.lifecycle_stage == "active"


def test_what_is_judged_again_is_in_the_same_run(store):
    sink, _ = without_a_server(report(), store=store)
    again = report(FAILED)
    with pytest.raises(SinkError):
        sink.replace(0, again, artifacts(again))
    *_, path = spool.waiting()
    path.write_text(json.dumps({**json.loads(path.read_text()), "tracking_uri": store.uri}))
    assert replay().sent == 2
    (run,) = runs_of(store, sink.target.new_run.nonce)
    assert (run.info.run_name, run.info.status) == ("digits: FAIL", "FAILED")
    assert run.data.tags["evalguard.evaluation"] == "digits"


def test_the_first_attempt_at_a_server_that_is_there_creates_the_run_and_marks_it(anywhere):
    sink = MlflowSink(Target(anywhere.uri, "", new_run=NewRun("digits", "evaluations")), 90.0)
    sink.begin("digits")
    (run,) = runs_of(anywhere, sink.target.new_run.nonce)
    assert run.info.run_id == sink.target.run_id
    assert (run.data.tags["evalguard.verdict"], run.info.status) == ("PENDING", "RUNNING")
    sink.failed(KeyboardInterrupt())
    (run,) = runs_of(anywhere, sink.target.new_run.nonce)
    assert (run.data.tags["evalguard.verdict"], run.info.status) == ("ERROR", "KILLED")
    assert run.info.run_name == "digits"


def test_several_verdicts_of_one_run_end_it_with_the_worst(store):
    sink = MlflowSink(Target(store.uri, "", new_run=NewRun("digits", "evaluations")), 90.0)
    for delivered in (FAILED, range(5)):
        write(sink, report(delivered))
    (run,) = runs_of(store, sink.target.new_run.nonce)
    assert (run.info.run_name, run.info.status) == ("digits: FAIL", "FAILED")


def test_an_error_after_a_pass_takes_the_pass_out_of_the_name(store):
    sink = MlflowSink(Target(store.uri, "", new_run=NewRun("digits", "evaluations")), 90.0)
    write(sink, report())
    sink.failed(KeyboardInterrupt())
    (run,) = runs_of(store, sink.target.new_run.nonce)
    assert (run.info.run_name, run.info.status) == ("digits", "KILLED")


def test_a_run_that_a_user_has_deleted_is_not_created_again(store):
    sink, path = without_a_server(report(), store=store)
    text = path.read_text()
    assert replay().sent == 1
    (run,) = runs_of(store, sink.target.new_run.nonce)
    store.client.delete_run(run.info.run_id)
    path.write_text(text)
    assert "refuses it" in str(replay().failures[0])
    assert len(runs_of(store, sink.target.new_run.nonce, ViewType.ALL)) == 1
    assert len(list(spool.refused_records())) == 1


def test_a_name_that_a_user_has_given_meanwhile_stays(store):
    sink, path = without_a_server(report(), store=store)
    text = path.read_text()
    assert replay().sent == 1
    (run,) = runs_of(store, sink.target.new_run.nonce)
    store.client.update_run(run.info.run_id, name="the good one")
    path.write_text(text)
    assert replay().sent == 1
    assert store.client.get_run(run.info.run_id).info.run_name == "the good one"


def test_an_experiment_that_does_not_exist_is_created_and_a_deleted_one_refuses(store):
    name = f"new-{now_ms()}"
    sink, _ = without_a_server(report(), NewRun("digits", name), store=store)
    assert replay().sent == 1
    (run,) = runs_of(store, sink.target.new_run.nonce)
    assert store.client.get_experiment(run.info.experiment_id).name == name
    store.client.delete_experiment(run.info.experiment_id)
    without_a_server(report(), NewRun("digits", name), store=store)
    assert "Restore the run or its experiment" in str(replay().failures[0])


def test_a_missing_sqlite_file_is_created_as_by_a_step(tmp_path, monkeypatch, mlflow_template):
    monkeypatch.chdir(tmp_path)
    shutil.copy(mlflow_template, tmp_path / "kept.db")
    Store(f"sqlite:///{tmp_path}/kept.db", "Default")
    uri = f"sqlite:///{tmp_path}/new.db"
    send(replace(record(uri, "", files=False), new_run=NewRun("digits", status="FAILED")))
    (run,) = Store(uri, "Default").client.search_runs(["0"])
    assert run.data.tags["evalguard.verdict"] == "FAIL"


@pytest.mark.parametrize(
    ("given", "variables", "expected"),
    [
        ("mine", {"MLFLOW_EXPERIMENT_ID": "3"}, ("mine", "0")),
        (None, {"MLFLOW_EXPERIMENT_ID": "3", "MLFLOW_EXPERIMENT_NAME": "theirs"}, ("", "3")),
        (None, {"MLFLOW_EXPERIMENT_NAME": "theirs"}, ("theirs", "0")),
        (None, {}, ("", "0")),
    ],
)
def test_the_experiment_of_a_new_run(monkeypatch, given, variables, expected):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = planned("digits", given)
    assert (found.experiment, found.experiment_id if not found.experiment else "0") == expected


# -- Records on disk --


def test_a_record_without_a_run_is_read_as_it_was_put():
    put = replace(record("http://x", ""), new_run=NewRun("digits", "mine", status="FAILED"))
    assert spool.read(spool.put(put)) == put


def test_a_record_with_a_run_can_be_read_by_an_earlier_version():
    assert "new_run" not in json.loads(spool.put(record("http://x", "r")).read_text())


@pytest.mark.parametrize(
    "new_run",
    [None, {}, {"name": 5}, {"name": "x", "began_at_ms": "1"}, {"name": "x", "other": 1}, [], "x"],
    ids=["none", "empty", "number", "text", "unknown", "list", "word"],
)
def test_a_record_without_anything_that_names_its_run_is_corrupt(new_run):
    path = spool.put(replace(record("http://x", ""), new_run=NewRun("digits")))
    path.write_text(json.dumps({**json.loads(path.read_text()), "new_run": new_run}))
    with pytest.raises(SinkError, match="expected a record that evalguard wrote"):
        spool.read(path)


# -- Signed --


def signed_later(store, key, judged=None):
    """A record that was signed without a run, and its run."""
    sink, _ = without_a_server(judged or report(), key=key, store=store)
    assert replay().failures == ()
    (run,) = runs_of(store, sink.target.new_run.nonce)
    return sink, run.info.run_id


def ask(store, key, run, **question):
    return gate(run=run, tracking_uri=store.uri, trust=f"{key}.pub", **question)


def test_a_signed_record_opens_in_the_run_that_was_created_later(anywhere, key):
    sink, run = signed_later(anywhere, key)
    result = ask(anywhere, key, run, head=sink.head)
    assert result, result.reasons
    assert result.notes == ("what was recorded before digits is not known: the server did not say",)


def test_a_signed_record_does_not_open_in_a_run_that_began_at_another_time(store, key):
    sink, run = signed_later(store, key)
    tags = {name: value for name, value in store.tags(run).items() if name.startswith("evalguard.")}
    other = store.run(**tags)
    store.client.delete_run(run)
    result = ask(store, key, other)
    assert not result
    assert "its record belongs to digits in a run that began at another time" in "; ".join(result.reasons)
    # Only a run that was created for it begins at that time; there, the second copy is noticed.
    store.client.delete_run(other)
    began = sink.target.new_run.began_at_ms
    forged = store.client.create_run(store.experiment_id, start_time=began, tags=tags).info.run_id
    assert ask(store, key, forged)
    store.client.restore_run(run)
    assert "one signed record is in 2 places" in "; ".join(ask(store, key, forged).reasons)


def test_a_record_that_takes_the_place_of_one_without_a_run_leaves_no_gap(store, key):
    _, run = signed_later(store, key)
    sink = MlflowSink(Target(store.uri, run), 90.0, signing_key=key)
    write(sink, report(FAILED))
    again = MlflowSink(Target(store.uri, run), 90.0, signing_key=key)
    write(again, report(), "other")
    result = ask(store, key, run, head=again.head)
    assert not [why for why in result.reasons if "is not there" in why], result.reasons


# -- The service at the address --


def test_a_service_that_accepts_everything_gets_no_record():
    """It answers each request with an empty JSON object: the record would be lost."""
    with Proxy(f"http://127.0.0.1:{free_port()}") as proxy:
        proxy.fault = lambda method, path: (200, "{}")
        for target in (Target(proxy.uri, "0" * 32), Target(proxy.uri, "", new_run=NewRun("digits"))):
            sink = MlflowSink(target, 5.0)
            with pytest.raises(SinkError, match="another service than MLflow answers"):
                sink.write(report(), {})
        assert len(replay().failures) == 1, "the second one is skipped, as its server is the same"
    assert len(list(spool.waiting())) == 2
