"""``evalguard init``: what it writes runs without editing. ``--dry-run`` and ``doctor``."""

import json

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
import yaml

from evalguard.step.config import read
from tests.step import digits

PLACES = {
    "images-and-list": ["square.keras", "images", "labels.csv"],
    "class-folders": ["square.keras", "images"],
    "table": ["model.keras", "pixels.parquet", "labels_by_id.csv"],
    "table-alone": ["model.keras", "pixels.csv"],
    "npy": ["model.keras", "pixels.npy", "labels.npy"],
    "npz": ["saved", "pixels.npz"],
    "tfrecord": ["model.keras", "pixels.tfrecord"],
}


@pytest.fixture
def folder(forms, tmp_path):
    import tensorflow as tf

    copy = digits.copied(forms, tmp_path / "digits")
    labels = pyarrow.csv.read_csv(copy / "labels.csv")
    pyarrow.csv.write_csv(labels.rename_columns(["id", "label"]), copy / "labels_by_id.csv")
    with tf.io.TFRecordWriter(str(copy / "pixels.tfrecord")) as writer:
        for record in tf.data.TFRecordDataset(str(copy / "digits.tfrecord")).as_numpy_iterator():
            example = tf.train.Example.FromString(record)
            for name in ("png", "raw"):
                del example.features.feature[name]
            writer.write(example.SerializeToString())
    return copy


@pytest.mark.parametrize("names", PLACES.values(), ids=PLACES)
def test_what_init_writes_passes_without_editing(folder, command, names):
    step = folder / "steps" / "first.yaml"
    done = command("init", *(folder / name for name in names), "--output", step)
    assert done.exit_code == 0, done.output
    assert f"next: evalguard run {step} --dry-run" in done.output
    planned = command("run", step, "--dry-run")
    assert planned.exit_code == 0, planned.output
    assert f"proof    {'declared' if 'pixels.npy' in names else 'identity'}" in planned.output
    assert not (folder / "steps" / "evalguard-out").exists(), "a dry run writes nothing"
    done = command("run", step, "-q", "--set", "mlflow.enabled=false")
    assert done.exit_code == 0, done.output
    assert ": PASS" in done.output
    assert (folder / "steps" / "evalguard-out" / "predictions.parquet").is_file()


def test_init_finds_everything_in_one_folder_and_names_its_choice(folder, command):
    work = folder / "work"
    work.mkdir()
    (folder / "square.keras").rename(work / "model.keras")
    (folder / "images").rename(work / "images")
    for name in ("labels.csv", "labels_test.csv", "labels_train.csv"):
        (work / name).write_bytes((folder / "labels.csv").read_bytes())
    done = command("init", work, "--output", work / "step.yaml")
    assert done.exit_code == 0, done.output
    text = (work / "step.yaml").read_text()
    assert "# labels: labels_test.csv was chosen; also found: labels.csv, labels_train.csv" in text
    assert yaml.safe_load(text)["data"]["color_mode"] == "grayscale"
    assert read.read_all(work / "step.yaml")[0].data.size == [8, 8]
    again = command("init", work, "--output", work / "step.yaml")
    assert again.exit_code == 2
    assert "already exists; give another --output, or --force" in again.output
    assert command("init", work, "--output", work / "step.yaml", "--force").exit_code == 0


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["images"], "expected a model (.keras, .h5 or the folder of a SavedModel)"),
        (["model.keras"], "expected data (images, a table, .npy, .npz or TFRecord files)"),
        (["model.keras", "pixels.npy"], "expected labels beside"),
        (["model.keras", "nowhere"], "expected a model, a data folder or a table at"),
        (["loading.py", "broken.keras", "labels.csv"], "broken.keras could not be loaded by Keras"),
    ],
)
def test_init_says_what_is_missing(folder, command, names, message):
    (folder / "broken.keras").write_bytes(b"no model")
    done = command("init", *(folder / name for name in names), "--output", folder / "step.yaml")
    assert done.exit_code == 2
    assert message in done.output
    assert not (folder / "step.yaml").exists()


DRY = "version: 1\nmodel: {path: MODEL}\ndata: {DATA}\nlabels: {path: labels.csv, label: label, key: file}\n"


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        ("model.keras", "images: labels.csv", "the model does not accept inputs float32 (8, 8, 3)"),
        (
            "square.keras",
            "table: pixels.csv, key: id, target: label",
            "does not accept inputs float32 (64,)",
        ),
        (
            "model.keras",
            "table: pixels.csv, key: id, columns: [p0, p1]",
            "does not accept inputs float32 (2,)",
        ),
        (
            "square.keras",
            "images: broken.csv, color_mode: grayscale",
            "expected a first batch, found InvalidArgument",
        ),
    ],
)
def test_a_dry_run_reports_inputs_that_do_not_fit(folder, command, model, data, message):
    (folder / "broken.csv").write_text("file\nbroken.png\n")
    (folder / "broken.png").write_bytes(b"no image")
    path = folder / "step.yaml"
    path.write_text(DRY.replace("MODEL", model).replace("DATA", data))
    done = command("run", path, "--dry-run")
    assert done.exit_code == 2, done.output
    assert message in done.output


def test_a_dry_run_reports_a_proof_that_is_too_weak(folder, command):
    path = folder / "step.yaml"
    text = DRY.replace("MODEL", "model.keras").replace("DATA", "call: loading:digits, args: {named: false}")
    path.write_text(text)
    done = command("run", path, "--dry-run")
    assert done.exit_code == 0
    assert "proof    transport" in done.output
    assert "require  declared; this would be UNPROVEN" in done.output


def test_the_doctor_reports_what_is_installed_and_what_is_wrong(command, tmp_path, monkeypatch):
    done = command("doctor", "--json")
    assert done.exit_code == 0, done.output
    found = {item["topic"]: item for item in json.loads(done.output)}
    assert found["engine"]["text"] == "Keras on tensorflow"
    assert "does not exist yet" in found["mlflow store"]["text"]
    assert any(topic.startswith("known: keras") for topic in found)
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "a.evalguard.json").write_text("{}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "unknown://store")
    done = command("doctor")
    assert done.exit_code == 1
    assert "!! spool:" in done.output
    assert "1 not readable as records" in done.output


def test_numbers_of_the_table_are_the_inputs_of_the_model(folder, command):
    """The columns written are the pixels in their order: predictions equal those of the array."""
    step = folder / "first.yaml"
    command("init", folder / "model.keras", folder / "pixels.csv", "--output", step)
    command("run", step, "-q", "--set", "mlflow.enabled=false")
    import keras

    expected = keras.saving.load_model(folder / "model.keras").predict(np.load(folder / "pixels.npy"), verbose=0)
    table = pyarrow.parquet.read_table(folder / "evalguard-out" / "predictions.parquet").to_pandas()
    np.testing.assert_allclose(table.filter(like="prediction_").to_numpy(), expected, rtol=1e-5)
    assert table.columns[:4].tolist() == ["row", "sample", "key", "y_true"]
