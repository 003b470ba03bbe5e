"""Models with user-defined layers and functions: imported by name, unregistered afterwards, reported when missing."""

import importlib
import json
import shutil
import subprocess
import sys

import keras
import mlflow
import numpy as np
import pytest

from tests.step import digits

MINE = """
import keras

@keras.saving.register_keras_serializable("mine")
class Registered(keras.layers.Layer):
    def call(self, x):
        return 2 * x

class Plain(keras.layers.Layer):
    def call(self, x):
        return 2 * x

def curve(x):
    return keras.ops.square(x)

class Box:
    class Plain(keras.layers.Layer):
        pass
"""
MODELS = {
    "registered": "mine.Registered()",
    "plain": "mine.Plain()",
    "function": "keras.layers.Dense(10, activation=mine.curve)",
}
NAMES = {"registered": "Registered", "plain": "Plain", "function": "curve"}
SAVE = """
import keras, mine
for kind, layer in {MODELS}.items():
    for form in ("keras", "h5"):
        keras.Sequential([keras.Input((64,)), eval(layer)]).save(f"{kind}.{form}")
"""
STEP = """\
version: 1
name: own
model: {MODEL}
data: {arrays: pixels.npy}
labels: {path: labels.npy}
checks: {require: declared}
outputs: {directory: out}
mlflow: {enabled: false}
"""


@pytest.fixture(scope="module")
def made(forms, tmp_path_factory):
    """Models saved by another process: this one has never seen the classes."""
    folder = digits.copied(forms, tmp_path_factory.mktemp("own"))
    (folder / "mine.py").write_text(MINE)
    command = [sys.executable, "-W", "ignore", "-c", SAVE.replace("{MODELS}", repr(MODELS))]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    yield digits.copied(made, tmp_path / "own")
    sys.modules.pop("mine", None)
    keras.saving.get_custom_objects().pop("mine>Registered", None)


def step_file(folder, model):
    path = folder / "step.yaml"
    path.write_text(STEP.replace("{MODEL}", f"{{{model}}}"))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("form", ["keras", "h5"])
@pytest.mark.parametrize("kind", MODELS)
def test_a_model_with_user_defined_objects_passes_and_fails(folder, command, kind, form):
    path = step_file(folder, f"path: {kind}.{form}, custom_objects: ['mine:{NAMES[kind]}']")
    done = command("run", path)
    assert done.exit_code == 0, done.output
    assert NAMES[kind] not in keras.saving.get_custom_objects(), "known while the model is loaded, not longer"
    np.save(folder / "pixels.npy", np.load(folder / "pixels.npy")[:-1])
    assert command("run", path).exit_code == 1
    assert json.loads((folder / "out" / "report.json").read_text())["verdict"] == "FAIL"


@pytest.mark.slow
@pytest.mark.parametrize("form", ["keras", "h5"])
@pytest.mark.parametrize("kind", MODELS)
def test_a_missing_object_is_reported_with_the_line_to_paste(folder, command, kind, form):
    path = step_file(folder, f"path: {kind}.{form}")
    done = command("run", path)
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    (line,) = done.output.splitlines()
    assert line.startswith("evalguard: model.path: ")
    paste = line.rpartition("name its module: model.")[2].replace("your_module", "mine")
    done = command("run", step_file(folder, f"path: {kind}.{form}, {paste}"))
    assert done.exit_code == 0, (paste, done.output)


def test_a_mapping_gives_the_name_that_the_model_knows(folder, command):
    (folder / "renamed.py").write_text(MINE.replace("class Plain", "class Renamed", 1))
    done = command("run", step_file(folder, "path: plain.keras, custom_objects: {Plain: 'renamed:Renamed'}"))
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("path: plain.keras, custom_objects: ['mine:Nothing']", "model.custom_objects: expected an importable"),
        ("path: plain.keras, custom_objects: ['mine:Plain', 'mine:Box.Plain']", "found 'Plain' again; use a mapping"),
        ("path: plain.keras, custom_objects: [mine.Plain]", "model.custom_objects.0: expected module:function"),
        ("path: saved, custom_objects: ['mine:Plain']", "expected a .keras or .h5 file for it, found the folder"),
        ("call: loading:model, custom_objects: ['mine:Plain']", "unknown key"),
    ],
)
def test_an_unusable_object_exits_with_2(folder, command, model, message):
    done = command("run", step_file(folder, model))
    assert done.exit_code == 2, done.output
    assert message in done.output


def test_init_writes_a_file_that_only_needs_that_line(folder, command):
    own = folder / "own.yaml"
    done = command("init", folder / "plain.keras", folder / "pixels.npy", folder / "labels.npy", "--output", own)
    assert done.exit_code == 0, done.output
    run = ("run", own, "--set", "mlflow.enabled=false")
    assert "name its module: model.custom_objects" in command(*run).output
    assert command(*run, "--set", "model.custom_objects=['mine:Plain']").exit_code == 0
    # For images it inspects the model, and an unknown class does not stop it.
    paths = (folder / "plain.keras", folder / "images", folder / "labels.csv")
    assert command("init", *paths, "--output", own, "--force").exit_code == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")
def test_models_of_mlflow_can_have_user_defined_objects(folder, command, monkeypatch, mlflow_template, tmp_path):
    shutil.copy(mlflow_template, tmp_path / "mlflow.db")
    monkeypatch.syspath_prepend(folder)
    mine = importlib.import_module("mine")
    model = keras.Sequential([keras.Input((64,)), mine.Plain()])
    experiment = mlflow.MlflowClient().create_experiment("own", artifact_location=(folder / "kept").as_uri())
    with mlflow.start_run(experiment_id=experiment) as run:
        mlflow.keras.log_model(model, name="model")
    uri = f"uri: 'runs:/{run.info.run_id}/model'"
    done = command("run", step_file(folder, uri))
    assert done.exit_code == 2, done.output
    assert "model.custom_objects: ['mine:Plain']" in done.output
    done = command("run", step_file(folder, f"{uri}, custom_objects: ['mine:Plain']"))
    assert done.exit_code == 0, done.output
