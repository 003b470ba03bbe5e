"""Ways to hide a FAIL from the gate: tags that are edited or deleted, deleted runs, and evaluations that cover less."""

import base64
import json
import shutil
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from evalguard.errors import SinkError
from evalguard.tracking.gate.gate import gate
from evalguard.tracking.mlflow_sink import MlflowSink
from evalguard.tracking.signing import new_key, unverified
from evalguard.tracking.store import Store as GateStore
from evalguard.tracking.target import Target
from tests.tracking.gate.test_gate import version
from tests.tracking.records import FAILED, Store, now_ms, report, unproven, write

SMALL, LARGE = [0, 1, 2], [0, 1, 2, 3, 4, 5, 6]


@pytest.fixture
def store(mlflow_store, monkeypatch):
    # MLflow looks a logged model up there when a version is made of it, whatever client makes it.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    name = f"hidden-{uuid.uuid4().hex}"
    MlflowClient(tracking_uri=mlflow_store).create_experiment(name)
    return Store(mlflow_store, name)


def ask(store, **question):
    return gate(tracking_uri=store.uri, **question)


def evaluated(store, model, judged, *, run=None, alone=False, name="digits", key=None):
    """A run with one evaluation."""
    run = run or store.run()
    write(MlflowSink(Target(store.uri, run, model), 90.0, alone=alone, signing_key=key), judged, name)
    # Two evaluations in one millisecond have no order.
    time.sleep(0.002)
    return run


def another_process(monkeypatch):
    monkeypatch.setattr("evalguard.tracking.mlflow_sink._used_slots", {})


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    return new_key(tmp_path_factory.mktemp("keys") / "ci.pem")[0]


def other_value(name):
    """What somebody would write into a tag of a FAIL."""
    field = name.rpartition(".")[2]
    edits = {"verdict": "PASS", "checked_at_ms": "1000", "began_at_ms": "1", "labels": "0" * 16, "reason": ""}
    return {**edits, "model": "models:/other/1", "record": "0" * 64, "counts": "violations=0"}.get(field, "other")


# -- tags --


@pytest.mark.parametrize(
    ("alone", "signs"), [(False, False), (True, False), (True, True)], ids=["slot", "alone", "signed"]
)
@pytest.mark.parametrize("how", ["deleted", "edited"])
def test_no_tag_of_a_failure_opens_the_gate_when_it_is_changed(store, key, alone, signs, how):
    model, _ = version(store, f"hidden-{uuid.uuid4().hex[:8]}")
    trust = {"trust": f"{key}.pub"} if signs else {}
    evaluated(store, model, report(), key=key if signs else None)
    assert ask(store, model=model, **trust)
    failed = evaluated(store, model, report(FAILED), alone=alone, key=key if signs else None)
    assert not ask(store, model=model, **trust)
    tags = {name: value for name, value in store.tags(failed).items() if name.startswith("evalguard.")}
    assert len(tags) > 10
    for name, value in tags.items():
        if how == "deleted":
            store.client.delete_tag(failed, name)
        else:
            store.client.set_tag(failed, name, other_value(name))
        result = ask(store, model=model, **trust)
        assert not result, name
        assert any(failed in reason for reason in result.reasons), (name, result.reasons)
        store.client.set_tag(failed, name, value)


@pytest.mark.parametrize("signs", [False, True], ids=["plain", "signed"])
@pytest.mark.parametrize("word", ["PENDING", "ERROR"])
def test_a_failure_that_is_made_to_look_unfinished_and_older_is_not_replaced(store, key, word, signs):
    model, _ = version(store, f"unfinished-{uuid.uuid4().hex[:8]}")
    evaluated(store, model, report(), key=key if signs else None)
    failed = evaluated(store, model, report(FAILED), key=key if signs else None)
    for field, value in (("verdict", word), ("checked_at_ms", "1000"), ("began_at_ms", "1000")):
        store.client.set_tag(failed, f"evalguard.digits.{field}", value)
        store.client.set_tag(failed, f"evalguard.{field}", value)
    assert not ask(store, model=model, **({"trust": f"{key}.pub"} if signs else {}))


