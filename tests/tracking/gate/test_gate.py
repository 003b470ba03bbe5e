"""The gate: open for what is proven, closed for everything else, and it says why."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evalguard.core.policy import Proof, Verdict
from evalguard.errors import ConfigError, SinkError
from evalguard.reporting import artifacts
from evalguard.tracking.gate.assessment import GateResult
from evalguard.tracking.gate.gate import gate
from evalguard.tracking.record import record_digest
from tests.mlflow_stores import Proxy, free_port, hanging
from tests.tracking.records import FAILED, Store, now_ms, report, unproven, write

DAY_MS = 86_400_000


@pytest.fixture(autouse=True)
def _own_spool(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALGUARD_SPOOL", str(tmp_path / "spool"))


@pytest.fixture
def store(mlflow_store, monkeypatch):
    # MLflow looks a logged model up there when a version is made of it, whatever client makes it.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    return Store(mlflow_store)


@pytest.fixture(params=["embedded", pytest.param("server", marks=pytest.mark.slow)])
def anywhere(request):
    if request.param == "embedded":
        return request.getfixturevalue("store")
    return Store(request.getfixturevalue("mlflow_server"))


def ask(store, **question):
    return gate(tracking_uri=store.uri, **question)


def repaired():
    return replace(report(), verdict=Verdict.REPAIRED, repair={"summary": "reordered"})


def proven_by(proof):
    """A PASS as ``require=proof`` in the guard gives it."""
    return replace(report(), proof=Proof(proof))


def version(store, name, run=None):
    """A registered version of a logged model of a run: its number, and the model's id."""
    run = run or store.run()
    model = store.client.create_logged_model(store.experiment_id, name="cnn", source_run_id=run)
    if name not in {item.name for item in store.client.search_registered_models()}:
        store.client.create_registered_model(name)
    made = store.client.create_model_version(name, f"models:/{model.model_id}", run_id=run, model_id=model.model_id)
    return f"models:/{name}/{made.version}", model.model_id


# -- a run ---------------------------------------------------------------------------


def test_a_proven_run_passes(anywhere):
    run = anywhere.run()
    write(anywhere.sink(run), report())
    result = ask(anywhere, run=run)
    assert result.passed
    assert result
    assert result.reasons == ()
    assert [(item.name, item.verdict, item.proof) for item in result.evaluations] == [("digits", "PASS", "identity")]


@pytest.mark.parametrize(
    ("judged", "why"),
    [
        pytest.param(report(FAILED), "the verdict is FAIL (reordered)", id="fail"),
        pytest.param(unproven(), "the verdict is UNPROVEN", id="unproven"),
        pytest.param(repaired(), "the verdict is REPAIRED", id="repaired"),
    ],
)
def test_what_is_not_a_pass_is_refused(anywhere, judged, why):
    run = anywhere.run()
    write(anywhere.sink(run), report(), "first")
    write(anywhere.sink(run), judged, "second")
    result = ask(anywhere, run=run)
    assert not result
    assert result.reasons == (f"second in run {run}: {why}",)


@pytest.mark.parametrize(
    ("proof", "require"),
    [
        pytest.param("transport", {}, id="transport-by-default"),
        pytest.param("count", {}, id="count-by-default"),
        pytest.param("labels", {"require": "identity"}, id="labels-for-identity"),
        pytest.param("count", {"require": "transport"}, id="count-for-transport"),
        pytest.param("sample", {}, id="sample-by-default"),
        pytest.param("transport", {"require": "sample"}, id="transport-for-sample"),
    ],
)
def test_a_pass_with_a_weaker_proof_than_asked_for_is_refused(anywhere, proof, require):
    run = anywhere.run()
    write(anywhere.sink(run), proven_by(proof))
    result = ask(anywhere, run=run, **require)
    assert not result
    assert result.reasons == (f"digits in run {run}: proof {proof}, weaker than {require.get('require', 'labels')}",)
    assert result.verdict == "REFUSED"


