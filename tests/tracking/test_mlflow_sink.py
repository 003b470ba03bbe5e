"""The record in MLflow, in a real embedded store and on a real server."""

import json
import logging
import math
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest

import evalguard
from evalguard.core.judge import unproven as without_evidence
from evalguard.core.policy import Policy
from evalguard.errors import ConfigError, SinkError
from evalguard.reporting import artifacts
from evalguard.tracking import spool
from evalguard.tracking.client import redacted_uri, sqlite_path
from evalguard.tracking.gate.gate import gate
from evalguard.tracking.mlflow_sink import MlflowSink, mlflow_sink
from evalguard.tracking.record import record_digest
from evalguard.tracking.target import Target, absolute, find_run, model_name
from tests.tracking.records import FAILED, PASSED, now_ms, report, unproven, write

PROJECT = Path(__file__).parents[2]
NOTE = "mlflow.note.content"


def test_a_verdict_is_pending_until_it_is_judged(anywhere):
    run = anywhere.run()
    sink = anywhere.sink(run)
    sink.begin("digits")
    assert anywhere.tags(run)["evalguard.verdict"] == "PENDING"
    judged = report()
    sink.write(judged, artifacts(judged))
    assert anywhere.tags(run)["evalguard.verdict"] == "PASS"


@pytest.mark.parametrize(("delivered", "verdict", "violations"), [(PASSED, "PASS", 0), (FAILED, "FAIL", 1)])
def test_tags_metrics_and_files_are_written(anywhere, delivered, verdict, violations):
    run = anywhere.run()
    sink = anywhere.sink(run)
    sink.begin("digits")  # before it is judged, as in a guard: a record never ends before it began
    judged = report(delivered)
    sink.write(judged, artifacts(judged))
    data = anywhere.client.get_run(run).data
    assert data.tags["evalguard.verdict"] == data.tags["evalguard.digits.verdict"] == verdict
    assert data.tags["evalguard.proof"] == "identity"
    assert data.tags["evalguard.checked_at_ms"] == str(judged.checked_at_ms)
    assert data.tags["evalguard.labels"] == judged.labels["digest"]
    assert data.metrics["evalguard/violations"] == violations
    known = {name: count for name, count in judged.counts.items() if count is not None}
    assert known.keys() < judged.counts.keys()
    assert data.metrics == {f"evalguard/{name}": count for name, count in {"violations": violations, **known}.items()}
    assert not data.params, "a second value of a parameter raises: none is ever written"
    assert anywhere.files(run) == {*artifacts(judged), "record.json"} - {"report.txt"}
    found = anywhere.client.search_runs([anywhere.experiment_id], f"tags.`evalguard.verdict` = '{verdict}'")
    assert run in [item.info.run_id for item in found]
    assert not list(spool.waiting())


def test_metric_values_are_written_beside_the_counts_with_the_difference_as_an_absolute_value(anywhere):
    figures = evalguard.MetricImpact(as_scored=0.25, realigned=1.0, difference=-0.75, note="seen")
    impact = {"f1 (macro)": figures, "mine": evalguard.MetricImpact(note="none")}
    run, judged = anywhere.run(), replace(report(FAILED), impact=impact)
    write(anywhere.sink(run), judged)
    assert {name: value for name, value in anywhere.metrics(run).items() if name.startswith("evalguard/digits/")} == {
        "evalguard/digits/f1 _macro_/as_scored": 0.25,
        "evalguard/digits/f1 _macro_/realigned": 1.0,
        "evalguard/digits/f1 _macro_/difference": 0.75,
    }
    assert anywhere.metrics(run)["evalguard/violations"] == 1