def test_a_run_whose_files_cannot_be_listed_closes_until_it_is_named(store, monkeypatch):
    model, _ = version(store, f"unread-{uuid.uuid4().hex[:8]}")
    evaluated(store, model, report())
    other = store.run()
    real, made_up = GateStore.folders, "made up by a test"

    def broken(self, run, path):
        if run.info.run_id == other:
            raise SinkError(made_up)
        return real(self, run, path)

    monkeypatch.setattr(GateStore, "folders", broken)
    assert ask(store, model=model).reasons == (f"run {other}: its records could not be listed: made up by a test",)
    result = ask(store, model=model, superseded=[other])
    assert result, result.reasons


def test_a_job_that_raised_and_was_made_again_closes_nothing(store, monkeypatch):
    model, _ = version(store, f"raised-{uuid.uuid4().hex[:8]}")
    run = evaluated(store, model, report(FAILED))
    another_process(monkeypatch)
    sink = store.sink(run, model)
    sink.begin("digits")
    sink.failed(RuntimeError())
    another_process(monkeypatch)
    evaluated(store, model, report(), run=run)
    result = ask(store, model=model)
    assert result, result.reasons


def test_a_failure_that_lost_all_its_tags_is_seen_by_its_record(store):
    model, _ = version(store, f"lost-{uuid.uuid4().hex[:8]}")
    evaluated(store, model, report())
    failed = evaluated(store, model, report(FAILED))
    for name in store.tags(failed):
        if name.startswith("evalguard."):
            store.client.delete_tag(failed, name)
    for question in ({"model": model}, {"run": failed}):
        assert "its tags were deleted, its record was not" in " ".join(ask(store, **question).reasons)


def test_a_failure_in_another_experiment_is_missed_by_what_the_logged_model_shows(store, mlflow_store):
    model, model_id = version(store, f"elsewhere-{uuid.uuid4().hex[:8]}")
    evaluated(store, model, report())
    name = f"elsewhere-{uuid.uuid4().hex}"
    MlflowClient(tracking_uri=mlflow_store).create_experiment(name)
    other = Store(mlflow_store, name)
    failed = evaluated(other, model, report(FAILED), alone=True)
    other.client.set_tag(failed, "evalguard.model", "")
    result = ask(store, model=model)
    assert f"which the logged model {model_id} shows as FAIL, is in no run that can be found" in result.reasons[0]


def folder(store, run):
    return Path(store.client.get_run(run).info.artifact_uri.removeprefix("file://")) / "evalguard"


def forged(store, run, name="digits", about=(), **fields):
    """An envelope that nobody signed, of the record of an evaluation with other values."""
    stated = json.loads((folder(store, run) / name / "record.json").read_text())
    stated = {**stated, "about": {**stated["about"], **dict(about)}, "fields": {**stated["fields"], **fields}}
    return json.dumps({"payload": base64.b64encode(json.dumps(stated).encode()).decode(), "signatures": []})


def test_an_envelope_that_nobody_signed_says_nothing_of_a_failure(store):
    model, _ = version(store, f"forged-{uuid.uuid4().hex[:8]}")
    failed = evaluated(store, model, report(FAILED), name="test")
    evaluated(store, model, report(), name="digits")
    store.client.set_tag(failed, "evalguard.test.envelope", forged(store, failed, "test", {"evaluation": "digits"}))
    assert f"test in run {failed}: the verdict is FAIL" in " ".join(ask(store, model=model).reasons)


@pytest.mark.parametrize("trusts", [False, True], ids=["plain", "signed"])
@pytest.mark.parametrize("how", ["other model", "unfinished"])
def test_tags_that_fit_each_other_do_not_hide_a_failure_whose_record_is_there(store, key, trusts, how):
    model, _ = version(store, f"fit-{uuid.uuid4().hex[:8]}")
    evaluated(store, model, report(), key=key)
    failed = evaluated(store, model, report(FAILED))
    if how == "other model":
        edits = {"model": "models:/other/1", "envelope": forged(store, failed, model="models:/other/1")}
    else:
        edits = {"verdict": "PENDING", "record": "pending-aaaa", "checked_at_ms": "1000"}
    for field, value in edits.items():
        store.client.set_tag(failed, f"evalguard.digits.{field}", value)
        if field != "envelope":
            store.client.set_tag(failed, f"evalguard.{field}", value)
    result = ask(store, model=model, **({"trust": f"{key}.pub"} if trusts else {}))
    assert any(failed in reason for reason in result.reasons)