@pytest.mark.parametrize(
    ("proof", "require"),
    [
        ("labels", "labels"),
        ("identity", "identity"),
        ("sample", "sample"),
        ("labels", "sample"),
        ("transport", "transport"),
        ("count", "count"),
        ("identity", "count"),
    ],
)
def test_a_pass_with_the_proof_asked_for_or_a_stronger_one_opens(store, proof, require):
    run = store.run()
    write(store.sink(run), proven_by(proof))
    assert ask(store, run=run, require=require)
    assert require != "labels" or ask(store, run=run)


def test_repaired_predictions_need_the_proof_as_well(store):
    run = store.run()
    write(store.sink(run), replace(repaired(), proof=Proof.LABELS))
    assert ask(store, run=run, accept=("REPAIRED",))
    assert (
        "proof labels, weaker than identity" in ask(store, run=run, accept=("REPAIRED",), require="identity").reasons[0]
    )


def test_the_proof_is_that_of_the_record_not_of_a_tag_edited_later(anywhere):
    run = anywhere.run()
    write(anywhere.sink(run), proven_by("transport"))
    for name in ("evalguard.proof", "evalguard.digits.proof"):
        anywhere.client.set_tag(run, name, "identity")
    result = ask(anywhere, run=run)
    assert not result
    assert "its tag proof says 'identity', its record 'transport'" in " ".join(result.reasons)


@pytest.mark.parametrize("edited", ["", "IDENTITY", "certain"])
def test_an_unknown_proof_is_the_weakest(store, edited):
    run = store.run()
    write(store.sink(run), report())
    store.client.set_tag(run, "evalguard.digits.proof", edited)
    told = f"proof {edited or 'missing'}, weaker than count"
    assert told in " ".join(ask(store, run=run, require="count").reasons)


def test_repaired_passes_where_it_is_accepted(store):
    run = store.run()
    write(store.sink(run), repaired())
    assert ask(store, run=run, accept=("REPAIRED",))
    write(store.sink(run), unproven(), "other")
    assert not ask(store, run=run, accept=("REPAIRED",))


def test_an_unguarded_run_is_refused(anywhere):
    run = anywhere.run()
    result = ask(anywhere, run=run)
    assert not result
    assert result.unguarded == (run,)
    assert result.verdict == "UNGUARDED"


def test_a_validation_inside_fit_alone_does_not_open_the_gate(store):
    """Epochs validated on the same samples: the report is not about any labels."""
    run = store.run()
    validated = replace(report(), method="fit", labels={**report().labels, "name": "validation of epoch 1"})
    write(store.sink(run), validated, "validation")
    result = ask(store, run=run)
    assert not result
    assert result.unguarded == (run,)
    write(store.sink(run), report())
    assert ask(store, run=run)
    write(store.sink(run), replace(validated, verdict=Verdict.FAIL), "second")
    assert f"second in run {run}: the verdict is FAIL" in ask(store, run=run).reasons[0]


def test_a_version_whose_run_holds_a_validation_only_is_refused(store):
    run = store.run()
    name, _ = version(store, "digits", run)
    validated = replace(report(), labels={**report().labels, "name": "validation of epoch 1"})
    write(store.sink(run), validated, "validation")
    result = ask(store, model=name)
    assert not result
    assert result.unguarded == (run,)
    write(store.sink(run), report())
    assert ask(store, model=name)


def test_a_pending_run_is_refused(anywhere):
    run = anywhere.run()
    anywhere.sink(run).begin("digits")
    assert f"digits in run {run}: the verdict is PENDING" in ask(anywhere, run=run).reasons


def test_a_run_whose_code_raised_is_refused(store):
    run = store.run()
    write(store.sink(run), report())
    store.sink(run).failed(RuntimeError())
    assert "the verdict is ERROR (RuntimeError)" in ask(store, run=run).reasons[0]


def test_a_deleted_run_is_refused(store):
    run = store.run()
    write(store.sink(run), report())
    store.client.delete_run(run)
    assert f"run {run} is deleted" in ask(store, run=run).reasons


# -- evidence ------------------------------------------------------------------------


def hand_set_verdict(store, run):
    store.client.set_tag(run, "evalguard.verdict", "PASS")


def hand_set_metric(store, run):
    store.client.log_metric(run, "evalguard/violations", 0)


