"""A step's record and its attestation open the gate with the step's own files, as docs/gate.md writes the commands."""

import re
import shlex
import shutil
from pathlib import Path

import keras
import mlflow
import pandas as pd
import pytest

import evalguard
from tests.step import digits

GATE_PAGE = Path(__file__).resolve().parents[2] / "docs" / "gate.md"
MODEL, DATA = "path: square.keras", "images: labels.csv, column: file, color_mode: grayscale, rescale: 1/255"
LABELS = "path: labels.csv, label: label, key: file"
STEP = f"""\
version: 1
name: digits
model: {{{MODEL}}}
data: {{{DATA}}}
labels: {{{LABELS}}}
outputs: {{directory: out}}
mlflow: {{required: true, experiment: nightly}}
"""


@pytest.fixture
def folder(forms, tmp_path, mlflow_template):
    shutil.copy(mlflow_template, tmp_path / "mlflow.db")
    copy = digits.copied(forms, tmp_path / "digits")
    (copy / "step.yaml").write_text(STEP)
    return copy


@pytest.fixture
def run(folder, command):
    """Run the step, with other sections in its file, and return the id of its run in MLflow."""

    def ran(model=MODEL, data=DATA, labels=LABELS):
        text = STEP.replace(MODEL, model).replace(DATA, data).replace(LABELS, labels)
        (folder / "step.yaml").write_text(text)
        done = command("run", folder / "step.yaml")
        assert done.exit_code == 0, done.output
        (run_id,) = re.findall(r"run[s/ ]+([0-9a-f]{32})", done.output)
        return run_id

    return ran


# -- the labels at hand --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "opens"),
    [
        pytest.param(["labels.csv"], True, id="as-evaluated"),
        pytest.param(["labels.parquet"], True, id="in-another-format"),
        pytest.param(["labels.csv", "--label", "label"], True, id="the-label-named"),
        pytest.param(["labels.csv", "--label", "label", "--key", "file"], True, id="both-named"),
        pytest.param(["labels.parquet", "--labels", "labels.csv"], True, id="two-files-of-the-same"),
        pytest.param(["swapped.csv"], False, id="two-labels-exchanged"),
        pytest.param(["moved.csv"], True, id="in-another-order"),
        pytest.param(["labels.npy"], False, id="without-keys"),
        pytest.param(["renamed.csv"], False, id="other-columns"),
        pytest.param(["renamed.csv", "--label", "digit", "--key", "name"], True, id="other-columns-named"),
    ],
)
def test_a_file_of_labels_is_read_with_the_columns_of_the_evaluation(folder, run, command, monkeypatch, given, opens):
    table = pd.read_csv(folder / "labels.csv")
    table.assign(label=table["label"].iloc[[1, 0, *range(2, len(table))]].to_list()).to_csv(
        folder / "swapped.csv", index=False
    )
    table.iloc[::-1].to_csv(folder / "moved.csv", index=False)
    table.rename(columns={"label": "digit", "file": "name"}).assign(more=1).to_csv(folder / "renamed.csv", index=False)
    run_id = run()
    monkeypatch.chdir(folder)
    done = command("gate", "--run", run_id, "--labels", *given)
    assert done.exit_code == (0 if opens else 1), done.output
    if not opens:
        assert "the evaluation had labels.csv with label='label' and key='file'" in done.output
        assert "by --label and --key" in done.output


def test_a_column_that_the_file_does_not_show_by_itself_is_that_of_the_evaluation_and_is_reported(folder, run, command):
    table = pd.read_csv(folder / "labels.csv").rename(columns={"label": "digit"}).assign(site=1)
    table.to_csv(folder / "labels.csv", index=False)
    run_id = run(labels="path: labels.csv, label: digit, key: file")
    done = command("gate", "--run", run_id, "--labels", folder / "labels.csv")
    assert done.exit_code == 0, done.output
    assert "labels.csv was read as evaluated: label='digit' and key='file'" in done.output
    done = command("gate", "--run", run_id, "--labels", folder / "labels.csv", "--label", "digit")
    assert (done.exit_code, "was read as" in done.output) == (0, False)


def test_another_column_than_the_labels_of_the_file_does_not_open_the_gate(folder, run, command):
    """Somebody who wants it open scores against what the model predicted, which is in the file too."""
    pd.read_csv(folder / "labels.csv").assign(guess=3).to_csv(folder / "labels.csv", index=False)
    run_id = run(labels="path: labels.csv, label: guess, key: file")
    done = command("gate", "--run", run_id, "--labels", folder / "labels.csv")
    assert done.exit_code == 1
    assert "the evaluation had labels.csv with label='guess' and key='file'" in done.output
    assert command("gate", "--run", run_id, "--labels", folder / "labels.csv", "--label", "guess").exit_code == 0


def test_columns_that_a_file_does_not_have_are_a_wrong_question(folder, run, command):
    run_id = run()
    done = command("gate", "--run", run_id, "--labels", folder / "labels.csv", "--label", "digit")
    assert done.exit_code == 2
    assert "expected a column 'digit'" in done.output


