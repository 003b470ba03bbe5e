"""``evalguard check`` records in MLflow where the environment or an option says so, and nowhere else."""

import json
import shutil

import pytest

from evalguard.tracking import spool
from evalguard.tracking.gate.gate import gate
from evalguard.tracking.signing import new_key
from tests.mlflow_stores import Proxy, free_port
from tests.tracking.records import Store

NAME = "predictions_csv"


@pytest.fixture
def tables(tmp_path):
    (tmp_path / "labels.csv").write_text("id,label\n" + "".join(f"k{row},{row % 2}\n" for row in range(5)))
    rows = "".join(f"k{row},{row / 5}\n" for row in range(5))
    (tmp_path / "predictions.csv").write_text("id,score\n" + rows)
    (tmp_path / "wrong.csv").write_text("id,score\nk1,0\nk0,0\nk2,0\nk3,0\nk4,0\n")
    return ("check", tmp_path / "predictions.csv", tmp_path / "labels.csv", "--key", "id")


@pytest.fixture
def own_store(tmp_path, mlflow_template, command):
    shutil.copy(mlflow_template, tmp_path / "mlflow.db")
    return Store(f"sqlite:///{tmp_path}/mlflow.db", "Default")


def runs(store):
    return store.client.search_runs([each.experiment_id for each in store.client.search_experiments()])


# -- Where --


def test_a_server_alone_asks_for_no_run(tables, command, tmp_path):
    assert command(*tables).exit_code == 0
    assert not (tmp_path / "mlflow.db").exists(), "not even the store is opened"
    assert not list(spool.waiting())


def test_the_run_of_the_environment_gets_the_verdict_and_stays_open(tables, command, own_store, monkeypatch):
    run = own_store.run()
    monkeypatch.setenv("MLFLOW_RUN_ID", run)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "not for a run that exists")
    done = command(*tables)
    assert done.exit_code == 0, done.output
    assert f"run {run}: mlflow ui" in done.stdout
    assert own_store.tags(run)[f"evalguard.{NAME}.verdict"] == "PASS"
    assert own_store.whole(run).status == "RUNNING"
    assert len(runs(own_store)) == 1
    assert gate(run=run, tracking_uri=own_store.uri, require="declared")
    assert not gate(run=run, tracking_uri=own_store.uri), "a key beside finished predictions is declared"


@pytest.mark.parametrize("how", ["name", "id", "option", "option-beside-a-run"])
def test_an_experiment_gets_a_new_run_that_has_ended(tables, command, own_store, monkeypatch, how):
    options: tuple[str, ...] = ()
    if how == "name":
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "nightly")
    elif how == "id":
        monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", own_store.client.create_experiment("nightly"))
    else:
        options = ("--mlflow-experiment", "nightly")
    if how == "option-beside-a-run":
        monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    check, predictions, *rest = tables
    done = command(check, predictions, *rest, *options)
    assert done.exit_code == 0, done.output
    done = command(check, predictions.with_name("wrong.csv"), *rest, *options)
    assert done.exit_code == 1, done.output
    failed, passed = runs(own_store)
    assert (passed.info.run_name, passed.info.status) == ("predictions.csv: PASS", "FINISHED")
    assert (failed.info.run_name, failed.info.status) == ("wrong.csv: FAIL", "FAILED")
    assert own_store.client.get_experiment_by_name("nightly").experiment_id == failed.info.experiment_id
    assert passed.data.tags["evalguard.evaluation"] == NAME


def test_a_run_that_is_named_wins_over_that_of_the_environment(tables, command, own_store, monkeypatch):
    named, other = own_store.run(), own_store.run()
    monkeypatch.setenv("MLFLOW_RUN_ID", other)
    assert command(*tables, "--mlflow", named).exit_code == 0
    assert "evalguard.verdict" in own_store.tags(named)
    assert "evalguard.verdict" not in own_store.tags(other)


def test_none_records_nothing(tables, command, own_store, monkeypatch):
    run = own_store.run()
    monkeypatch.setenv("MLFLOW_RUN_ID", run)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "nightly")
    assert command(*tables, "--mlflow", "none").exit_code == 0
    assert "evalguard.verdict" not in own_store.tags(run)
    assert len(runs(own_store)) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--mlflow", "0" * 32, "--mlflow-experiment", "x"), "--mlflow-experiment: expected `--mlflow auto` beside it"),
        (("--mlflow", "none", "--mlflow-experiment", "x"), "for a new run; found `--mlflow none`"),
        (("--mlflow", ""), "--mlflow: expected auto, none or a run id, found an empty text; is a variable not set?"),
        (("--mlflow-experiment", ""), "--mlflow-experiment: expected a name, found an empty text"),
    ],
)
def test_options_that_say_nothing_or_two_things(tables, command, own_store, options, message):
    done = command(*tables, *options)
    assert done.exit_code == 2
    assert message in done.stderr
    assert runs(own_store) == []


