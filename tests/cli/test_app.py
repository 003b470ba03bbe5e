"""The real command line: exit codes, reports on disk and in MLflow, messages of wrong input."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import mlflow
import numpy as np
import pytest
import sklearn.datasets
from click.testing import CliRunner

import evalguard
from evalguard.cli.app import cli
from evalguard.cli.running import command_line
from evalguard.reporting import artifacts
from evalguard.reporting.html import to_html
from evalguard.reporting.junit import to_junit
from evalguard.reporting.png import to_png
from evalguard.reporting.svg import to_svg
from tests.reporting import samples

PROJECT = Path(__file__).parents[2]

LOADER = """
import keras
import numpy as np
import sklearn.datasets

X, Y = sklearn.datasets.load_digits(return_X_y=True)
X = (X[:150] / 16).astype("float32")

class Digits(keras.utils.PyDataset):
    def __init__(self, order, index=True, broken=False):
        super().__init__(workers=2)
        self.order, self.broken = order, broken
        if index:
            self.sample_indices = lambda number: self.order[number * 32 : number * 32 + 32]

    def __len__(self):
        return -(-len(self.order) // 32)

    def __getitem__(self, number):
        if self.broken:
            raise RuntimeError("the disk is gone")
        return (X[self.order[number * 32 : number * 32 + 32]],)

def digits(shuffle=False, index=True, broken=False):
    order = np.random.default_rng(0).permutation(150) if shuffle else np.arange(150)
    return Digits(order, index, broken)

def model():
    return keras.Sequential([keras.Input((64,)), keras.layers.Dense(10)])
"""

STEP = """\
version: 1
name: digits-test
model: {{path: model.keras}}
data:
  call: loading:digits
  args: {args}
labels: {{path: labels.csv, label: label}}
checks: {{require: identity}}
outputs: {{directory: out}}
mlflow: {{experiment: digits-test}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("step")
    (path / "loading.py").write_text(LOADER)
    _, y = sklearn.datasets.load_digits(return_X_y=True)
    (path / "labels.csv").write_text("label\n" + "\n".join(map(str, y[:150])) + "\n")
    keras.Sequential([keras.Input((64,)), keras.layers.Dense(10, activation="softmax")]).save(path / "model.keras")
    return path


def evalguard_command(folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "EVALGUARD_SPOOL": str(folder / "spool")}
    command = [sys.executable, "-m", "evalguard", *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def step(folder, name, text):
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["/usr/bin/evalguard", "run", "my step.yaml"], "evalguard run 'my step.yaml'"),
        (["/x/evalguard/__main__.py", "check", "a", "b"], "python -m evalguard check a b"),
        (
            ["evalguard", "run", "s", "--set", "mlflow.tracking_uri=https://me:pw@h/x"],
            "evalguard run s --set mlflow.tracking_uri=https://h/x",
        ),
        (["evalguard", "run", "s", "--set", "data.args.token=abc", "-q"], "evalguard run s --set data.args.token=… -q"),
    ],
)
def test_the_command_is_named_without_passwords(monkeypatch, words, shown):
    monkeypatch.setattr(sys, "argv", words)
    assert command_line() == shown


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "verdict"),
    [
        pytest.param("{}", 0, "PASS", id="aligned"),
        pytest.param("{shuffle: true}", 1, "FAIL", id="shuffled"),
        pytest.param("{index: false}", 3, "UNPROVEN", id="unproven"),
    ],
)
def test_a_step_ends_in_its_exit_code_with_report_and_record(folder, arguments, code, verdict):
    done = evalguard_command(folder, "run", step(folder, verdict, STEP.format(args=arguments)))
    assert done.returncode == code, done.stderr
    assert f"digits-test: {verdict}" in done.stdout
    assert "Traceback" not in done.stderr
    report = json.loads((folder / "out" / "report.json").read_text())
    assert report["verdict"] == verdict
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("digits-test")
    run = client.search_runs([experiment.experiment_id], max_results=1)[0]
    assert run.data.tags["evalguard.verdict"] == verdict
    assert run.data.metrics["evalguard/violations"] == report["violations"]
    assert run.info.status == ("FAILED" if verdict == "FAIL" else "FINISHED")
    assert run.info.run_name == f"digits-test: {verdict}"
    assert not [name for name in run.data.tags if name.startswith("evalguard.") and name.count(".") > 1]
    command = f"python -m evalguard run {folder}/{verdict}.yaml"
    assert report["caller"] == {"step": f"{folder}/{verdict}.yaml", "command": command}
    assert report["model"]["path"] == "model.keras"
    assert (report["model"]["parameters"], len(report["model"]["digest"])) == (650, 64)
    assert (report["source"]["place"], report["labels"]["path"]) == ("loading:digits", "labels.csv")
    assert report["labels"]["column"] == "label"
    record = json.loads(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/evalguard/digits-test/record.json"))
    assert record["about"]["model"] == report["model"]
    attested = json.loads((folder / "out" / "attestation.json").read_text())
    assert "650 parameters), model.keras" in attested["predicate"]["configuration"][0]["annotations"]["model"]
    logged = {item.path for item in client.list_artifacts(run.info.run_id, "evalguard/digits-test")}
    assert {f"evalguard/digits-test/report.{form}" for form in ("html", "json")} <= logged
    assert not list((folder / "spool").glob("*"))


@pytest.mark.slow
def test_an_evaluation_that_raises_is_not_judged_and_marked_as_an_error(folder):
    done = evalguard_command(folder, "run", step(folder, "broken", STEP.format(args="{broken: true}")))
    assert done.returncode == 3
    assert "the disk is gone" in done.stderr
    assert "the evaluation itself raised" in done.stderr
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("digits-test")
    run = client.search_runs([experiment.experiment_id], max_results=1)[0]
    assert run.data.tags["evalguard.verdict"] == "ERROR"
    assert not (folder / "out" / "report.json").exists(), "an earlier report must not pass for this run's"


@pytest.mark.slow
def test_a_wrong_file_ends_in_2_through_the_real_command_line(folder):
    done = evalguard_command(folder, "run", step(folder, "typo", STEP.format(args="{}").replace("checks:", "chekcs:")))
    assert done.returncode == 2
    assert "line 8, chekcs: unknown key. Did you mean 'checks'?" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("path: labels.csv", "path: no.csv"),
            "no.csv: expected a CSV, Parquet, JSONL, Arrow or .npy file, found none there",
        ),
        (("label: label", "label: lable"), "expected a column 'lable', found columns 'label'"),
        (("model.keras", "no.keras"), "model.path: expected a model at"),
        (("loading:digits", "loading:digit"), "data.call: expected an importable 'loading:digit'"),
        (("loading:digits", "nowhere:digits"), "No module named 'nowhere'"),
        (("args: {}", "args: {sise: 1}"), "unexpected keyword argument 'sise'"),
    ],
)
def test_what_a_step_names_must_be_there(folder, change, message):
    path = step(folder, "wrong", STEP.format(args="{}").replace(*change))
    result = CliRunner().invoke(cli, ["run", str(path)])
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


