"""The folders of examples/pipelines run unchanged on the digits, and fail where they must."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.step import digits

ROOT = Path(__file__).resolve().parents[1]
PIPELINES = ROOT / "examples" / "pipelines"


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """What `examples.digits.prepare` makes, smaller: images, labels_test.csv, model.keras."""
    made = digits.write(tmp_path_factory.mktemp("work"))
    (made / "square.keras").replace(made / "model.keras")
    shutil.copy(made / "labels.csv", made / "labels_test.csv")
    return made


@pytest.fixture
def place(work, tmp_path, mlflow_template):
    """A copy of examples/pipelines, and the environment that its commands run in."""
    shutil.copytree(PIPELINES, tmp_path / "pipelines")
    shutil.copy(mlflow_template, tmp_path / "mlflow.db")
    commands = tmp_path / "bin"
    commands.mkdir()
    script = commands / "evalguard"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m evalguard "$@"\n')
    script.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "DIGITS": str(work),
        "LABELS": str(work / "labels_test.csv"),
        "OUT": str(tmp_path / "out"),
        "EVALGUARD": str(script),
        "EVALGUARD_SPOOL": str(tmp_path / "spool"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
    }
    return tmp_path, environment


def swapped(work, folder):
    """The labels with two names changed over."""
    lines = (work / "labels_test.csv").read_text().splitlines()
    lines[3], lines[50] = lines[50], lines[3]
    path = folder / "swapped.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def run(place, folder, *command, **changed):
    base, environment = place
    return subprocess.run(
        command,
        cwd=base / "pipelines" / folder,
        env={**environment, **changed},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_makefile(place, work):
    done = run(place, "makefile", "make", "evaluate")
    assert done.returncode == 0, done.stderr
    assert "digits: PASS" in done.stdout
    assert "Nothing to be done" in run(place, "makefile", "make", "evaluate").stdout
    shutil.rmtree(place[0] / "out")
    assert run(place, "makefile", "make", "evaluate", LABELS=swapped(work, place[0])).returncode == 2, "make's own code"
    assert not (place[0] / "out" / "report.json").exists()


@pytest.mark.slow
def test_the_mlflow_project(place, work):
    import mlflow

    command = (sys.executable, "-m", "mlflow", "run", ".", "--env-manager", "local", "--experiment-id", "0")
    done = run(place, "mlflow_project", *command)
    assert done.returncode == 0, done.stderr
    failed = run(place, "mlflow_project", *command, LABELS=swapped(work, place[0]))
    assert failed.returncode == 1
    client = mlflow.MlflowClient(tracking_uri=place[1]["MLFLOW_TRACKING_URI"])
    runs = client.search_runs(["0"], order_by=["attributes.start_time ASC"])
    assert [(item.info.status, item.data.tags["evalguard.verdict"]) for item in runs] == [
        ("FINISHED", "PASS"),
        ("FAILED", "FAIL"),
    ]


def test_the_github_workflow_fits_its_schema():
    command = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows")
    path = PIPELINES / "github_actions" / "evaluate.yml"
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_pytest_suite(place):
    done = run(place, "pytest_suite", sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", ".")
    assert done.returncode == 0, done.stdout
    assert "11 passed" in done.stdout


@pytest.mark.pipelines
def test_the_dvc_stage(place, work):
    base = place[0] / "pipelines" / "dvc"
    (base / "params.yaml").write_text(f"digits: {work}\n")
    changed = {"OUT": str(base / "out")}
    assert run(place, "dvc", "dvc", "init", "--no-scm", "-q").returncode == 0
    done = run(place, "dvc", "dvc", "repro", **changed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((base / "out" / "report.json").read_text())["verdict"] == "PASS"
    failed = run(place, "dvc", "dvc", "repro", "--force", **changed, LABELS=swapped(work, place[0]))
    assert failed.returncode != 0
    assert "failed to reproduce 'evaluate'" in failed.stderr + failed.stdout


@pytest.mark.pipelines
def test_the_kfp_component_compiles(place):
    done = run(place, "kfp", os.environ.get("KFP_PYTHON", "python"), "component.py", "pipeline.yaml")
    assert done.returncode == 0, done.stderr
    text = (place[0] / "pipelines" / "kfp" / "pipeline.yaml").read_text()
    assert "evalguard run" in text
    assert "install" not in text, "evalguard is in the image already"


@pytest.mark.pipelines
def test_the_airflow_dag_runs_its_task(place, work):
    python = os.environ.get("AIRFLOW_PYTHON", "python")
    program = (
        "import sys; sys.path.insert(0, '.'); import dag; "
        "from airflow.models.dagbag import DagBag; "
        "result = dag.dag.test(); print('STATE', result.state)"
    )
    changed = {
        "AIRFLOW_HOME": str(place[0] / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__DAGS_FOLDER": str(place[0] / "pipelines" / "airflow"),
    }
    migrated = run(place, "airflow", python, "-m", "airflow", "db", "migrate", **changed)
    assert migrated.returncode == 0, migrated.stderr
    done = run(place, "airflow", python, "-c", program, **changed)
    assert "STATE success" in done.stdout, done.stdout + done.stderr
    failed = run(place, "airflow", python, "-c", program, **changed, LABELS=swapped(work, place[0]))
    assert "STATE failed" in failed.stdout, failed.stdout + failed.stderr
