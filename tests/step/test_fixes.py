"""A step that fails: the lines of YAML that the report proposes are put into the step, and it passes."""

import shlex
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest
import yaml

from evalguard.core.policy import Verdict
from evalguard.step.run import run_all

N, BATCH = 45, 8
NAMES = [f"scan{number * 37 % 101}" for number in range(N)]
COLUMNS = ["a", "b", "c"]
ROWS = pd.DataFrame(np.random.default_rng(1).normal(size=(N, 3)), columns=COLUMNS).assign(file=NAMES)
LABELS = pd.DataFrame({"file": NAMES, "label": np.arange(N) % 3})


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    inputs = keras.Input((3,))
    keras.Model(inputs, keras.layers.Dense(2)(inputs)).save(path)
    return path


def step(folder, model, rows, labels, **more):
    rows.to_csv(folder / "rows.csv", index=False)
    labels.to_csv(folder / "labels.csv", index=False)
    return {
        "version": 1,
        "name": "fixes",
        "model": {"path": str(model)},
        "data": {"table": "rows.csv", "key": "file"},
        "labels": {"path": "labels.csv", "key": "file"},
        "predict": {"batch_size": BATCH},
        "mlflow": {"enabled": False},
        **more,
    }


def report_of(folder, described):
    path = folder / "step.yaml"
    path.write_text(yaml.safe_dump(described))
    (result,) = run_all(path)
    assert result.report is not None, result.message
    return result.report


def lines_of(remedy):
    """The two lines of a fix as they stand in a step file."""
    before, _, after = remedy.partition("\nafter:")
    return yaml.safe_load(before.removeprefix("before:").strip()), yaml.safe_load(after.strip())


@pytest.mark.parametrize(
    ("labels", "more", "cause", "fixed"),
    [
        pytest.param(LABELS.sort_values("file"), {}, "keyed data in another order", Verdict.REPAIRED, id="sorted"),
        pytest.param(LABELS[::-1], {}, "rows in the reverse order", Verdict.REPAIRED, id="backwards"),
        pytest.param(LABELS, {"predict": {"steps": 3, "batch_size": 8}}, "`steps` too small", Verdict.PASS, id="steps"),
        pytest.param(
            LABELS, {"predict": {"steps": 5, "batch_size": 8}}, "`steps = N // batch_size`", Verdict.PASS, id="floor"
        ),
    ],
)
def test_the_proposed_lines_of_a_step_mend_it(tmp_path, model, labels, more, cause, fixed):
    described = step(tmp_path, model, ROWS, labels, **more)
    report = report_of(tmp_path, described)
    assert report.verdict is Verdict.FAIL
    assert report.diagnosis[0].cause.startswith(cause)
    before, after = lines_of(report.diagnosis[0].remedy)
    ((section, options),) = before.items()
    assert options.items() <= described[section].items()
    for name, changed in after.items():
        described[name] = {**({} if name == section else described.get(name, {})), **changed}
    described["predict"].setdefault("batch_size", BATCH)
    assert report_of(tmp_path, described).verdict is fixed


@pytest.mark.parametrize(
    ("rows", "labels", "cause", "words"),
    [
        pytest.param(ROWS[:20], LABELS, "subset", "of the 20 samples in data only", id="subset"),
        pytest.param(ROWS, LABELS[2:], "labels of another version", "written again from the data", id="version"),
        pytest.param(
            ROWS, LABELS.assign(file="img/" + LABELS["file"]), "keys differ by a prefix", "'labels.csv'", id="prefix"
        ),
    ],
)
def test_what_no_option_mends_names_the_file_to_write_again(tmp_path, model, rows, labels, cause, words):
    report = report_of(tmp_path, step(tmp_path, model, rows, labels))
    first = report.diagnosis[0]
    assert first.cause.startswith(cause)
    before, after = first.remedy.splitlines()
    assert yaml.safe_load(before.removeprefix("before:"))["labels"]["path"] == "labels.csv"
    assert words in after


def test_keys_that_differ_are_mended_in_the_labels_of_a_step(tmp_path, model):
    described = step(tmp_path, model, ROWS, LABELS.assign(file="img/" + LABELS["file"]))
    remedy = report_of(tmp_path, described).diagnosis[0].remedy
    python, *arguments = shlex.split(remedy.partition("after:")[2].partition("  # ")[2])
    assert python == "python"
    subprocess.run([sys.executable, *arguments], cwd=tmp_path, check=True)
    mended = {**described, **lines_of(remedy)[1]}
    assert mended["labels"] == {"path": "labels_mended.csv", "key": "file"}
    assert report_of(tmp_path, mended).verdict is Verdict.PASS


def test_a_proposed_line_has_the_other_options_of_its_section(tmp_path, model):
    checks = {"require": "identity", "verify_model": False}
    described = step(tmp_path, model, ROWS, LABELS[::-1], checks=checks)
    assert lines_of(report_of(tmp_path, described).diagnosis[0].remedy) == (
        {"labels": {"path": "labels.csv", "key": "file"}},
        {"checks": {**checks, "on_failure": "repair"}},
    )


def test_the_arguments_of_a_function_are_not_shown(tmp_path, model):
    (tmp_path / "own_data.py").write_text(
        "import numpy as np\ndef rows(password):\n    yield from [(np.zeros((8, 3), 'float32'),)] * 3\n"
    )
    called = {"call": "own_data:rows", "args": {"password": "s3cret"}}
    described = {**step(tmp_path, model, ROWS, LABELS), "data": called, "labels": {"path": "labels.csv"}, "predict": {}}
    report = report_of(tmp_path, described)
    assert "data: {call: 'own_data:rows'}" in report.diagnosis[0].remedy
    assert "s3cret" not in report.to_json()