@pytest.mark.parametrize("alone", [False, True], ids=["slot", "alone"])
def test_a_failure_that_names_no_model_cannot_be_given_another_one_by_tags(store, key, alone):
    own = store.run()
    model, _ = version(store, f"given-{uuid.uuid4().hex[:8]}", own)
    evaluated(store, model, report(), key=key)
    evaluated(store, "", report(FAILED), run=own, alone=alone, key=key)
    store.client.set_tag(own, "evalguard.model", "models:/other/1")
    if not alone:
        store.client.set_tag(own, "evalguard.digits.model", "models:/other/1")
    for trust in ({}, {"trust": f"{key}.pub"}):
        assert any(own in reason for reason in ask(store, model=model, **trust).reasons)


def test_a_failure_in_an_experiment_that_was_deleted_closes(store, mlflow_store):
    name = f"registered-{uuid.uuid4().hex[:8]}"
    store.client.create_registered_model(name)
    run = store.run()
    store.client.create_model_version(name, "file:///nowhere", run_id=run)
    model = f"models:/{name}/1"
    evaluated(store, model, report(), run=run)
    experiment = f"gone-{uuid.uuid4().hex}"
    MlflowClient(tracking_uri=mlflow_store).create_experiment(experiment)
    other = Store(mlflow_store, experiment)
    failed = evaluated(other, model, report(FAILED))
    store.client.delete_experiment(other.experiment_id)
    assert f"run {failed}: its run was deleted" in " ".join(ask(store, model=model).reasons)
    assert ask(store, model=model, superseded=[failed])


# -- records that are moved --


def taken_away(store, run):
    """The envelope of a run's evaluation, which is in that run no more."""
    envelope = store.tags(run)["evalguard.digits.envelope"]
    for name in [each for each in store.tags(run) if each.startswith("evalguard.")]:
        store.client.delete_tag(run, name)
    shutil.rmtree(folder(store, run))
    return envelope


def head_of(envelope):
    found = unverified(envelope)
    assert found is not None
    return found[1]


def test_the_newest_record_of_a_run_is_not_there_if_it_is_in_another_one(store, key, monkeypatch):
    run = evaluated(store, "", report(), key=key)
    before = {name: value for name, value in store.tags(run).items() if name.startswith("evalguard.")}
    another_process(monkeypatch)
    evaluated(store, "", report(FAILED), run=run, key=key)
    envelope = taken_away(store, run)
    for name, value in before.items():
        store.client.set_tag(run, name, value)
    store.run(**{"evalguard.x.envelope": envelope})
    result = ask(store, run=run, trust=f"{key}.pub", head=head_of(envelope))
    assert "is signed, and its tags do not show it" in " ".join(result.reasons)


def test_a_record_that_names_the_model_otherwise_is_not_there_if_it_was_moved(store, key):
    model, model_id = version(store, f"moved-{uuid.uuid4().hex[:8]}")
    evaluated(store, model_id, report(), key=key)
    failed = evaluated(store, model, report(FAILED), key=key)
    envelope = taken_away(store, failed)
    for name in store.client.get_logged_model(model_id).tags:
        store.client.delete_logged_model_tag(model_id, name)
    store.run(**{"evalguard.x.envelope": envelope})
    result = ask(store, model=model, trust=f"{key}.pub", head=head_of(envelope))
    assert "is signed, and its tags do not show it" in " ".join(result.reasons)


def test_what_a_record_replaces_is_taken_from_signed_records_only(store, key):
    model, _ = version(store, f"before-{uuid.uuid4().hex[:8]}")
    failed = evaluated(store, model, report(LARGE[::-1], 7), key=key)
    head = head_of(store.tags(failed)["evalguard.digits.envelope"])
    run, small = store.run(), report(SMALL, 3)
    stated = {"run_id": run, "previous": "", "replaced": {head: ""}}
    envelope = json.dumps({"payload": base64.b64encode(json.dumps(stated).encode()).decode(), "signatures": []})
    fields = {"verdict": "PASS", "labels": small.labels["digest"], "model": model, "checked_at_ms": "1000"}
    for field, value in {**fields, "envelope": envelope}.items():
        store.client.set_tag(run, f"evalguard.digits.{field}", value)
    evaluated(store, model, small, run=run, key=key)
    taken_away(store, failed)
    asked = {"trust": f"{key}.pub", "head": head, "labels_digest": small.labels["digest"]}
    assert f"the record {head} (head) is not there" in " ".join(ask(store, model=model, **asked).reasons)


