"""Each kind of model, data and labels that a step file can name: PASS as it is, FAIL with a fault planted."""

import json
import shutil

import keras
import mlflow
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
import tensorflow as tf

import evalguard
from tests.step import digits

FLAT = "path: model.keras"
SQUARE = "path: square.keras"
LABELS = "path: labels.csv, label: label, key: file"
PIXELS = "features: {pixels: {shape: [64]}, label: {dtype: int64}}, inputs: [pixels]"

# Kind → model, data, labels, proof required. Each is right as it stands.
RIGHT = {
    "function": (FLAT, "call: loading:digits", "path: labels.csv, label: label", "identity"),
    "function-with-arguments": (FLAT, "call: loading:digits, args: {swapped: false}", LABELS, "identity"),
    "function-with-targets": (
        FLAT,
        "call: loading:digits, args: {named: false, targets: true}",
        "path: labels.csv, label: label",
        "labels",
    ),
    "npy": (FLAT, "arrays: pixels.npy", "path: labels.npy", "identity"),
    "npz": (FLAT, "arrays: pixels.npz", "path: labels.npy", "identity"),
    "npz-with-key": (FLAT, "arrays: pixels.npz, inputs: [x], key: id", LABELS, "identity"),
    "npz-with-target": (FLAT, "arrays: pixels.npz, inputs: [x], key: id, target: y", LABELS, "identity"),
    "csv": (FLAT, "table: pixels.csv, key: id, target: label", LABELS, "identity"),
    "parquet": (FLAT, "table: pixels.parquet, key: id, target: label", LABELS, "identity"),
    "table-and-labels-in-one": (FLAT, "table: pixels.csv, key: id", "path: pixels.csv, label: label", "identity"),
    "images": (SQUARE, "images: labels.csv, color_mode: grayscale, rescale: 1/255", LABELS, "identity"),
    "images-resized": (
        SQUARE,
        "images: labels.parquet, size: [8, 8], color_mode: grayscale",
        "path: labels.parquet, label: label",
        "identity",
    ),
    "image-directory": (
        SQUARE,
        "image_directory: images, color_mode: grayscale",
        "image_directory: images",
        "identity",
    ),
    "tfrecord": (FLAT, f"tfrecord: digits.tfrecord, {PIXELS}, key: id", LABELS, "identity"),
    "tfrecord-with-target": (FLAT, f"tfrecord: 'd*.tfrecord', {PIXELS}, target: label", "path: labels.npy", "labels"),
    "tfrecord-of-images": (
        SQUARE,
        "tfrecord: [digits.tfrecord], features: {png: {encoding: image, color_mode: grayscale, size: [8, 8]}}, "
        "inputs: [png], key: id",
        LABELS,
        "identity",
    ),
    "tfrecord-of-bytes": (
        FLAT,
        "tfrecord: digits.tfrecord, features: {raw: {encoding: raw, shape: [64]}}, inputs: [raw], key: id",
        LABELS,
        "identity",
    ),
    "labels-parquet": (
        FLAT,
        "table: pixels.csv, key: id, target: label",
        "path: labels.parquet, label: label, key: file",
        "identity",
    ),
    "labels-jsonl": (
        FLAT,
        "table: pixels.csv, key: id, target: label",
        "path: labels.jsonl, label: label, key: file",
        "identity",
    ),
    "labels-npy": (FLAT, "call: loading:digits", "path: labels.npy", "identity"),
    "labels-manifest": (FLAT, "call: loading:digits, args: {named: false}", "path: manifest.parquet", "identity"),
    "labels-of-the-stream": (
        FLAT,
        "table: pixels.csv, columns: &pixels PIXELS, target: label",
        "from: stream",
        "identity",
    ),
    "model-function": ("call: loading:model, args: {units: 3}", "call: loading:digits", LABELS, "identity"),
    "saved-model": ("path: saved", "arrays: pixels.npy", "path: labels.npy", "identity"),
    "saved-model-endpoint": (
        "path: saved, endpoint: serving_default",
        "arrays: pixels.npy",
        "path: labels.npy",
        "identity",
    ),
}


