"""A run that is stopped leaves nothing half-written and no record that looks like a verdict."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest

import evalguard.reporting.file_sink
import evalguard.step.outputs
from tests.step import digits

ROOT = Path(__file__).parents[2]
STEP = """\
version: 1
name: stopped
model: {path: model.keras}
data: {call: loading:DATA}
labels: {path: labels.npy}
outputs: {directory: out}
mlflow: {experiment: stopped}
"""


@pytest.fixture
def folder(forms, tmp_path, mlflow_template):
    copy = digits.copied(forms, tmp_path / "digits")
    shutil.copy(mlflow_template, copy / "mlflow.db")
    (copy / "out").mkdir()
    (copy / "out" / "report.json").write_text("{}")  # of an earlier run
    return copy


def the_run(folder):
    """The one run of the experiment."""
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("stopped")
    (run,) = client.search_runs([experiment.experiment_id])
    return run


def started(folder, *before, data="slow, args: {seconds: 20}", more=()):
    """The command itself, in a separate process."""
    (folder / "step.yaml").write_text(STEP.replace("DATA}", f"{data}}}"))
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "EVALGUARD_SPOOL": str(folder / "spool"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
    }
    command = [*before, sys.executable, "-m", "evalguard", "run", "step.yaml", "--progress", "plain", *more]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_attended,
    )


def _attended():
    """A shell that runs these tests in the background makes them, and their child processes, ignore signals."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def until(happened, process):
    deadline = time.monotonic() + 120
    while not happened():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_while_predicting_leaves_an_error_and_no_output(folder, number):
    # A loader that does not end is not waited for.
    process = started(folder, data="slow, args: {seconds: 600}")
    until((folder / "predicting").exists, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 3, err
    assert "no verdict" in err
    assert "Traceback" not in err
    assert out == ""
    assert list((folder / "out").iterdir()) == [], "neither an earlier report nor a part of this one's"
    run = the_run(folder)
    assert run.data.tags["evalguard.verdict"] == "ERROR"
    assert run.info.status == "KILLED"
    assert not list((folder / "spool").glob("*.json"))


@pytest.mark.slow
def test_a_killed_run_stays_pending_without_output(folder):
    process = started(folder)
    until((folder / "predicting").exists, process)
    until(lambda: the_run(folder).data.tags.get("evalguard.verdict"), process)
    process.kill()
    process.communicate(timeout=120)
    assert list((folder / "out").iterdir()) == []
    run = the_run(folder)
    assert run.data.tags["evalguard.verdict"] == "PENDING"
    closed = evalguard.gate(run=run.info.run_id, tracking_uri=f"sqlite:///{folder}/mlflow.db")
    assert not closed


@pytest.mark.slow
def test_under_nohup_a_hang_up_is_ignored(folder):
    process = started(folder, "nohup", data="slow, args: {seconds: 1}")
    until((folder / "predicting").exists, process)
    process.send_signal(signal.SIGHUP)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "stopped: PASS" in out


@pytest.mark.slow
def test_a_file_size_limit_costs_the_reports_but_not_the_verdict(folder):
    """A limit of the system itself: one block, which no report fits into."""
    limited = ("bash", "-c", 'ulimit -f 1; exec "$@"', "bash")
    process = started(folder, *limited, data="digits", more=("--set", "mlflow.enabled=false"))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 4, err
    assert "File too large" in err
    assert "stopped: PASS" in out
    assert "Traceback" not in err
    assert [path.name for path in (folder / "out").iterdir() if path.stat().st_size > 1024 or path.name[0] == "."] == []


@pytest.mark.parametrize(
    "where", [evalguard.reporting.file_sink, evalguard.step.outputs], ids=["reports", "predictions"]
)
def test_a_full_disk_leaves_complete_files_or_none_and_the_verdict_in_mlflow(folder, command, monkeypatch, where):
    (folder / "step.yaml").write_text(STEP.replace("DATA", "digits"))
    real = os.fsync

    def full(handle):
        # The spool is on another disk.
        target = os.readlink(f"/proc/self/fd/{handle}")
        if f"{folder}/out/" in target and ("predictions" in target) == (where is evalguard.step.outputs):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    monkeypatch.setattr(os, "fsync", full)
    done = command("run", folder / "step.yaml")
    assert done.exit_code == 4, done.output
    assert "No space left on device" in done.output
    left = {path.name for path in (folder / "out").iterdir()}
    assert not {name for name in left if name.startswith(".")}, "no temporary file is left"
    assert "predictions.parquet" not in left or where is evalguard.reporting.file_sink
    assert "report.json" not in left or where is evalguard.step.outputs
    run = the_run(folder)
    assert run.data.tags["evalguard.verdict"] == "PASS"
    assert run.info.status == "FINISHED"


def test_an_evaluation_that_raises_is_an_error_in_a_failed_run(folder, command, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    (folder / "step.yaml").write_text(STEP.replace("DATA}", "digits, args: {broken: true}}"))
    done = command("run", folder / "step.yaml")
    assert done.exit_code == 3
    assert "stopped: the evaluation itself raised" in done.output
    run = the_run(folder)
    assert run.data.tags["evalguard.verdict"] == "ERROR"
    assert run.info.status == "FAILED"
    assert list((folder / "out").iterdir()) == []


def test_a_store_that_refuses_costs_the_record_but_not_the_verdict(folder, command, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "unknown://store")
    (folder / "step.yaml").write_text(STEP.replace("DATA", "digits"))
    done = command("run", folder / "step.yaml")
    assert done.exit_code == 0, done.output
    assert "MLflow at unknown://store did not accept the verdict PASS" in done.output
    assert (folder / "out" / "predictions.parquet").is_file()
    done = command("run", folder / "step.yaml", "--set", "mlflow.required=true", "-q")
    assert done.exit_code == 4
    assert "stopped: PASS" in done.output


def test_progress_is_plain_lines_on_stderr_or_nothing(folder, command):
    (folder / "step.yaml").write_text(STEP.replace("DATA", "digits"))
    arguments = ("run", folder / "step.yaml", "--set", "mlflow.enabled=false")
    plain = command(*arguments, "--progress", "plain")
    assert "evalguard: stopped: 0 of 5 batches\n" in plain.stderr
    assert "evalguard: stopped: 5 of 5 batches\n" in plain.stderr
    assert plain.stdout == command(*arguments, "--progress", "none").stdout
    for silent in (["--progress", "auto"], ["--progress", "none"], ["--progress", "plain", "-q"]):
        assert "batches" not in command(*arguments, *silent).output