def hand_set_everything(store, run):
    hand_set_verdict(store, run)
    hand_set_metric(store, run)
    fields = {"verdict": "PASS", "proof": "identity", "record": "0" * 64, "checked_at_ms": str(now_ms())}
    for name, value in fields.items():
        store.client.set_tag(run, f"evalguard.digits.{name}", value)


@pytest.mark.parametrize("forge", [hand_set_verdict, hand_set_metric, hand_set_everything])
def test_tags_and_metrics_without_a_record_prove_nothing(anywhere, forge):
    run = anywhere.run()
    forge(anywhere, run)
    assert not ask(anywhere, run=run)


def fail_to_pass(store, run):
    for name in ("evalguard.verdict", "evalguard.digits.verdict"):
        store.client.set_tag(run, name, "PASS")
    hand_set_metric(store, run)


@pytest.mark.slow
@pytest.mark.parametrize(
    "field", ["verdict", "proof", "labels", "model", "record", "checked_at_ms", "counts", "reason"]
)
def test_a_tag_edited_after_the_record_was_written_is_refused(store, field):
    run = store.run()
    write(store.sink(run), report())
    value = {"verdict": "REPAIRED", "checked_at_ms": str(now_ms())}.get(field, "models:/digits/3")
    store.client.set_tag(run, f"evalguard.digits.{field}", value)
    result = ask(store, run=run, accept=("REPAIRED",))
    assert not result
    assert any(word in " ".join(result.reasons) for word in ("its tag", "the digest in its tag", "in the future"))


def test_a_failure_edited_to_a_pass_is_refused(anywhere):
    run = anywhere.run()
    write(anywhere.sink(run), report(FAILED))
    fail_to_pass(anywhere, run)
    result = ask(anywhere, run=run)
    assert not result
    assert "its tag verdict says 'PASS', its record 'FAIL'" in " ".join(result.reasons)


def test_a_reviewer_who_marks_the_run_bad_is_heard(store):
    run = store.run()
    write(store.sink(run), report())
    store.client.set_tag(run, "evalguard.verdict", "FAIL")
    assert "do not follow from its evaluations" in ask(store, run=run).reasons[0]


def put_file(store, run, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    store.client.log_artifact(run, str(tmp_path / name), "evalguard/digits")


def test_a_report_exchanged_afterwards_is_refused(anywhere, tmp_path):
    run = anywhere.run()
    write(anywhere.sink(run), report())
    put_file(anywhere, run, tmp_path, "report.json", report().to_json().replace("identity", "labels").encode())
    assert "report.json is not the report that was recorded" in " ".join(ask(anywhere, run=run).reasons)


def test_report_record_and_digest_exchanged_for_those_of_a_pass_do_not_agree_with_the_run(store, tmp_path):
    good, bad = store.run(), store.run()
    write(store.sink(good), report())
    write(store.sink(bad), report(FAILED))
    for name in ("report.json", "record.json"):
        path = store.client.download_artifacts(good, f"evalguard/digits/{name}", tmp_path)
        store.client.log_artifact(bad, path, "evalguard/digits")
    for name, value in store.tags(good).items():
        if name.startswith("evalguard."):
            store.client.set_tag(bad, name, value)
    assert f"its record belongs to digits in run {good}" in " ".join(ask(store, run=bad).reasons)


def test_a_record_whose_report_says_otherwise_is_refused(store, tmp_path):
    run = store.run()
    write(store.sink(run), report())
    wrong = report(FAILED).to_json().encode()
    path = Path(store.client.download_artifacts(run, "evalguard/digits/record.json", tmp_path))
    record = json.loads(path.read_text())
    record["files"]["report.json"] = record_digest(wrong)
    content = json.dumps(record).encode()
    put_file(store, run, tmp_path, "report.json", wrong)
    put_file(store, run, tmp_path, "record.json", content)
    for name in ("evalguard.record", "evalguard.digits.record"):
        store.client.set_tag(run, name, record_digest(content))
    assert "its tag verdict says 'PASS', its report 'FAIL'" in " ".join(ask(store, run=run).reasons)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b"\xff"])
