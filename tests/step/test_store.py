"""`mlflow.tracking_uri` of a step file: its verdict and its model are there, and the user's own store is unchanged."""

import os
import shutil
import sys

import keras
import mlflow
import pytest

from tests.step import digits

STEP = """\
version: 1
name: elsewhere
model: {path: model.keras}
data: {call: 'loading:digits'}
labels: {path: labels.npy}
outputs: {directory: out}
mlflow: {tracking_uri: 'sqlite:///kept.db', required: true, experiment: mine}
"""
# What the user's own code finds while the step runs.
LOOKING = """
import mlflow, os
from loading import *

def looking():
    seen = pathlib.Path(__file__).with_name("seen")
    seen.write_text(f"{os.environ.get('MLFLOW_TRACKING_URI')} {mlflow.get_tracking_uri()}")
    return digits()
"""


@pytest.fixture
def folder(forms, tmp_path, mlflow_template):
    copy = digits.copied(forms, tmp_path / "digits")
    shutil.copy(mlflow_template, copy / "kept.db")
    shutil.copy(mlflow_template, tmp_path / "mlflow.db")
    (copy / "step.yaml").write_text(STEP)
    return copy


@pytest.fixture(params=["environment", "nothing", "global"])
def before(request, command, monkeypatch, tmp_path):
    """The user's setting: a variable, nothing, or a URI in this process."""
    if request.param != "environment":
        monkeypatch.delenv("MLFLOW_TRACKING_URI")
    if request.param == "global":
        mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    yield os.environ.get("MLFLOW_TRACKING_URI"), mlflow.get_tracking_uri(), mlflow.is_tracking_uri_set()
    if request.param == "global":
        mlflow.set_tracking_uri(None)


def state():
    return os.environ.get("MLFLOW_TRACKING_URI"), mlflow.get_tracking_uri(), mlflow.is_tracking_uri_set()


def runs_in(path):
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{path}")
    return client.search_runs([item.experiment_id for item in client.search_experiments() if item.name == "mine"])


def made_run(path):
    """Another user's run; its artifacts stay beside the store."""
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{path}")
    experiment = client.create_experiment("mine", artifact_location=(path.parent / "artifacts").as_uri())
    return client.create_run(experiment).info.run_id


@pytest.fixture
def kept(folder, monkeypatch):
    """Run of a model that is in the step's own store, and nowhere else."""
    store = f"sqlite:///{folder}/kept.db"
    experiment = mlflow.MlflowClient(store).create_experiment("models", artifact_location=(folder / "kept").as_uri())
    with monkeypatch.context() as patched:
        patched.setenv("MLFLOW_TRACKING_URI", store)
        with mlflow.start_run(experiment_id=experiment) as run:
            model = keras.saving.load_model(folder / "model.keras")
            mlflow.keras.log_model(model, name="model", registered_model_name="digits")
    return run.info.run_id


def test_the_verdict_is_in_the_store_that_the_file_names(folder, before, command, tmp_path):
    done = command("run", folder / "step.yaml")
    assert done.exit_code == 0, done.output
    (run,) = runs_in(folder / "kept.db")
    assert (run.data.tags["evalguard.verdict"], run.info.status) == ("PASS", "FINISHED")
    assert runs_in(tmp_path / "mlflow.db") == []
    assert state() == before
    assert not (tmp_path / "kept.db").exists(), "beside the file, not in the current folder"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")
def test_the_model_is_in_that_store_and_the_setting_is_restored(folder, kept, before, command):
    for uri in ("models:/digits/1", f"runs:/{kept}/model"):
        (folder / "step.yaml").write_text(STEP.replace("path: model.keras", f"uri: '{uri}'"))
        done = command("run", folder / "step.yaml")
        assert done.exit_code == 0, done.output
        assert state() == before
    (folder / "step.yaml").write_text(STEP.replace("path: model.keras", "uri: models:/digits/7"))
    done = command("run", folder / "step.yaml")
    assert done.exit_code == 2, done.output
    assert f"could not be loaded from sqlite:///{folder}/kept.db" in done.output
    assert state() == before, "after an error too"


def test_the_user_s_own_code_finds_the_user_s_own_store(folder, command):
    (folder / "looking.py").write_text(LOOKING)
    (folder / "step.yaml").write_text(STEP.replace("loading:digits", "looking:looking"))
    sys.modules.pop("looking", None)
    before = state()
    done = command("run", folder / "step.yaml")
    assert done.exit_code == 0, done.output
    assert (folder / "seen").read_text() == f"{before[0]} {before[1]}"


def test_the_run_of_the_environment_counts_in_its_own_store_only(folder, command, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", made_run(tmp_path / "mlflow.db"))
    assert command("run", folder / "step.yaml").exit_code == 0
    assert len(runs_in(folder / "kept.db")) == 1
    (run,) = runs_in(tmp_path / "mlflow.db")
    assert "evalguard.verdict" not in run.data.tags
    done = command("run", folder / "step.yaml", "--set", f"mlflow.tracking_uri=sqlite:///{tmp_path}/mlflow.db")
    assert done.exit_code == 0, done.output
    (run,) = runs_in(tmp_path / "mlflow.db")
    assert run.data.tags["evalguard.verdict"] == "PASS"
    assert run.info.status == "RUNNING", "whose run it is ends it"


def test_a_run_of_the_file_is_searched_in_its_store(folder, command):
    done = command("run", folder / "step.yaml", "--set", f"mlflow.run_id={made_run(folder / 'kept.db')}")
    assert done.exit_code == 0, done.output
    (run,) = runs_in(folder / "kept.db")
    assert run.data.tags["evalguard.verdict"] == "PASS"


def test_a_dry_run_names_the_store_without_the_password(folder, command):
    done = command("run", folder / "step.yaml", "--dry-run")
    assert f"at sqlite:///{folder}/kept.db" in done.output
    done = command("run", folder / "step.yaml", "--dry-run", "--set", "mlflow.tracking_uri=https://me:secret@host")
    assert "at https://host" in done.output
    assert "secret" not in done.output


def test_a_text_that_is_not_a_uri_exits_with_2(folder, command):
    done = command("run", folder / "step.yaml", "--set", "mlflow.tracking_uri=mlruns")
    assert done.exit_code == 2
    assert "mlflow.tracking_uri: expected the URI of a store, as https://HOST or sqlite:///FILE" in done.output
