"""`run` and `check` end with the file of the report and the run in MLflow."""

import re

import pandas as pd
import pytest

from evalguard.tracking.target import Target, place_of


@pytest.mark.parametrize(
    ("store", "place"),
    [
        ("https://user:secret@mlflow.example/base/", "https://mlflow.example/base/#/runs/abc"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000/#/runs/abc"),
        ("sqlite:////work/mlflow.db", "run abc: mlflow ui --backend-store-uri sqlite:////work/mlflow.db"),
    ],
)
def test_a_run_is_found_by_its_page_or_by_the_command_that_shows_it(store, place):
    assert place_of(Target(store, "abc")) == place


def test_check_ends_with_the_file_of_its_report(command, tmp_path):
    pd.DataFrame({"id": ["a", "b"], "label": [0, 1]}).to_csv(tmp_path / "labels.csv", index=False)
    arguments = ("check", tmp_path / "labels.csv", tmp_path / "labels.csv", "--key", "id")
    out = tmp_path / "out"
    assert command(*arguments, "--output", out).stdout.endswith("\n  report    out/report.html\n")
    assert "report    " not in command(*arguments).stdout
    for short in (["-q"], ["--json"]):
        assert "report.html" not in command(*arguments, "--output", out, *short).output


def test_run_ends_with_the_file_and_the_run(command, tmp_path, forms):
    for name in ("loading.py", "pixels.npy", "labels.npy"):
        (tmp_path / name).write_bytes((forms / name).read_bytes())
    (tmp_path / "step.yaml").write_text(
        "version: 1\nmodel: {call: 'loading:model'}\nlabels: {path: labels.npy}\ndata: {call: 'loading:digits'}\n"
        "outputs: {directory: out}\n"
    )
    lines = command("run", tmp_path / "step.yaml").stdout.splitlines()
    assert lines[-2] == "  report    out/report.html"
    assert re.fullmatch(
        rf"  mlflow    run \w{{32}}: mlflow ui --backend-store-uri sqlite:///{tmp_path}/mlflow.db", lines[-1]
    )
    nowhere = ("--set", "mlflow.enabled=false", "--set", "outputs.directory=null")
    assert not {"report", "mlflow"} & {
        line[2:8] for line in command("run", tmp_path / "step.yaml", *nowhere).stdout.splitlines()
    }