def test_a_file_that_is_not_a_record_is_refused_without_an_error(store, tmp_path, content):
    run = store.run()
    write(store.sink(run), report())
    put_file(store, run, tmp_path, "record.json", content)
    for name in ("evalguard.record", "evalguard.digits.record"):
        store.client.set_tag(run, name, record_digest(content))
    assert "not a record that this version of evalguard can read" in " ".join(ask(store, run=run).reasons)


def test_a_verdict_whose_files_did_not_arrive_is_refused_with_the_command_that_sends_them(store):
    run = store.run()
    store.sink(run).write(report(), {})
    assert "`evalguard replay`" in ask(store, run=run).reasons[0]


# -- what is asked for ----------------------------------------------------------------


def test_the_labels_that_count_each_need_an_evaluation(anywhere):
    run, judged = anywhere.run(), report()
    write(anywhere.sink(run), judged)
    digest = judged.labels["digest"]
    assert ask(anywhere, run=run, labels_digest=digest)
    for asked in ("f" * 16, ["f" * 16, digest]):
        result = ask(anywhere, run=run, labels_digest=asked)
        assert f"no evaluation on labels {'f' * 16}" in result.reasons[0]
    assert f"5 labels with digest {digest}" in ask(anywhere, run=run, labels_digest="f" * 16).reasons[0]


@pytest.mark.parametrize(("max_age", "opens"), [("1d", False), ("72h", True), (3600, False), (timedelta(days=3), True)])
def test_a_verdict_older_than_allowed_is_refused(store, max_age, opens):
    run, sink = store.run(), None
    sink = store.sink(run)
    sink._began_at_ms, sink._slot, sink._token = 1, "digits", "pending-x"  # noqa: SLF001 - one that began long ago
    judged = report(at=now_ms() - 2 * DAY_MS)
    sink.write(judged, artifacts(judged))
    result = ask(store, run=run, max_age=max_age)
    assert result.passed is opens
    assert opens or "judged 2.0 days ago" in result.reasons[0]


def test_a_verdict_from_the_future_has_no_known_age(store):
    run = store.run()
    write(store.sink(run), report(at=now_ms() + DAY_MS))
    assert "in the future" in ask(store, run=run).reasons[0]


# -- a model ----------------------------------------------------------------------------


def test_a_version_passes_by_an_evaluation_that_names_it_wherever_it_ran(anywhere):
    name, _ = version(anywhere, "by-name")
    run = anywhere.run()
    write(anywhere.sink(run, name), report())
    result = ask(anywhere, model=name)
    assert result.passed, result.reasons
    assert [item.run_id for item in result.evaluations] == [run]
    other, other_id = version(anywhere, "by-id")
    write(anywhere.sink(anywhere.run(), other_id), report())
    assert ask(anywhere, model=other)


def test_a_version_passes_by_the_evaluation_in_the_run_that_logged_it(anywhere):
    run = anywhere.run()
    write(anywhere.sink(run), report())
    name, _ = version(anywhere, "own-run", run)
    assert ask(anywhere, model=name)


def test_a_verdict_for_another_version_is_refused(anywhere):
    first, _ = version(anywhere, "two-versions")
    second, _ = version(anywhere, "two-versions")
    write(anywhere.sink(anywhere.run(), first), report())
    assert ask(anywhere, model=first)
    result = ask(anywhere, model=second)
    assert not result
    assert result.verdict == "UNGUARDED"


def test_versions_whose_numbers_begin_with_the_same_digit_are_distinguished(store):
    names = [version(store, "many")[0] for _ in range(10)]
    write(store.sink(store.run(), names[9]), report())
    assert names[9].startswith(names[0])
    assert ask(store, model=names[9])
    assert not ask(store, model=names[0])


def test_a_copy_of_a_version_passes_by_the_evaluation_of_its_original(anywhere):
    original, _ = version(anywhere, "original")
    copy = anywhere.client.copy_model_version(original, "copy-of-it")
    asked = f"models:/copy-of-it/{copy.version}"
    assert not ask(anywhere, model=asked)
    write(anywhere.sink(anywhere.run(), original), report())
    result = ask(anywhere, model=asked)
    assert result.passed, result.reasons
    registered, number = original.removeprefix("models:/").split("/")
    anywhere.client.delete_model_version(registered, number)
    # Its source still names the original, whose number is not given again.
    assert ask(anywhere, model=asked)
    failed = anywhere.run()
    write(anywhere.sink(failed, original), report(FAILED))
    assert f"run {failed}: the verdict is FAIL" in " ".join(ask(anywhere, model=asked).reasons)


