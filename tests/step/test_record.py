"""The record of a step: `--dry-run` asks whether there could be one, and a server that is down gets it later."""

import shutil
import time

import pytest

from evalguard.tracking import spool
from evalguard.tracking.gate.gate import gate
from evalguard.tracking.signing import new_key
from tests.mlflow_stores import Proxy, free_port
from tests.step import digits
from tests.tracking.records import Store

STEP = """\
version: 1
name: digits
model: {path: model.keras}
data: {call: 'loading:digits'}
labels: {path: labels.npy}
outputs: {directory: out}
mlflow: {required: true, experiment: evaluations}
"""
OPTIONAL = ("--set", "mlflow.required=false")
PAGE = "<html><body>Sign in</body></html>"


@pytest.fixture
def folder(forms, tmp_path):
    copy = digits.copied(forms, tmp_path / "digits")
    (copy / "step.yaml").write_text(STEP)
    return copy


@pytest.fixture
def own_store(tmp_path, mlflow_template):
    """The store of MLFLOW_TRACKING_URI, which is there already."""
    shutil.copy(mlflow_template, tmp_path / "mlflow.db")
    return Store(f"sqlite:///{tmp_path}/mlflow.db", "Default")


def everything(store):
    experiments = store.client.search_experiments()
    return {each.name for each in experiments}, store.client.search_runs([each.experiment_id for each in experiments])


# -- A dry run --


def test_a_dry_run_writes_nothing_to_a_server_that_could_record(folder, command, own_store):
    done = command("run", folder / "step.yaml", "--dry-run")
    assert done.exit_code == 0, done.output
    assert "  record   a new run of experiment evaluations at sqlite:///" in done.output
    assert "  server   answers; nothing was written to it\n" in done.output
    assert everything(own_store) == ({"Default"}, [])


def test_a_dry_run_does_not_create_a_store(folder, command, tmp_path):
    done = command("run", folder / "step.yaml", "--dry-run")
    assert done.exit_code == 0, done.output
    assert "  server   does not exist yet; the first run creates it\n" in done.output
    assert not list(tmp_path.glob("*.db"))
    assert not (tmp_path / "mlruns").exists()


WRONG = {
    "refused": (None, r"no connection (Connection refused); start the server, or correct MLFLOW_TRACKING_URI"),
    "401": (401, "it refuses the login (status 401); set or correct MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_P"),
    "page": ((200, PAGE), "another service answers at that address (an HTML page, status 200); check MLFLOW_TRACK"),
    "bad-gateway": ((502, PAGE), "a proxy before MLflow, or another service, answers at that address (an HTML page"),
    "hangs": ("hang", "no answer within 2.5 s"),
}


@pytest.mark.parametrize(("fault", "found"), WRONG.values(), ids=WRONG)
def test_a_dry_run_exits_with_4_where_a_required_record_is_impossible(folder, command, monkeypatch, fault, found):
    with Proxy("http://127.0.0.1:9") as proxy:
        proxy.fault = lambda method, path: fault
        uri = f"http://127.0.0.1:{free_port()}" if fault is None else proxy.uri
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        start = time.monotonic()
        done = command("run", folder / "step.yaml", "--dry-run")
        assert time.monotonic() - start < 10
        assert done.exit_code == 4, done.output
        expected = "evalguard: digits: mlflow.required: expected a server that could record the verdict, found: "
        assert f"{expected}MLflow at {uri} could not record a verdict: {found}" in done.stderr
        done = command("run", folder / "step.yaml", "--dry-run", *OPTIONAL)
    assert done.exit_code == 0, done.output
    assert f"  server   MLflow at {uri} could not record a verdict: {found}" in done.stdout
    assert "; the verdict would stay in the spool, for `evalguard replay`" in done.stdout


def test_a_dry_run_looks_for_the_run_and_the_experiment(folder, command, own_store, monkeypatch):
    run, gone = own_store.run(), own_store.run()
    own_store.client.delete_run(gone)
    own_store.client.delete_experiment(own_store.client.create_experiment("old"))

    def found(option, code):
        done = command("run", folder / "step.yaml", "--dry-run", "--set", option)
        assert done.exit_code == code, done.output
        return done.output

    assert f"run {run} at sqlite" in found(f"mlflow.run_id={run}", 0)
    assert f"expected an active run {gone}, found that it was deleted; restore it" in found(f"mlflow.run_id={gone}", 4)
    missing = found(f"mlflow.run_id={'a' * 32}", 4)
    assert f"expected an existing run {'a' * 32}, found none there; check its id" in missing
    assert "expected an active experiment 'old', found that it was deleted" in found("mlflow.experiment=old", 4)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "77")
    assert "expected an existing experiment with id 77, found none there" in found("mlflow.experiment=null", 4)


def test_a_dry_run_names_a_signing_key_that_cannot_be_read(folder, command, own_store):
    done = command("run", folder / "step.yaml", "--dry-run", "--set", "mlflow.signing_key=gone.pem")
    assert done.exit_code == 2
    assert "signing key: expected an ed25519 private key" in done.output


def test_without_a_record_nothing_is_asked(folder, command, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    done = command("run", folder / "step.yaml", "--dry-run", *OPTIONAL, "--set", "mlflow.enabled=false")
    assert done.exit_code == 0, done.output
    assert "  server   " not in done.output


# -- A server that is down from the start --


@pytest.mark.slow
def test_a_step_whose_server_was_down_has_its_run_after_replay(folder, command, monkeypatch, mlflow_server, tmp_path):
    real = Store(mlflow_server)
    key, _, _ = new_key(tmp_path / "ci.pem")
    monkeypatch.setenv("EVALGUARD_SIGNING_KEY", str(key))
    with Proxy(mlflow_server) as proxy:
        proxy.fault = lambda method, path: (502, PAGE)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.uri)
        start = time.monotonic()
        done = command("run", folder / "step.yaml")
        assert time.monotonic() - start < 10 + 15, "the deadline once, and the evaluation"
        assert done.exit_code == 4, done.output
        assert "digits: PASS" in done.stdout
        assert "did not accept the verdict PASS within 10 s: a proxy before MLflow, or another service" in done.stderr
        assert "`evalguard replay` creates its run and sends it" in done.stderr
        (path,) = spool.waiting()
        nonce = spool.read(path).new_run.nonce
        proxy.fault = lambda method, path: None
        # The process of the step is this one: its thread still repeats the first request, and may create the run.
        done = command("replay")
        assert done.exit_code == 0, done.output
        assert done.stdout.endswith(
            "1 sent\nspool " + f"{tmp_path}/spool: 0 waiting, 0 refused by their server, 0 not readable as records\n"
        )
    (run,) = real.client.search_runs([real.experiment_id], filter_string=f"tags.`evalguard.nonce` = '{nonce}'")
    assert (run.info.run_name, run.info.status) == ("digits: PASS", "FINISHED")
    result = gate(run=run.info.run_id, tracking_uri=real.uri, trust=f"{key}.pub")
    assert result, result.reasons


def test_a_step_without_required_says_where_its_verdict_is_kept(folder, command, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    done = command("run", folder / "step.yaml", *OPTIONAL)
    assert done.exit_code == 0, done.output
    assert "no connection (Connection refused)" in done.stderr
    assert "`evalguard replay` creates its run and sends it." in done.stderr
    (path,) = spool.waiting()
    assert spool.read(path).new_run.status == "FINISHED"
    assert "mlflow " not in done.stdout, "no place of a run that does not exist"