def test_check_judges_two_tables(tmp_path):
    (tmp_path / "labels.csv").write_text("id,label\na,0\nb,1\nc,0\n")
    (tmp_path / "right.csv").write_text("id,score\na,0.1\nb,0.9\nc,0.2\n")
    (tmp_path / "wrong.csv").write_text("id,score\nb,0.9\na,0.1\nc,0.2\n")

    def run(*arguments):
        return CliRunner().invoke(cli, ["check", *map(str, arguments)])

    right = run(tmp_path / "right.csv", tmp_path / "labels.csv", "--key", "id")
    assert right.exit_code == 0, right.output
    wrong = run(tmp_path / "wrong.csv", tmp_path / "labels.csv", "--key", "id", "--json")
    assert wrong.exit_code == 1
    assert json.loads(wrong.output)["counts"]["misaligned"] == 2
    none = run(tmp_path / "wrong.csv", tmp_path / "labels.csv")
    assert none.exit_code == 2
    assert "expected one of `--key` and `--index`" in none.output


def test_a_report_is_rendered_again_byte_for_byte(tmp_path):
    import evalguard
    from evalguard.reporting import artifacts

    report = evalguard.check(indices=np.roll(np.arange(9), 1), labels=9)
    (tmp_path / "report.json").write_text(report.to_json())
    result = CliRunner().invoke(cli, ["report", str(tmp_path / "report.json")])
    assert result.exit_code == 0
    assert result.output == artifacts(report)["report.txt"]
    (tmp_path / "report.json").write_text("{}")
    result = CliRunner().invoke(cli, ["report", str(tmp_path / "report.json")])
    assert result.exit_code == 2
    assert "expected a report of schema version 2" in result.output