def step_file(folder, model, data, labels, require="identity", rest=""):
    columns = f"[{', '.join(f'p{number}' for number in range(64))}]"
    path = folder / "step.yaml"
    path.write_text(
        f"version: 1\nname: kinds\nmodel: {{{model}}}\ndata: {{{data.replace('&pixels PIXELS', columns)}}}\n"
        f"labels: {{{labels}}}\npredict: {{batch_size: 16}}\nchecks: {{require: {require}}}\n"
        f"mlflow: {{enabled: false}}\noutputs: {{directory: out}}\n{rest}"
    )
    if "call:" in data:
        path.write_text(path.read_text().replace("predict: {batch_size: 16}\n", ""))
    return path


@pytest.fixture(scope="session")
def whole(forms):
    """The forms, and a manifest of the inputs."""
    x, y = np.load(forms / "pixels.npy"), np.load(forms / "labels.npy")
    evalguard.Labels.collect(lambda: [(x, y)]).save(forms / "manifest.parquet")
    return forms


@pytest.fixture
def folder(whole, tmp_path):
    return digits.copied(whole, tmp_path / "digits")


def report_of(folder):
    return json.loads((folder / "out" / "report.json").read_text())


@pytest.mark.parametrize(("model", "data", "labels", "require"), RIGHT.values(), ids=RIGHT)
def test_each_kind_passes_with_the_proof_it_can_give(folder, command, model, data, labels, require):
    done = command("run", step_file(folder, model, data, labels, require))
    assert done.exit_code == 0, done.output
    report = report_of(folder)
    assert (report["verdict"], report["proof"]) == ("PASS", require)
    table = pa.parquet.read_table(folder / "out" / "predictions.parquet")
    assert table.num_rows == digits.N


def swapped_labels(folder):
    """Labels 3 and 50 change places, in every form that has no key; rows with keys do with them."""
    values = np.load(folder / "labels.npy")
    values[[3, 50]] = values[[50, 3]]
    np.save(folder / "labels.npy", values)
    order = np.arange(digits.N)
    order[[3, 50]] = order[[50, 3]]
    for name in ("labels.csv", "labels.parquet"):
        read = pyarrow.csv.read_csv if name.endswith("csv") else pyarrow.parquet.read_table
        write = pyarrow.csv.write_csv if name.endswith("csv") else pyarrow.parquet.write_table
        write(read(folder / name).take(pa.array(order)), folder / name)
    lines = (folder / "labels.jsonl").read_text().splitlines(keepends=True)
    (folder / "labels.jsonl").write_text("".join(lines[row] for row in order))


def swapped_loader(folder):
    path = folder / "loading.py"
    path.write_text(path.read_text().replace("def digits(swapped=False", "def digits(swapped=True"))


def one_record_less(folder):
    records = list(tf.data.TFRecordDataset(str(folder / "digits.tfrecord")).as_numpy_iterator())
    with tf.io.TFRecordWriter(str(folder / "digits.tfrecord")) as writer:
        for record in records[:-1]:
            writer.write(record)


def two_records_swapped(folder):
    records = list(tf.data.TFRecordDataset(str(folder / "digits.tfrecord")).as_numpy_iterator())
    records[3], records[50] = records[50], records[3]
    with tf.io.TFRecordWriter(str(folder / "digits.tfrecord")) as writer:
        for record in records:
            writer.write(record)


def one_sample_less(folder):
    for name in ("pixels.npy", "pixels.npz"):
        loaded = np.load(folder / name)
        if name.endswith("npy"):
            np.save(folder / name, loaded[:-1])
        else:
            np.savez(folder / name, **{part: loaded[part][:-1] for part in loaded})


def another_class_folder(folder):
    shutil.copytree(folder / "images", folder / "others")
    moved = next((folder / "images" / "3").iterdir())
    moved.rename(folder / "images" / "7" / moved.name)