# -- runs --


def test_a_failure_in_a_deleted_run_closes_until_it_is_named(store):
    model, _ = version(store, f"deleted-{uuid.uuid4().hex[:8]}")
    failed = evaluated(store, model, report(FAILED), name="test")
    evaluated(store, model, report(), name="digits")
    store.client.delete_run(failed)
    assert "its run was deleted" in " ".join(ask(store, model=model).reasons)
    result = ask(store, model=model, superseded=[failed])
    assert result, result.reasons
    assert [each.run_id for each in result.superseded] == [failed]


def test_a_pass_in_a_deleted_run_proves_nothing(store):
    model, _ = version(store, f"deleted-pass-{uuid.uuid4().hex[:8]}")
    store.client.delete_run(evaluated(store, model, report()))
    assert ask(store, model=model).verdict == "UNGUARDED"


def test_a_run_that_is_named_as_superseded_without_need_is_said(store):
    run = evaluated(store, "", report())
    result = ask(store, run=run, superseded="f" * 32)
    assert result
    assert "holds no evaluation in question" in result.notes[0]


def test_a_failure_in_a_nested_run_that_was_deleted_closes(store):
    parent = evaluated(store, "", report())
    nested = store.run(**{"mlflow.parentRunId": parent})
    evaluated(store, "", report(FAILED), run=nested)
    store.client.delete_run(nested)
    assert "its run was deleted" in " ".join(ask(store, run=parent).reasons)


# -- less than before --


def test_a_pass_on_fewer_labels_does_not_take_the_place_of_a_failure_in_its_run(store, monkeypatch):
    run = evaluated(store, "", report(FAILED))
    another_process(monkeypatch)
    evaluated(store, "", report(SMALL, 3), run=run)
    assert store.tags(run)["evalguard.verdict"] == "FAIL"
    result = ask(store, run=run)
    assert sorted(each.verdict for each in result.evaluations) == ["FAIL", "PASS"]
    # The whole set again: it replaces the FAIL, and nothing else.
    another_process(monkeypatch)
    evaluated(store, "", report(), run=run)
    result = ask(store, run=run)
    assert result, result.reasons
    assert sorted(each.n_labels for each in result.evaluations) == [3, 5]


def test_another_model_does_not_take_the_place_of_a_failure_in_its_run(store, monkeypatch):
    run = evaluated(store, "models:/one/1", report(FAILED))
    another_process(monkeypatch)
    evaluated(store, "models:/two/1", report(), run=run)
    assert sorted(each.verdict for each in ask(store, run=run).evaluations) == ["FAIL", "PASS"]


def test_an_evaluation_that_was_killed_hides_nothing_of_the_one_before(store, monkeypatch):
    run = evaluated(store, "", report(FAILED))
    another_process(monkeypatch)
    store.sink(run).begin("digits")
    assert sorted(each.verdict for each in ask(store, run=run).evaluations) == ["FAIL", "PENDING"]


def test_evaluations_on_different_labels_need_the_ones_that_count(store):
    model, _ = version(store, f"nightly-{uuid.uuid4().hex[:8]}")
    small, large = report(SMALL, 3), report(LARGE, 7)
    for judged in (small, large):
        evaluated(store, model, judged, name="nightly")
    (reason,) = ask(store, model=model).reasons
    assert "nightly was evaluated on different labels: 3 labels with digest" in reason
    for judged, other in ((small, large), (large, small)):
        result = ask(store, model=model, labels_digest=judged.labels["digest"])
        assert result, result.reasons
        assert [each.labels for each in result.aside] == [other.labels["digest"]]
    assert ask(store, model=model, labels_digest=[small.labels["digest"], large.labels["digest"]])


@pytest.mark.parametrize(("failed_on", "opens"), [(SMALL, True), (LARGE, False)])
def test_a_failure_on_other_labels_closes_if_they_are_more(store, failed_on, opens):
    model, _ = version(store, f"more-{uuid.uuid4().hex[:8]}")
    failed = evaluated(store, model, report([1, 0, *failed_on[2:]], len(failed_on)))
    judged = report()
    evaluated(store, model, judged)
    result = ask(store, model=model, labels_digest=judged.labels["digest"])
    assert result.passed is opens
    if not opens:
        assert "FAIL on more labels (7 labels with digest" in result.reasons[0]
        assert ask(store, model=model, labels_digest=judged.labels["digest"], superseded=[failed])