@pytest.mark.parametrize("later", ["UNPROVEN", "ERROR", "PENDING"])
def test_the_numbers_of_a_failure_stay_until_it_is_made_again(anywhere, monkeypatch, later):
    run, failed = anywhere.run(), replace(report(FAILED), impact={"f1": evalguard.MetricImpact(as_scored=0.25)})
    write(anywhere.sink(run), failed)
    # Another process evaluates again, and does not come as far.
    monkeypatch.setattr("evalguard.tracking.mlflow_sink._used_slots", {})
    sink = anywhere.sink(run)
    sink.begin("digits")
    if later == "UNPROVEN":
        nothing = without_evidence(None, Policy(), "no call was observed", checked_at_ms=now_ms())
        sink.write(nothing, artifacts(nothing))
    elif later == "ERROR":
        sink.failed(RuntimeError())
    assert anywhere.tags(run)["evalguard.verdict"] == "FAIL"
    assert anywhere.metrics(run)["evalguard/digits/f1/as_scored"] == 0.25
    monkeypatch.setattr("evalguard.tracking.mlflow_sink._used_slots", {})
    write(anywhere.sink(run), report())
    assert anywhere.tags(run)["evalguard.verdict"] == ("UNPROVEN" if later == "UNPROVEN" else "PASS")
    assert math.isnan(anywhere.metrics(run)["evalguard/digits/f1/as_scored"])
    violations = anywhere.metrics(run)["evalguard/violations"]
    assert violations == 0 or (later == "UNPROVEN" and math.isnan(violations))


def test_the_tag_holds_the_digest_of_the_record_and_the_record_that_of_the_report(anywhere, tmp_path):
    run, judged = anywhere.run(), report()
    write(anywhere.sink(run), judged)
    content = Path(anywhere.client.download_artifacts(run, "evalguard/digits/record.json", tmp_path)).read_bytes()
    assert anywhere.tags(run)["evalguard.digits.record"] == record_digest(content)
    body = json.loads(content)
    assert body["run_id"] == run
    assert body["files"]["report.json"] == record_digest(judged.to_json().encode())


def test_no_tag_is_longer_than_a_search_can_use_and_none_is_json(store):
    run = store.run()
    write(store.sink(run), replace(report(FAILED), labels={"name": "n" * 9000, "digest": "d" * 16, "n": 5}))
    ours = {name: value for name, value in store.tags(run).items() if name.startswith("evalguard")}
    assert max(map(len, ours.values())) <= 250
    assert not any(value.startswith(("{", "[")) for value in ours.values())


def test_the_labels_are_a_dataset_input_and_the_verdict_is_not_in_it(anywhere):
    run, judged = anywhere.run(), report()
    write(anywhere.sink(run), judged)
    (found,) = anywhere.client.get_run(run).inputs.dataset_inputs
    assert (found.dataset.name, found.dataset.digest) == (judged.labels["name"], judged.labels["digest"])
    assert {tag.key: tag.value for tag in found.tags} == {"mlflow.data.context": "eval"}


# -- several evaluations ---------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "shown_verdict"),
    [
        pytest.param(report(FAILED), report(), "FAIL", id="fail-then-pass"),
        pytest.param(report(), report(FAILED), "FAIL", id="pass-then-fail"),
        pytest.param(unproven(), report(), "UNPROVEN", id="unproven-then-pass"),
        pytest.param(report(), report(), "PASS", id="two-passes"),
    ],
)
def test_the_run_shows_the_worst_of_its_evaluations(store, first, second, shown_verdict):
    run = store.run()
    write(store.sink(run), first, "first")
    write(store.sink(run), second, "second")
    tags = store.tags(run)
    assert tags["evalguard.verdict"] == shown_verdict
    assert tags["evalguard.first.verdict"] == first.verdict.value
    assert tags["evalguard.second.verdict"] == second.verdict.value
    assert store.metrics(run)["evalguard/violations"] == first.violations + second.violations


def test_a_run_that_was_made_for_one_evaluation_has_one_set_of_tags(anywhere):
    run = anywhere.run()
    sink = MlflowSink(Target(anywhere.uri, run), 90.0, alone=True)
    write(sink, report())
    tags = {name for name in anywhere.tags(run) if name.startswith("evalguard.")}
    assert tags == {
        f"evalguard.{name}"
        for name in (
            "evaluation",
            "verdict",
            "proof",
            "counts",
            "labels",
            "labels_name",
            "record",
            "began_at_ms",
            "checked_at_ms",
        )
    }
    assert gate(run=run, tracking_uri=anywhere.uri)
    write(anywhere.sink(run), report(FAILED), "other")
    tags = anywhere.tags(run)
    assert tags["evalguard.verdict"] == tags["evalguard.other.verdict"] == "FAIL"
    assert tags["evalguard.digits.verdict"] == "PASS"
    refused = gate(run=run, tracking_uri=anywhere.uri)
    assert [(item.name, bool(item.refused)) for item in refused.evaluations] == [("digits", False), ("other", True)]