def test_help_says_what_the_environment_decides(command):
    text = " ".join(command("check", "--help").output.split())
    assert "--mlflow [auto|RUN_ID|none]" in text
    assert "the run of MLFLOW_RUN_ID, or else a new run in the experiment of MLFLOW_EXPERIMENT_NAME or" in text
    assert "MLFLOW_TRACKING_URI names the server, and alone asks for no run" in text
    assert "signed with EVALGUARD_SIGNING_KEY" in text


# -- What --


def test_input_that_cannot_be_read_makes_no_run_and_marks_none(tables, command, own_store, monkeypatch):
    run = own_store.run()
    before = own_store.tags(run)
    assert command(*tables[:-1], "typo", "--mlflow", run).exit_code == 2
    assert command(*tables[:-1], "typo", "--mlflow-experiment", "nightly").exit_code == 2
    assert own_store.tags(run) == before
    assert len(runs(own_store)) == 1


def test_the_record_is_signed_and_its_digest_is_printed(tables, command, own_store, monkeypatch, tmp_path):
    key, _, _ = new_key(tmp_path / "ci.pem")
    monkeypatch.setenv("EVALGUARD_SIGNING_KEY", str(key))
    done = command(*tables, "--mlflow-experiment", "nightly", "--output", tmp_path / "out")
    assert done.exit_code == 0, done.output
    (line,) = (line for line in done.stdout.splitlines() if "for evalguard gate --head" in line)
    (run,) = runs(own_store)
    question = {"run": run.info.run_id, "tracking_uri": own_store.uri, "require": "declared", "trust": f"{key}.pub"}
    result = gate(**question, head=line.split()[1])
    assert result, result.reasons
    assert own_store.files(run.info.run_id, NAME) >= {"report.json", "report.html", "record.json", "envelope.json"}
    assert (tmp_path / "out" / "report.html").is_file()


def test_a_key_that_cannot_be_read_is_named_before_anything_is_judged(tables, command, own_store, monkeypatch):
    monkeypatch.setenv("EVALGUARD_SIGNING_KEY", "gone.pem")
    assert command(*tables).exit_code == 0, "nothing is recorded, so nothing is signed"
    done = command(*tables, "--mlflow-experiment", "nightly")
    assert done.exit_code == 2
    assert "expected an ed25519 private key" in done.stderr
    assert runs(own_store) == []


@pytest.mark.slow
def test_json_on_standard_output_is_json_alone(tables, command, mlflow_server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    monkeypatch.delenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", raising=False)
    done = command(*tables, "--mlflow-experiment", "checks", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["verdict"] == "PASS"


# -- A server that does not answer --


@pytest.mark.parametrize(("asked", "code"), [("environment", 0), ("option", 4)])
def test_a_verdict_that_does_not_arrive_is_kept_and_named(tables, command, monkeypatch, asked, code):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    if asked == "environment":
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "nightly")
    done = command(*tables, *(("--mlflow-experiment", "nightly") if asked == "option" else ()))
    assert done.exit_code == code, done.output
    assert "PASS" in done.stdout
    assert "`evalguard replay` creates its run and sends it." in done.stderr
    (path,) = spool.waiting()
    assert spool.read(path).new_run.experiment == "nightly"


def test_refused_credentials_for_an_existing_run_are_named(tables, command, monkeypatch):
    with Proxy("http://127.0.0.1:9") as proxy:
        proxy.fault = lambda method, path: 401
        monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.uri)
        done = command(*tables, "--mlflow", "0" * 32)
    assert done.exit_code == 4, done.output
    assert "it refuses the login (status 401); set or correct MLFLOW_TRACKING_USERNAME" in done.stderr
    assert len(list(spool.waiting())) == 1


def test_a_folder_that_cannot_be_written_does_not_keep_the_verdict_from_mlflow(tables, command, own_store, tmp_path):
    (tmp_path / "file").write_text("")
    done = command(*tables, "--mlflow-experiment", "nightly", "--output", tmp_path / "file" / "out")
    assert done.exit_code == 4, done.output
    (run,) = runs(own_store)
    assert run.data.tags["evalguard.verdict"] == "PASS"