@pytest.mark.parametrize("word", ["unsigned", "unproven"])
def test_what_proves_nothing_does_not_replace_a_failure_on_more_labels(store, key, word):
    model, _ = version(store, f"replaced-{uuid.uuid4().hex[:8]}")
    evaluated(store, model, report(FAILED), key=key)
    small = report(SMALL, 3)
    evaluated(store, model, small, key=key)
    evaluated(store, model, report() if word == "unsigned" else unproven(), key=None if word == "unsigned" else key)
    result = ask(store, model=model, labels_digest=small.labels["digest"], trust=f"{key}.pub")
    assert "FAIL on more labels" in " ".join(result.reasons)


def test_a_run_that_does_not_count_replaces_nothing(store):
    model, _ = version(store, f"revived-{uuid.uuid4().hex[:8]}")
    failed = evaluated(store, model, report(FAILED), name="test")
    passed = evaluated(store, model, report(), name="test")
    evaluated(store, model, report(), name="digits")
    assert ask(store, model=model)
    assert f"run {failed}: the verdict is FAIL" in " ".join(ask(store, model=model, superseded=[passed]).reasons)


def test_names_that_share_a_slot_replace_each_other_in_no_other_run(store):
    model, _ = version(store, f"names-{uuid.uuid4().hex[:8]}")
    evaluated(store, model, report(FAILED), name="测试")
    evaluated(store, model, report(), name="验证")
    assert not ask(store, model=model)
    evaluated(store, model, report(), name="测试")
    assert ask(store, model=model)


def test_a_validation_set_beside_a_test_set_opens_under_two_names(store):
    model, _ = version(store, f"two-sets-{uuid.uuid4().hex[:8]}")
    evaluated(store, model, report(SMALL, 3), name="validation")
    evaluated(store, model, report(), name="test")
    assert ask(store, model=model)


def test_a_second_evaluation_of_a_name_in_one_run_does_not_hide_the_first(store):
    model, _ = version(store, f"twice-{uuid.uuid4().hex[:8]}")
    run = evaluated(store, model, report(FAILED))
    evaluated(store, model, report(), run=run)
    assert not ask(store, model=model)


def test_an_evaluation_that_names_no_model_replaces_none_that_names_one(store):
    run = store.run()
    model, _ = version(store, f"nameless-{uuid.uuid4().hex[:8]}", run)
    evaluated(store, model, report(FAILED))
    evaluated(store, "", report(), run=run)
    assert not ask(store, model=model)


def of_weights(judged, digest):
    return replace(judged, model={"name": "cnn", "weights_digest": digest})


@pytest.mark.parametrize("names", [True, False], ids=["beside-one-that-names-it", "beside-another-nameless-one"])
def test_a_pass_that_names_no_model_and_has_other_weights_is_refused(store, names):
    run = store.run()
    model, _ = version(store, f"weights-{uuid.uuid4().hex[:8]}", run)
    evaluated(store, "", of_weights(report(), "a" * 16), run=run, name="train")
    assert ask(store, model=model)
    evaluated(store, model if names else "", of_weights(report(SMALL, 3), "b" * 16), run=run, name="test")
    assert f"names no model, and other evaluations of this model were made with other weights than its {'a' * 16}" in (
        " ".join(ask(store, model=model).reasons)
    )
    evaluated(store, model, of_weights(report(), "a" * 16), name="train")
    assert ask(store, model=model).passed is names


def test_an_alias_is_resolved_and_the_number_is_named(store):
    name = f"aliased-{uuid.uuid4().hex[:8]}"
    model, _ = version(store, name)
    evaluated(store, model, report())
    store.client.set_registered_model_alias(name, "champion", "1")
    result = ask(store, model=f"models:/{name}@champion")
    assert result
    assert result.asked == f"models:/{name}/1"


def test_an_evaluation_in_the_future_replaces_nothing_that_counts(store):
    model, _ = version(store, f"future-{uuid.uuid4().hex[:8]}")
    evaluated(store, model, report(FAILED))
    evaluated(store, model, replace(report(), checked_at_ms=now_ms() + 3_600_000))
    assert "in the future" in " ".join(ask(store, model=model).reasons)