def test_labels_of_an_evaluation_without_a_file_are_compared_by_their_values(folder, run, command):
    run_id = run("path: model.keras", "arrays: pixels.npy", "path: labels.npy")
    done = command("gate", "--run", run_id, "--require", "declared", "--labels", folder / "labels.npy")
    assert done.exit_code == 0, done.output
    done = command("gate", "--run", run_id, "--require", "declared", "--labels", folder / "labels.csv")
    assert done.exit_code == 0, (done.output, "the only column that is named as labels are, without keys")


# -- the lines of the page -----------------------------------------------------------------------


def commands_of_the_page():
    """Each command of docs/gate.md and its environment."""
    for block in re.findall(r"^```sh\n(.*?)^```$", GATE_PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            environment = dict(word.split("=", 1) for word in words if re.fullmatch(r"[A-Z_]+=.*", word))
            yield environment, words[len(environment) :]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")
def test_the_commands_of_the_page_open_the_gate_for_a_step(folder, run, command, monkeypatch):
    model = keras.saving.load_model(folder / "square.keras")
    experiment = mlflow.create_experiment("training", artifact_location=(folder / "models").as_uri())
    for _ in range(3):
        with mlflow.start_run(experiment_id=experiment):
            mlflow.keras.log_model(model, name="model", registered_model_name="digits")
    run("uri: 'models:/digits/3'")
    monkeypatch.chdir(folder)
    lines, record = list(commands_of_the_page()), ""
    assert [line[1] for _, line in lines] == ["gate", "gate", "keygen", "run", "gate"]
    for environment, (name, *arguments) in lines:
        assert name == "evalguard"
        with monkeypatch.context() as patched:
            for variable, value in environment.items():
                patched.setenv(variable, value)
            done = command(*[record if argument == "DIGEST" else argument for argument in arguments])
        assert done.exit_code == 0, (arguments, done.output)
        record = (re.search(r"record +([0-9a-f]{64})", done.output) or ["", record])[1]
    assert mlflow.MlflowClient().get_model_version("digits", "3").tags["evalguard.verdict"] == "PASS"


def test_the_step_that_init_writes_opens_the_gate_with_its_labels(folder, command, monkeypatch):
    """The two commands of README.md, and the gate."""
    monkeypatch.chdir(folder)
    assert command("init", "square.keras", "images", "labels.csv", "--output", "new.yaml").exit_code == 0
    done = command("run", "new.yaml")
    assert done.exit_code == 0, done.output
    (run_id,) = re.findall(r"run[s/ ]+([0-9a-f]{32})", done.output)
    done = command("gate", "--run", run_id, "--labels", "labels.csv")
    assert done.exit_code == 0, done.output


# -- the files at hand ---------------------------------------------------------------------------


def test_the_files_of_a_step_open_the_gate(folder, run, command):
    run()
    asked = ("gate", "--attestation", folder / "out" / "attestation.json")
    files = [folder / name for name in ("square.keras", "labels.csv", "out/predictions.parquet")]
    done = command(*asked, *files, "--labels", folder / "labels.csv")
    assert done.exit_code == 0, done.output
    assert command(*asked, *files[:2]).exit_code == 1
    table = pd.read_parquet(files[2])
    table.loc[[3, 50], "y_true"] = table.loc[[50, 3], "y_true"].to_numpy()
    table.to_parquet(files[2])
    done = command(*asked, *files)
    assert done.exit_code == 1
    assert "column 'y_true': not what was judged under this name" in done.output


def test_a_saved_model_is_attested_as_a_folder(folder, run):
    run("path: saved", "arrays: pixels.npz, inputs: [x], key: id")
    files = [folder / name for name in ("saved", "labels.csv", "out/predictions.parquet")]
    result = evalguard.gate(attestation=folder / "out" / "attestation.json", files=files)
    assert result.passed, result.reasons
    with (folder / "saved" / "fingerprint.pb").open("ab") as stream:
        stream.write(b"\0")
    assert not evalguard.gate(attestation=folder / "out" / "attestation.json", files=files)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")
@pytest.mark.parametrize("uri", ["models:/digits/1", "models:/digits@best", "runs:/RUN/model"])
def test_a_model_of_mlflow_is_attested_by_its_address(folder, run, command, tmp_path, uri):
    model = keras.saving.load_model(folder / "square.keras")
    experiment = mlflow.create_experiment("training", artifact_location=(folder / "models").as_uri())
    made = []
    for number in range(2):
        # Two models whose files differ.
        model.layers[-1].bias.assign_add([float(number)] * 10)
        with mlflow.start_run(experiment_id=experiment) as training:
            mlflow.keras.log_model(model, name="model", registered_model_name="digits")
            made.append(training.info.run_id)
    mlflow.MlflowClient().set_registered_model_alias("digits", "best", "1")
    uri = uri.replace("RUN", made[0])
    run(f"uri: '{uri}'")
    asked = {"attestation": folder / "out" / "attestation.json"}
    rest = [folder / "labels.csv", folder / "out" / "predictions.parquet"]
    assert evalguard.gate(**asked, files=rest).unchecked == (uri,)
    for source, opens in ((f"runs:/{made[0]}/model", True), ("models:/digits/1", True), ("models:/digits/2", False)):
        to = tmp_path / "downloaded" / re.sub(r"\W", "_", source)
        downloaded = mlflow.artifacts.download_artifacts(artifact_uri=source, dst_path=str(to))
        result = evalguard.gate(**asked, files=[downloaded, *rest])
        assert result.passed is opens, (source, result.reasons)