def test_a_second_call_of_one_entry_hides_no_failure(store):
    run = store.run()
    sink = store.sink(run)
    sink.begin("digits")
    for delivered in (FAILED, PASSED):
        judged = report(delivered)
        sink.write(judged, artifacts(judged))
    tags = store.tags(run)
    assert tags["evalguard.verdict"] == tags["evalguard.digits.verdict"] == "FAIL"
    assert tags["evalguard.digits-2.verdict"] == "PASS"
    assert store.files(run, "digits-2") == store.files(run, "digits")


def test_a_second_guard_of_the_same_name_hides_no_failure(store):
    run = store.run()
    write(store.sink(run), report(FAILED), "evaluation")
    write(store.sink(run), report(), "evaluation")
    assert store.tags(run)["evalguard.verdict"] == "FAIL"


@pytest.mark.parametrize("name", ["digits", "a/b.c d", "…", "x" * 300, "../../etc", "a`'\"<script>"])
def test_any_name_makes_a_tag_and_a_path(store, name):
    run = store.run()
    write(store.sink(run), report(), name)
    (slot,) = {key.split(".")[1] for key in store.tags(run) if key.count(".") == 2 and key.startswith("evalguard.")}
    assert store.files(run, slot) >= {"report.json"}


def test_names_with_the_same_slug_get_separate_slots(store):
    run = store.run()
    write(store.sink(run), report(FAILED), "a b")
    write(store.sink(run), report(), "a/b")
    assert store.tags(run)["evalguard.verdict"] == "FAIL"
    assert store.tags(run)["evalguard.a_b-2.verdict"] == "PASS"


# -- the user's own code raises ---------------------------------------------------


def test_the_users_own_exception_is_marked(anywhere):
    run = anywhere.run()
    sink = anywhere.sink(run)
    sink.begin("digits")
    sink.failed(RuntimeError("the disk is gone"))
    tags = anywhere.tags(run)
    assert (tags["evalguard.verdict"], tags["evalguard.reason"]) == ("ERROR", "RuntimeError")


def test_an_exception_after_a_pass_is_marked_too(store):
    run = store.run()
    sink = store.sink(run)
    write(sink, report())
    sink.failed(ValueError("the metric cannot be computed"))
    assert store.tags(run)["evalguard.verdict"] == "ERROR"
    assert store.tags(run)["evalguard.digits.verdict"] == "PASS"


# -- which run ----------------------------------------------------------------------


def test_without_a_run_there_is_no_sink_and_one_message(caplog, monkeypatch):
    monkeypatch.setattr("evalguard.tracking.mlflow_sink._logged_no_run", False)
    with caplog.at_level(logging.INFO, "evalguard"):
        assert mlflow_sink("auto") is None
        assert mlflow_sink("auto") is None
    assert [item.message for item in caplog.records] == [
        "no MLflow run is active: verdicts stay in the guard's reports"
    ]


def test_the_order_in_which_a_run_is_searched(store, monkeypatch):
    named, active, environment = store.run(), store.run(), store.run()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    monkeypatch.setenv("MLFLOW_RUN_ID", environment)
    assert find_run("auto") == Target(store.uri, environment)
    assert os.environ["MLFLOW_RUN_ID"] == environment, "read, not popped"
    monkeypatch.delenv("MLFLOW_RUN_ID")
    with mlflow.start_run(run_id=active):
        monkeypatch.setenv("MLFLOW_RUN_ID", environment)
        assert find_run("auto") == Target(store.uri, active)
        assert find_run(named) == Target(store.uri, named)
        assert find_run(False) is None
        monkeypatch.delenv("MLFLOW_RUN_ID")
    assert find_run("auto") is None