def test_a_run_that_logged_two_models_must_say_which_one_it_judged(store):
    run = store.run()
    write(store.sink(run), report())
    first, _ = version(store, "first-of-two", run)
    assert ask(store, model=first)
    second, second_id = version(store, "second-of-two", run)
    for name in (first, second):
        assert "names none of them" in " ".join(ask(store, model=name).reasons)
    named = store.run()
    write(store.sink(named, second_id), report())
    third, _ = version(store, "of-a-named-run", named)
    assert not ask(store, model=third), "its run judged another model"


def test_the_latest_evaluation_of_a_name_on_the_same_labels_counts(store):
    name, model_id = version(store, "again")
    write(store.sink(store.run(), name), report(FAILED))
    assert not ask(store, model=name)
    time.sleep(0.002)
    write(store.sink(store.run(), model_id), report())
    result = ask(store, model=name)
    assert result.passed, result.reasons
    assert [item.verdict for item in result.superseded] == ["FAIL"]
    time.sleep(0.002)
    write(store.sink(store.run(), name), report(FAILED))
    assert not ask(store, model=name)


def test_a_failure_on_other_labels_is_not_replaced_by_a_pass(store):
    name, _ = version(store, "other-labels")
    write(store.sink(store.run(), name), report([1, 0, 2], 3))
    write(store.sink(store.run(), name), report())
    assert not ask(store, model=name)


def test_the_version_is_tagged_on_request_and_no_alias_moves(anywhere):
    name, _ = version(anywhere, "tagged")
    registered, number = name.removeprefix("models:/").split("/")

    def tags():
        return anywhere.client.get_model_version(registered, number).tags

    ask(anywhere, model=name)
    assert tags() == {}
    ask(anywhere, model=name, tag_version=True)
    assert tags()["evalguard.verdict"] == "UNGUARDED"
    assert "no guarded evaluation" in tags()["evalguard.reason"]
    run = anywhere.run()
    write(anywhere.sink(run, name), report())
    ask(anywhere, model=name, tag_version=True)
    assert tags()["evalguard.verdict"] == "PASS"
    assert tags()["evalguard.runs"] == run
    assert "evalguard.reason" not in tags(), "why it was closed before does not stay"
    anywhere.client.set_tag(run, "evalguard.digits.record", "0" * 64)
    ask(anywhere, model=name, tag_version=True)
    assert tags()["evalguard.verdict"] == "REFUSED"
    assert anywhere.client.get_model_version(registered, number).aliases == []


# -- an experiment ------------------------------------------------------------------------


@pytest.fixture
def experiment(store, tmp_path):
    name = f"gate-{tmp_path.name}-{time.time_ns()}"
    store.experiment_id = store.client.create_experiment(name, artifact_location=str(tmp_path / "files"))
    return name


def test_an_experiment_passes_if_every_run_is_proven(store, experiment):
    assert "has no run" in ask(store, experiment=experiment).reasons[0]
    for _ in range(2):
        write(store.sink(store.run()), report())
    assert len(ask(store, experiment=experiment).evaluations) == 2
    assert ask(store, experiment=experiment)
    unguarded = store.run()
    assert ask(store, experiment=experiment).unguarded == (unguarded,)
    assert not ask(store, experiment=experiment)


@pytest.mark.parametrize("since", ["1d", timedelta(days=1), 86400, "date", "datetime"])
def test_runs_before_a_moment_are_not_in_question(store, experiment, since):
    store.client.create_run(store.experiment_id, start_time=now_ms() - 3 * DAY_MS)
    write(store.sink(store.run()), report())
    assert not ask(store, experiment=experiment)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    moment = {"date": yesterday.date().isoformat(), "datetime": yesterday}.get(str(since), since)
    result = ask(store, experiment=experiment, since=moment)
    assert result.passed, result.reasons