# Kind → what goes wrong, and how many rows are then misaligned (None: not a question of order).
WRONG = {
    "function": ("function", swapped_loader, 2),
    "function-with-targets": ("function-with-targets", swapped_loader, 0),
    "npy": ("npy", one_sample_less, 0),
    "npz": ("npz", one_sample_less, 0),
    "npz-with-key": ("npz-with-key", swapped_labels, 2),
    "csv": ("csv", swapped_labels, 2),
    "parquet": ("parquet", swapped_labels, 2),
    "images-resized": ("images", None, 2),
    "image-directory": ("image-directory", another_class_folder, None),
    "tfrecord": ("tfrecord", two_records_swapped, 2),
    "tfrecord-short": ("tfrecord", one_record_less, 0),
    "tfrecord-with-target": ("tfrecord-with-target", two_records_swapped, 0),
    "labels-parquet": ("labels-parquet", swapped_labels, 2),
    "labels-jsonl": ("labels-jsonl", swapped_labels, 2),
    "labels-npy": ("function", swapped_loader, 2),
    "labels-manifest": ("labels-manifest", swapped_loader, 2),
    "model-function": ("model-function", swapped_loader, 2),
    "saved-model": ("saved-model", one_sample_less, 0),
}


@pytest.mark.parametrize(("kind", "fault", "misaligned"), WRONG.values(), ids=WRONG)
def test_each_kind_fails_with_a_fault_planted(folder, command, kind, fault, misaligned):
    model, data, labels, require = RIGHT[kind]
    if fault is None:  # the list of images is another file than the labels
        shutil.copy(folder / "labels.csv", folder / "list.csv")
        data, fault = data.replace("labels.csv", "list.csv"), swapped_labels
    fault(folder)
    labels = labels.replace("image_directory: images", "image_directory: others")
    done = command("run", step_file(folder, model, data, labels, require))
    assert done.exit_code == 1, done.output
    report = report_of(folder)
    assert report["verdict"] == "FAIL"
    if misaligned is not None:
        assert report["counts"]["misaligned"] == misaligned


def test_labels_of_a_stream_that_shuffles_at_each_pass_fail(folder, command):
    done = command("run", step_file(folder, FLAT, "call: loading:shuffled", "from: stream"))
    assert done.exit_code == 1, done.output
    assert report_of(folder)["diagnosis"][0]["cause"] == "shuffled anew at each pass"


def test_the_attestation_of_a_step_is_about_its_own_files(folder, command):
    done = command(
        "run", step_file(folder, "path: model.keras", "arrays: pixels.npy", "path: labels.csv, label: label")
    )
    assert done.exit_code == 0, done.output
    files = [folder / "model.keras", folder / "labels.csv", folder / "out" / "predictions.parquet"]
    done = command("gate", "--attestation", folder / "out" / "attestation.json", *files)
    assert done.exit_code == 0, done.output
    assert "not asked" not in done.output
    files[1].write_text(files[1].read_text().replace("1", "7"))
    assert command("gate", "--attestation", folder / "out" / "attestation.json", *files).exit_code == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")
def test_models_that_mlflow_keeps(folder, command, tmp_path, mlflow_template):
    shutil.copy(mlflow_template, tmp_path / "mlflow.db")
    model = keras.saving.load_model(folder / "model.keras")
    client = mlflow.MlflowClient()
    experiment = client.create_experiment("kept", artifact_location=(folder / "kept").as_uri())
    with mlflow.start_run(experiment_id=experiment) as run:
        logged = mlflow.keras.log_model(model, name="model", registered_model_name="digits")
    for uri in ("models:/digits/1", f"runs:/{run.info.run_id}/model", f"models:/{logged.model_id}"):
        done = command("run", step_file(folder, f"uri: '{uri}'", "arrays: pixels.npy", "path: labels.npy"))
        assert done.exit_code == 0, done.output
    done = command("run", step_file(folder, "uri: models:/nothing/1", "arrays: pixels.npy", "path: labels.npy"))
    assert done.exit_code == 2
    assert "model.uri: models:/nothing/1 could not be loaded" in done.output