def test_a_run_of_another_thread_is_not_ours(store, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    seen = []
    with mlflow.start_run(run_id=store.run()):
        thread = threading.Thread(target=lambda: seen.append(find_run("auto")))
        thread.start()
        thread.join()
    assert seen == [None]


def test_the_innermost_run_gets_the_verdict_and_its_parent_none(store, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    parent, child = store.run(), None
    with mlflow.start_run(run_id=parent):
        with mlflow.start_run(nested=True, experiment_id=store.experiment_id) as inner:
            child = inner.info.run_id
            write(mlflow_sink("auto"), report())
        assert mlflow.active_run().info.run_id == parent
    assert store.tags(child)["evalguard.verdict"] == "PASS"
    assert "evalguard.verdict" not in store.tags(parent)


def test_without_mlflow_imported_there_is_no_run_and_mlflow_is_not_imported():
    program = (
        "import sys; from evalguard.tracking.mlflow_sink import find_run; found = find_run('auto'); "
        "print(found, 'mlflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", "False"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sqlite:////a/b.db", "sqlite:////a/b.db"),
        ("sqlite:///b.db", "sqlite:///{cwd}/b.db"),
        ("sqlite:///./b%20c.db?timeout=9", "sqlite:///{cwd}/b c.db?timeout=9"),
        ("sqlite:///b%2520c%3F.db", "sqlite:///{cwd}/b%2520c%3F.db"),
        ("http://host:5000/x", "http://host:5000/x"),
        ("databricks", "databricks"),
    ],
)
def test_a_store_is_named_so_that_it_is_found_from_any_folder(given, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute(given) == expected.format(cwd=tmp_path)
    assert sqlite_path(absolute(given)) == (sqlite_path(given) and tmp_path / sqlite_path(given))


def test_a_password_in_the_address_is_not_shown():
    assert redacted_uri("https://me:secret@host:5000/mlflow") == "https://host:5000/mlflow"
    assert redacted_uri("sqlite:////a@b/c.db") == "sqlite:////a@b/c.db"


# -- nothing of the user's is touched ------------------------------------------------


JUDGED = {
    "pass": report(),
    "fail": report(FAILED),
    "unproven": unproven(),
    "repaired": replace(report(), verdict=evalguard.Verdict.REPAIRED, repair={"summary": "reordered"}),
}
OUTCOMES = [*JUDGED, "error", "pending", "unreachable"]


@pytest.mark.parametrize("ended", ["running", "finished", "failed"])
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_sink_changes_nothing_of_the_users(store, outcome, ended, monkeypatch):
    run = store.run(team="mine")
    store.client.set_tag(run, NOTE, "# My notes\n\nkeep *this*")
    store.client.log_param(run, "rate", 0.1)
    store.client.log_metric(run, "accuracy", 0.9)
    if ended != "running":
        store.client.set_terminated(run, ended.upper())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    before, environment, folder = store.whole(run), dict(os.environ), sorted(Path.cwd().iterdir())
    sink = store.sink(run) if outcome != "unreachable" else MlflowSink(Target("http://127.0.0.1:9", run), 0.2)
    try:
        sink.begin("digits")
    except SinkError:
        assert outcome == "unreachable"
    if outcome in JUDGED:
        sink.write(JUDGED[outcome], artifacts(JUDGED[outcome]))
        assert store.tags(run)["evalguard.verdict"] == outcome.upper()
        gate(run=run, tracking_uri=store.uri)
    elif outcome == "error":
        sink.failed(RuntimeError())
    after = store.whole(run)
    assert dict(os.environ) == environment
    assert mlflow.active_run() is None
    assert sorted(Path.cwd().iterdir()) == folder
    text = after.tags.pop(NOTE)
    assert text.startswith(before.tags.pop(NOTE))
    assert text.count("<!-- evalguard:begin -->") <= 1
    assert vars(after) == vars(before)


def test_a_gate_writes_nothing_to_a_run(store):
    run = store.run()
    write(store.sink(run), report())
    before = store.client.get_run(run)
    assert gate(run=run, tracking_uri=store.uri)
    after = store.client.get_run(run)
    assert (after.data.to_dictionary(), after.info.status) == (before.data.to_dictionary(), before.info.status)


@pytest.fixture
def identity():
    """A model that returns its input, and six inputs."""
    import keras

    inputs = keras.Input((1,))
    return keras.Model(inputs, keras.layers.Identity()(inputs)), np.arange(6, dtype="float32")[:, None]


def evaluations(outcome, model, x):
    """One guarded evaluation in the user's own words, with this outcome."""
    wrong = x[::-1].copy()
    if outcome == "pass":
        with evalguard.guard(labels=range(6), reference=x):
            model.predict(x, verbose=0)
    elif outcome == "fail":
        with pytest.raises(evalguard.MisalignmentError), evalguard.guard(labels=range(6), reference=x):
            model.predict(wrong, verbose=0)
    elif outcome == "repaired":
        with evalguard.guard(labels=range(6), reference=x, on_failure="repair"):
            model.predict(wrong, verbose=0)
    elif outcome == "unproven":
        with evalguard.guard(labels=range(6), on_unproven="record"):
            model.predict(((row[None],) for row in x), steps=6, verbose=0)
    else:
        with pytest.raises(RuntimeError), evalguard.guard(labels=range(6)):
            raise RuntimeError


@pytest.mark.parametrize("outcome", ["pass", "fail", "repaired", "unproven", "error"])
def test_an_active_run_is_as_the_user_left_it_whatever_the_outcome(store, identity, monkeypatch, outcome):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    run = store.run(team="mine")
    with mlflow.start_run(run_id=run):
        mlflow.log_params({"rate": 0.1, "evalguard": "the user's own"})
        mlflow.log_metric("accuracy", 0.9)
        mlflow.set_tag(NOTE, "# Mine\n")
        before, environment = store.whole(run), dict(os.environ)
        evaluations(outcome, *identity)
        after = store.whole(run)
        assert mlflow.active_run().info.run_id == run
        assert dict(os.environ) == environment
    assert after.tags.pop(NOTE).startswith(before.tags.pop(NOTE))
    assert vars(after) == vars(before)
    assert store.whole(run).status == "FINISHED"
    assert store.tags(run)["evalguard.verdict"] == outcome.upper()


def test_a_run_of_several_guards_shows_the_worst(store, identity, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    run = store.run()
    with mlflow.start_run(run_id=run):
        for outcome in ("pass", "fail", "repaired"):
            evaluations(outcome, *identity)
    tags = store.tags(run)
    slots = [tags[f"evalguard.{name}.verdict"] for name in ("evaluation", "evaluation-2", "evaluation-3")]
    assert (tags["evalguard.verdict"], slots) == ("FAIL", ["PASS", "FAIL", "REPAIRED"])


def test_a_guard_records_the_model_that_it_is_given(store, identity, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    model, x = identity
    logged = store.client.create_logged_model(store.experiment_id, name="cnn")
    target = evalguard.MlflowTarget(store.run(), model=logged.model_id)
    with evalguard.guard(labels=range(6), reference=x, mlflow=target):
        model.predict(x, verbose=0)
    assert store.client.get_logged_model(logged.model_id).tags["evalguard.verdict"] == "PASS"


def test_a_guard_in_an_active_run_leaves_the_run_active_and_open(store, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    run = store.run()
    with mlflow.start_run(run_id=run):
        with evalguard.guard(labels=range(5), on_unproven="record"):
            pass
        assert mlflow.active_run().info.run_id == run
        assert store.whole(run).status == "RUNNING"
    assert store.whole(run).status == "FINISHED"
    assert store.tags(run)["evalguard.verdict"] == "UNPROVEN"


@pytest.mark.parametrize("run", ["deleted", "never-there"])
def test_a_run_that_refuses_tags_is_a_sink_error_and_the_record_stays_in_the_spool(store, run):
    run_id = store.run()
    if run == "deleted":
        store.client.delete_run(run_id)
    sink = store.sink(run_id if run == "deleted" else "0" * 32)
    with pytest.raises(SinkError, match="did not accept the PENDING mark"):
        sink.begin("digits")
    with pytest.raises(SinkError, match=r"did not accept the verdict PASS: .*evalguard replay"):
        sink.write(report(), {})
    assert [spool.read(path).verdict for path in spool.waiting()] == ["PASS"]


def test_a_missing_store_is_not_created(tmp_path):
    sink = MlflowSink(Target(f"sqlite:///{tmp_path}/gone.db", "0" * 32))
    with pytest.raises(SinkError, match="expected an MLflow store at"):
        sink.begin("digits")
    assert not (tmp_path / "gone.db").exists()


# -- the model -----------------------------------------------------------------------


@pytest.mark.parametrize("model", ["m-0a1b", "models:/m-0a1b"])
def test_a_logged_model_is_named_by_its_id(model):
    assert model_name(model) == "m-0a1b"


@pytest.mark.parametrize("model", ["digits", "models:/digits", "models:/digits@champion", "models:/a/b/c", "m-"])
def test_a_model_that_is_no_version_is_refused(model):
    with pytest.raises(ConfigError, match="expected a logged model"):
        model_name(model)


def test_a_known_model_gets_metric_and_tags(anywhere):
    run, judged = anywhere.run(), report(FAILED)
    model = anywhere.client.create_logged_model(anywhere.experiment_id, name="cnn", source_run_id=run)
    write(anywhere.sink(run, model.model_id), judged)
    found = anywhere.client.get_logged_model(model.model_id)
    assert found.tags["evalguard.verdict"] == "FAIL"
    metrics = {item.key: item for item in found.metrics}
    assert metrics["evalguard/violations"].value == 1
    assert metrics["evalguard/violations"].dataset_digest == judged.labels["digest"]
    assert anywhere.tags(run)["evalguard.digits.model"] == model.model_id


def test_a_registered_version_stands_for_its_logged_model(anywhere, monkeypatch):
    # MLflow looks a logged model up there when a version is made of it, whatever client makes it.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", anywhere.uri)
    run, judged = anywhere.run(), report()
    model = anywhere.client.create_logged_model(anywhere.experiment_id, name="cnn", source_run_id=run)
    anywhere.client.create_registered_model("stands-for")
    source = f"models:/{model.model_id}"
    anywhere.client.create_model_version("stands-for", source, run_id=run, model_id=model.model_id)
    write(anywhere.sink(anywhere.run(), "models:/stands-for/1"), judged)
    found = anywhere.client.get_logged_model(model.model_id)
    assert found.tags["evalguard.verdict"] == "PASS"
    assert {item.key: item.value for item in found.metrics}["evalguard/violations"] == 0


def test_a_missing_model_does_not_prevent_the_verdict(store, caplog):
    run = store.run()
    write(store.sink(run, "models:/nowhere/3"), report())
    assert store.tags(run)["evalguard.verdict"] == "PASS"
    assert "the model was not written" in caplog.text


def test_the_environment_may_name_the_model(store, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    monkeypatch.setenv("MLFLOW_ACTIVE_MODEL_ID", "m-0a1b")
    assert find_run("0" * 32).model == "m-0a1b"
    assert find_run("0" * 32, "models:/digits/3").model == "models:/digits/3"


def test_a_report_that_is_replaced_has_one_slot_with_the_last_verdict(anywhere):
    run = anywhere.run()
    sink = anywhere.sink(run)
    write(sink, report())
    assert gate(run=run, tracking_uri=anywhere.uri)
    for judged, opens in ((report(FAILED), False), (report(), True), (unproven(), False)):
        sink.replace(0, judged, artifacts(judged))
        tags = anywhere.tags(run)
        assert tags["evalguard.verdict"] == tags["evalguard.digits.verdict"] == judged.verdict.value
        assert not [name for name in tags if name.startswith("evalguard.digits-2")]
        assert bool(gate(run=run, tracking_uri=anywhere.uri)) is opens
        assert anywhere.metrics(run)["evalguard/violations"] == len(judged.findings)
    assert not list(spool.waiting())


def test_one_of_two_reports_is_replaced(store):
    run = store.run()
    sink = store.sink(run)
    write(sink, report())
    sink.write(report(), artifacts(report()))
    sink.replace(0, report(FAILED), artifacts(report(FAILED)))
    tags = store.tags(run)
    assert (tags["evalguard.digits.verdict"], tags["evalguard.digits-2.verdict"]) == ("FAIL", "PASS")
    assert tags["evalguard.verdict"] == "FAIL"
    sink.replace(1, unproven(), artifacts(unproven()))
    sink.replace(0, report(), artifacts(report()))
    tags = store.tags(run)
    assert (tags["evalguard.digits.verdict"], tags["evalguard.digits-2.verdict"]) == ("PASS", "UNPROVEN")
    assert tags["evalguard.verdict"] == "UNPROVEN"
    sink.write(report(), artifacts(report()))
    assert store.tags(run)["evalguard.digits-3.verdict"] == "PASS"


def test_what_is_confirmed_after_the_block_is_in_the_run_and_decides_at_the_gate(store):
    from tests.guards.streams import X, Y, identity_model

    run = store.run()
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store.uri)
    try:
        with evalguard.guard(labels=Y, reference=X, mlflow=run, on_failure="record", name="digits") as g:
            rows = identity_model().predict(X, verbose=0)
        assert gate(run=run, tracking_uri=store.uri)
        g.confirm(rows[::-1], Y)
        assert store.tags(run)["evalguard.verdict"] == "FAIL"
        assert not gate(run=run, tracking_uri=store.uri)
        g.confirm(rows, Y)
        assert gate(run=run, tracking_uri=store.uri)
        assert g.sink_errors == []
    finally:
        mlflow.set_tracking_uri(before)