def test_nested_runs_answer_for_their_parent_and_a_guarded_parent_for_them(store, experiment):
    parent = store.run()
    children = [store.run(**{"mlflow.parentRunId": parent}) for _ in range(2)]
    write(store.sink(children[0]), report())
    assert ask(store, run=parent).unguarded == (children[1],)
    assert ask(store, experiment=experiment).unguarded == (children[1],)
    write(store.sink(children[1]), report())
    assert ask(store, run=parent)
    assert ask(store, experiment=experiment)
    tuned = store.run()
    write(store.sink(tuned), report())
    trial = store.run(**{"mlflow.parentRunId": tuned})
    assert ask(store, run=tuned), "trials below a guarded run need no separate guard"
    write(store.sink(trial), report(FAILED))
    assert not ask(store, run=tuned)


def test_runs_that_are_each_others_parents_end_the_search(store, experiment):
    first = store.run()
    second = store.run(**{"mlflow.parentRunId": first})
    store.client.set_tag(first, "mlflow.parentRunId", second)
    assert not ask(store, run=first)


# -- wrong questions, and no answer ----------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({}, "expected one of model, run, experiment and attestation; found none"),
        ({"run": "a", "model": "models:/a/1"}, "found model and run"),
        ({"run": "a", "since": "1d"}, "`since` with `experiment` only"),
        ({"run": "a", "tag_version": True}, "`tag_version` with `model` only"),
        ({"run": "a", "accept": ("UNPROVEN",)}, "expected PASS or REPAIRED; found 'UNPROVEN'"),
        ({"run": "a", "require": "label"}, "require: expected one of identity, labels, .*'labels'"),
        ({"run": "a", "max_age": "soon"}, "max_age: expected a number and one of s, m, h, d, w"),
        ({"experiment": "evaluations", "since": "yesterday"}, "since: expected a number"),
        ({"model": "digits"}, "expected models:/NAME/VERSION"),
        ({"model": "models:/digits@nobody"}, "expected models:/digits@nobody at sqlite"),
        ({"model": "models:/nowhere/1"}, "expected models:/nowhere/1 at sqlite"),
        ({"run": "f" * 32}, "expected run ffff"),
        ({"experiment": "nowhere"}, "expected an experiment named 'nowhere'"),
    ],
)
def test_a_question_that_cannot_be_asked_says_what_is_expected(store, question, message):
    with pytest.raises(ConfigError, match=message):
        ask(store, **question)


def test_a_missing_store_is_an_error_and_is_not_created(tmp_path):
    with pytest.raises(SinkError, match="expected an MLflow store at"):
        gate(run="a", tracking_uri=f"sqlite:///{tmp_path}/gone.db")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["refused", "hanging"])
def test_a_server_that_does_not_answer_is_reported_within_the_deadline(kind):
    with hanging() as hung:
        uri = hung if kind == "hanging" else f"http://127.0.0.1:{free_port()}"
        start = time.monotonic()
        with pytest.raises(SinkError, match=r"did not answer within 0.5 s"):
            gate(run="a" * 32, tracking_uri=uri, timeout_s=0.5)
        assert time.monotonic() - start < 3


@pytest.mark.slow
@pytest.mark.parametrize("fault", [500, "hang"])
def test_a_broken_artifact_store_closes_the_gate_within_the_deadline(mlflow_server, fault):
    real = Store(mlflow_server)
    run = real.run()
    write(real.sink(run), report())
    with Proxy(mlflow_server) as proxy:
        proxy.fault = lambda method, path: fault if "/mlflow-artifacts/" in path else None
        start = time.monotonic()
        result = gate(run=run, tracking_uri=proxy.uri, timeout_s=1)
        assert time.monotonic() - start < 5
    assert "its records could not be listed" in result.reasons[0]


def test_the_result_is_available_as_json(store):
    run = store.run()
    write(store.sink(run), report(FAILED))
    told = json.loads(ask(store, run=run).to_json())
    assert (told["passed"], told["verdict"], told["evaluations"][0]["verdict"]) == (False, "FAIL", "FAIL")


def test_a_closed_gate_is_not_true():
    assert not GateResult("x", passed=False)
    assert GateResult("x", passed=True)