@pytest.fixture
def written(tmp_path):
    """A report.json and the report in it."""
    report = evalguard.check(indices=np.roll(np.arange(9), 1), labels=9, name="ärger")
    path = tmp_path / "report.json"
    path.write_text(report.to_json(), encoding="utf-8")
    return path, report


def report_command(*arguments):
    return CliRunner().invoke(cli, ["report", *map(str, arguments)])


def test_files_rendered_later_are_those_written_at_once_byte_for_byte(written, tmp_path):
    path, report = written
    files = {name: tmp_path / f"again.{name}" for name in ("html", "markdown", "junit", "svg", "png")}
    done = report_command(path, *(part for name, file in files.items() for part in (f"--{name}", file)))
    assert (done.exit_code, done.output) == (0, "")
    at_once = artifacts(report)
    assert files["html"].read_bytes() == at_once["report.html"].encode()
    assert files["junit"].read_bytes() == at_once["junit.xml"].encode()
    assert files["markdown"].read_bytes() == report.to_markdown().encode()
    assert files["svg"].read_bytes() == to_svg(report).encode()
    assert files["png"].read_bytes() == to_png(report)


@pytest.mark.parametrize("form", ["html", "junit", "svg"])
def test_a_dash_is_standard_output_and_nothing_else_is_there(written, form):
    path, report = written
    done = report_command(path, f"--{form}", "-")
    assert done.exit_code == 0
    assert done.stdout_bytes == {"html": to_html, "junit": to_junit, "svg": to_svg}[form](report).encode()


def test_text_is_printed_beside_files_where_asked_for(written, tmp_path):
    path, report = written
    done = report_command(path, "--text", "--html", tmp_path / "page.html")
    assert done.output == artifacts(report)["report.txt"]
    assert (tmp_path / "page.html").read_bytes() == to_html(report).encode()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--html", "-", "--junit", "-"], "one form on standard output, found --html - and --junit -"),
        (["--html", "-", "--json"], "one form on standard output, found --html - and --json"),
        (["--html", "no/such/folder/page.html"], "cannot be written: No such file or directory"),
    ],
    ids=["two-dashes", "dash-and-json", "no-folder"],
)
def test_what_cannot_be_written_is_a_usage_error(written, arguments, message):
    path, _ = written
    done = report_command(path, *arguments)
    assert done.exit_code == 2
    assert message in done.output


@pytest.mark.parametrize("form", ["svg", "png"])
def test_a_report_without_an_alignment_gives_no_empty_picture(tmp_path, form):
    (tmp_path / "report.json").write_text(samples.unproven_report().to_json(), encoding="utf-8")
    done = report_command(tmp_path / "report.json", f"--{form}", tmp_path / "plot")
    assert done.exit_code == 2
    assert f"--{form}: the report contains no alignment to plot (verdict UNPROVEN)" in done.output
    assert not (tmp_path / "plot").exists()


@pytest.mark.parametrize("command", ["run", "check", "report", "replay", "schema"])
def test_every_command_shows_an_example(command):
    assert "Example:" in CliRunner().invoke(cli, [command, "--help"]).output


@pytest.mark.parametrize("what", ["step", "report"])
def test_schemas_are_printed(what):
    assert json.loads(CliRunner().invoke(cli, ["schema", what]).output)["type"] == "object"


def test_a_page_that_cannot_be_written_in_full_leaves_the_old_one(written, tmp_path, monkeypatch):
    (path, _), page = written, tmp_path / "page.html"
    page.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = report_command(path, "--html", page)
    assert done.exit_code == 2
    assert "page.html: cannot be written: No space left on device" in done.output
    assert page.read_text() == "old"
