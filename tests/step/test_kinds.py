"""Each kind of model, data and labels that a step file can name: PASS as it is, FAIL with a fault planted."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import mlflow
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

import evalguard
from evalguard.step.config import unions
from tests.step import digits

FLAT = "path: model.keras"
SQUARE = "path: square.keras"
LABELS = "path: labels.csv, label: label, key: file"
PIXELS = "features: {pixels: {shape: [64]}, label: {dtype: int64}}, inputs: [pixels]"

UNNAMED = "path: labels.npy"
HALVES = "left: [{}], right: [{}]".format(*(", ".join(f"p{n}" for n in half) for half in (range(32), range(32, 64))))


@dataclass(frozen=True)
class Kind:
    """One combination of model, data and labels: correct as written, wrong with a fault planted.

    Attributes:
        model, data, labels: The sections.
        fault: Breaks a copy of the folder, or is what `--set` puts into the file.
        misaligned: Rows that are misaligned then; None where it is no question of order.
        require: Proof that is required, and reached.
    """

    model: str
    data: str
    labels: str
    fault: Callable[[Path], None] | str
    misaligned: int | None = 0
    require: str = "identity"


def swapped_labels(folder):
    """Labels 3 and 50 are swapped, in every form that has no key; rows with keys move with them."""
    values = np.load(folder / "labels.npy")
    values[[3, 50]] = values[[50, 3]]
    np.save(folder / "labels.npy", values)
    for name in ("labels.csv", "labels.parquet"):
        read = pyarrow.csv.read_csv if name.endswith("csv") else pyarrow.parquet.read_table
        write = pyarrow.csv.write_csv if name.endswith("csv") else pyarrow.parquet.write_table
        write(read(folder / name).take(pa.array(SWAPPED)), folder / name)
    lines = (folder / "labels.jsonl").read_text().splitlines(keepends=True)
    (folder / "labels.jsonl").write_text("".join(lines[row] for row in SWAPPED))


def swapped_list(folder):
    """The list of images, which was also the labels before, is an older file."""
    for form in ("csv", "parquet"):
        shutil.copy(folder / f"labels.{form}", folder / f"list.{form}")
    path = folder / "step.yaml"
    path.write_text(path.read_text().replace("images: labels.", "images: list."))
    swapped_labels(folder)


def swapped_loader(folder):
    path = folder / "loading.py"
    path.write_text(path.read_text().replace("def digits(swapped=False", "def digits(swapped=True"))


def one_record_less(folder):
    digits.rewrite_records(folder / "digits.tfrecord", folder / "digits.tfrecord", list(range(digits.N - 1)))


def two_records_swapped(folder):
    digits.rewrite_records(folder / "digits.tfrecord", folder / "zipped.tfrecord", SWAPPED, "GZIP")
    digits.rewrite_records(folder / "digits.tfrecord", folder / "digits.tfrecord", SWAPPED)


def one_sample_less(folder):
    np.save(folder / "pixels.npy", np.load(folder / "pixels.npy")[:-1])
    for name in ("pixels.npz", "halves.npz"):
        loaded = dict(np.load(folder / name))
        np.savez(folder / name, **{part: array[:-1] for part, array in loaded.items()})


def another_class_folder(folder):
    """An image is in the folder of another class than when the labels were made."""
    shutil.copytree(folder / "images", folder / "others")
    moved = next((folder / "images" / "3").iterdir())
    moved.rename(folder / "images" / "7" / moved.name)
    path = folder / "step.yaml"
    path.write_text(path.read_text().replace("labels: {image_directory: images", "labels: {image_directory: others"))


# Data and labels are one file or one pass: the only possible fault is that some rows are not predicted.
TOO_FEW = "predict.steps=4"
SWAPPED = list(range(digits.N))
SWAPPED[3], SWAPPED[50] = 50, 3
TABLE = "table: pixels.csv, key: id, target: label"
KINDS = {
    "function": Kind(FLAT, "call: loading:digits", "path: labels.csv, label: label", swapped_loader, 2),
    "function-with-arguments": Kind(
        FLAT, "call: loading:digits, args: {swapped: false}", LABELS, "data.args.swapped=true", 2
    ),
    "function-with-targets": Kind(
        FLAT,
        "call: loading:digits, args: {named: false, targets: true}",
        "path: labels.csv, label: label",
        swapped_loader,
        require="labels",
    ),
    "npy": Kind(FLAT, "arrays: pixels.npy", UNNAMED, one_sample_less, require="declared"),
    "npz": Kind(FLAT, "arrays: pixels.npz", UNNAMED, one_sample_less, require="declared"),
    "npz-of-several-inputs": Kind(
        "call: loading:halves",
        "arrays: halves.npz, inputs: [left, right]",
        UNNAMED,
        one_sample_less,
        require="declared",
    ),
    "npz-with-key": Kind(FLAT, "arrays: pixels.npz, inputs: [x], key: id", LABELS, swapped_labels, 2),
    "npz-with-target": Kind(FLAT, "arrays: pixels.npz, target: y", UNNAMED, swapped_labels, require="labels"),
    "npz-with-key-and-target": Kind(
        FLAT, "arrays: pixels.npz, inputs: [x], key: id, target: y", LABELS, swapped_labels, 2
    ),
    "csv": Kind(FLAT, TABLE, LABELS, swapped_labels, 2),
    "parquet": Kind(FLAT, "table: pixels.parquet, key: id, target: label", LABELS, swapped_labels, 2),
    "jsonl": Kind(FLAT, "table: pixels.jsonl, key: id, target: label", LABELS, swapped_labels, 2),
    "table-of-several-inputs": Kind(
        "call: loading:halves", f"table: pixels.csv, columns: {{{HALVES}}}, key: id", LABELS, swapped_labels, 2
    ),
    "table-and-labels-in-one": Kind(FLAT, "table: pixels.csv, key: id", "path: pixels.csv, label: label", TOO_FEW),
    "images": Kind(SQUARE, "images: labels.csv, color_mode: grayscale, rescale: 1/255", LABELS, swapped_list, 2),
    "images-resized": Kind(
        SQUARE,
        "images: labels.parquet, size: [8, 8], color_mode: grayscale",
        "path: labels.parquet, label: label, key: file",
        swapped_list,
        2,
    ),
    "image-directory": Kind(
        SQUARE, "image_directory: images, color_mode: grayscale", "image_directory: images", another_class_folder, None
    ),
    "tfrecord": Kind(FLAT, f"tfrecord: digits.tfrecord, {PIXELS}, key: id", LABELS, two_records_swapped, 2),
    "tfrecord-short": Kind(FLAT, f"tfrecord: digits.tfrecord, {PIXELS}, key: id", LABELS, one_record_less),
    "tfrecord-zipped": Kind(
        FLAT, f"tfrecord: zipped.tfrecord, {PIXELS}, key: id, compression: GZIP", LABELS, two_records_swapped, 2
    ),
    "tfrecord-with-target": Kind(
        FLAT, f"tfrecord: 'd*.tfrecord', {PIXELS}, target: label", UNNAMED, two_records_swapped, require="labels"
    ),
    "tfrecord-of-images": Kind(
        SQUARE,
        "tfrecord: [digits.tfrecord], features: {png: {encoding: image, color_mode: grayscale, size: [8, 8]}}, "
        "inputs: [png], key: id",
        LABELS,
        two_records_swapped,
        2,
    ),
    "tfrecord-of-bytes": Kind(
        FLAT,
        "tfrecord: digits.tfrecord, features: {raw: {encoding: raw, shape: [64]}}, inputs: [raw], key: id",
        LABELS,
        two_records_swapped,
        2,
    ),
    "labels-parquet": Kind(FLAT, TABLE, "path: labels.parquet, label: label, key: file", swapped_labels, 2),
    "labels-jsonl": Kind(FLAT, TABLE, "path: labels.jsonl, label: label, key: file", swapped_labels, 2),
    "labels-npy": Kind(FLAT, "call: loading:digits", UNNAMED, swapped_loader, 2),
    "labels-manifest": Kind(
        FLAT, "call: loading:digits, args: {named: false}", "path: manifest.parquet", swapped_loader, 2
    ),
    "labels-of-the-stream": Kind(
        FLAT, "table: pixels.csv, columns: &pixels PIXELS, target: label", "from: stream", TOO_FEW
    ),
    "model-function": Kind("call: loading:model, args: {units: 3}", "call: loading:digits", LABELS, swapped_loader, 2),
    "model-h5": Kind("path: model.h5", "call: loading:digits", LABELS, swapped_loader, 2),
    "saved-model": Kind("path: saved", "arrays: pixels.npy", UNNAMED, one_sample_less, require="declared"),
    "saved-model-endpoint": Kind(
        "path: saved, endpoint: serving_default", "arrays: pixels.npy", UNNAMED, one_sample_less, require="declared"
    ),
}
EACH = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


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


def planted(folder, kind):
    """Plant the fault; return the additional arguments of the command line."""
    if isinstance(kind.fault, str):
        return ("--set", kind.fault)
    kind.fault(folder)
    return ()


def test_every_kind_that_a_file_can_name_is_here():
    """MLflow models are tested separately below."""
    for section, kinds in (("model", unions.MODELS), ("data", unions.DATA), ("labels", unions.LABELS)):
        named = {name for kind in KINDS.values() for name in kinds if f"{name}: " in getattr(kind, section)}
        assert named | ({"uri"} if section == "model" else set()) == set(kinds), section


@EACH
def test_each_kind_passes_with_the_proof_it_can_give(folder, command, kind):
    done = command("run", step_file(folder, kind.model, kind.data, kind.labels, kind.require))
    assert done.exit_code == 0, done.output
    report = report_of(folder)
    assert (report["verdict"], report["proof"]) == ("PASS", kind.require)
    table = pa.parquet.read_table(folder / "out" / "predictions.parquet")
    assert table.num_rows == digits.N


@EACH
def test_each_kind_fails_with_a_fault_planted(folder, command, kind):
    path = step_file(folder, kind.model, kind.data, kind.labels, kind.require)
    done = command("run", path, *planted(folder, kind))
    assert done.exit_code == 1, done.output
    report = report_of(folder)
    assert report["verdict"] == "FAIL"
    if kind.misaligned is not None:
        # Targets that differ do not show which rows are in position.
        assert report["counts"]["misaligned"] == (None if kind.require == "labels" else kind.misaligned)


# Inputs in label order, from each kind of data, for a loader without keys.
REFERENCES = {
    "npy": (FLAT, "pixels.npy"),
    "npz": (FLAT, "{arrays: pixels.npz, inputs: [x]}"),
    "table": (FLAT, "{table: pixels.csv, columns: &pixels PIXELS}"),
    "function": (FLAT, "{call: 'loading:digits', args: {swapped: false}}"),
    "tfrecord": (FLAT, f"{{tfrecord: digits.tfrecord, {PIXELS}}}"),
    "images": (SQUARE, "{images: labels.csv, color_mode: grayscale, rescale: 1/255}"),
    "image-directory": (SQUARE, "{image_directory: images, color_mode: grayscale, rescale: 1/255}"),
}


@pytest.mark.parametrize("fault", [None, swapped_loader], ids=["right", "swapped"])
@pytest.mark.parametrize(("model", "reference"), REFERENCES.values(), ids=REFERENCES)
def test_each_kind_of_reference_identifies_the_samples(folder, command, model, reference, fault):
    square = model == SQUARE
    if square:  # a loader of the same images, in the order of the reference
        names = sorted(path.relative_to(folder).as_posix() for path in (folder / "images").rglob("*.png"))
        listed = pyarrow.csv.read_csv(folder / "labels.csv")["file"].to_pylist()
        order = [listed.index(name) for name in names] if "directory" in reference else range(digits.N)
        pixels = (np.load(folder / "pixels.npy") * 255).astype("uint8").astype("float32") * np.float32(1 / 255)
        np.save(folder / "pixels.npy", pixels.reshape(-1, 8, 8, 1)[list(order)])
    columns = f"[{', '.join(f'p{number}' for number in range(64))}]"
    path = step_file(folder, model, "call: loading:digits, args: {named: false}", UNNAMED)
    text = path.read_text().replace("checks: {", f"checks: {{reference: {reference}, ")
    path.write_text(text.replace("&pixels PIXELS", columns))
    if fault is not None:
        fault(folder)
    done = command("run", path)
    assert done.exit_code == (0 if fault is None else 1), done.output
    report = report_of(folder)
    assert report["counts"]["misaligned"] == (0 if fault is None else 2)
    assert report["proof"] == "identity"


def test_a_column_of_weights_is_no_feature_where_data_and_labels_are_one_table(folder, command):
    lines = (folder / "pixels.csv").read_text().splitlines()
    weighted = [f"{lines[0]},weight", *(f"{line},0.5" for line in lines[1:])]
    (folder / "pixels.csv").write_text("\n".join(weighted) + "\n")
    labels = "path: pixels.csv, label: label, sample_weight: weight"
    done = command("run", step_file(folder, FLAT, "table: pixels.csv, key: id", labels))
    assert done.exit_code == 0, done.output


def test_labels_of_a_stream_that_shuffles_at_each_pass_fail(folder, command):
    done = command("run", step_file(folder, FLAT, "call: loading:shuffled", "from: stream"))
    assert done.exit_code == 1, done.output
    assert report_of(folder)["diagnosis"][0]["cause"] == "shuffled anew at each pass"


def test_the_attestation_of_a_step_is_about_its_own_files(folder, command):
    done = command(
        "run",
        step_file(folder, "path: model.keras", "arrays: pixels.npy", "path: labels.csv, label: label", "declared"),
    )
    assert done.exit_code == 0, done.output
    files = [folder / "model.keras", folder / "labels.csv", folder / "out" / "predictions.parquet"]
    done = command("gate", "--attestation", folder / "out" / "attestation.json", "--require", "declared", *files)
    assert done.exit_code == 0, done.output
    assert "not asked" not in done.output
    files[1].write_text(files[1].read_text().replace("1", "7"))
    assert (
        command("gate", "--attestation", folder / "out" / "attestation.json", "--require", "declared", *files).exit_code
        == 1
    )


FAIL_OF_TWO = r"kinds: FAIL: (2 of 75|at 2 rows) "
ENVIRONMENT = {"PYTHONPATH": str(Path(__file__).parents[2]), "TF_CPP_MIN_LOG_LEVEL": "3"}


def evalguard_run(folder, path, *more):
    """The real command."""
    environment = {
        **os.environ,
        **ENVIRONMENT,
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "EVALGUARD_SPOOL": str(folder / "spool"),
    }
    command = [sys.executable, "-m", "evalguard", "run", path.name, "-q", *more]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tfrecord-of-images", "tfrecord-of-bytes", "npz-with-target"])
def test_the_command_itself_passes_and_fails(folder, name):
    kind = KINDS[name]
    path = step_file(folder, kind.model, kind.data, kind.labels, kind.require)
    done = evalguard_run(folder, path)
    assert (done.returncode, done.stdout) == (
        0,
        f"kinds: PASS: all 75 predictions match their labels (proof: {kind.require})\n",
    )
    assert "Warning" not in done.stderr
    done = evalguard_run(folder, path, *planted(folder, kind))
    assert done.returncode == 1, done.stderr
    assert re.match(FAIL_OF_TWO, done.stdout)


@pytest.fixture
def logged(folder, monkeypatch, mlflow_template):
    """URIs of a model in MLflow."""
    shutil.copy(mlflow_template, folder / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    model = keras.saving.load_model(folder / "model.keras")
    client = mlflow.MlflowClient()
    experiment = client.create_experiment("kept", artifact_location=(folder / "kept").as_uri())
    with mlflow.start_run(experiment_id=experiment) as run:
        info = mlflow.keras.log_model(model, name="model", registered_model_name="digits")
    client.set_registered_model_alias("digits", "best", "1")
    return {
        "version": "models:/digits/1",
        "alias": "models:/digits@best",
        "id": f"models:/{info.model_id}",
        "run": f"runs:/{run.info.run_id}/model",
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")
@pytest.mark.parametrize("form", ["version", "alias", "id", "run"])
def test_models_in_mlflow_pass_and_fail(folder, command, logged, form):
    path = step_file(folder, f"uri: '{logged[form]}'", "call: loading:digits", UNNAMED)
    done = command("run", path)
    assert done.exit_code == 0, done.output
    swapped_loader(folder)
    done = command("run", path)
    assert done.exit_code == 1, done.output
    assert report_of(folder)["counts"]["misaligned"] == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")
def test_the_command_itself_fails_for_models_in_mlflow(folder, logged):
    swapped_loader(folder)
    for form in ("version", "run"):
        done = evalguard_run(folder, step_file(folder, f"uri: '{logged[form]}'", "call: loading:digits", UNNAMED))
        assert done.returncode == 1, done.stderr
        assert re.match(FAIL_OF_TWO, done.stdout)


def test_a_model_that_is_not_in_mlflow_exits_with_2(folder, command, tmp_path, mlflow_template):
    shutil.copy(mlflow_template, tmp_path / "mlflow.db")
    done = command("run", step_file(folder, "uri: models:/nothing/1", "arrays: pixels.npy", UNNAMED))
    assert done.exit_code == 2
    assert "model.uri: models:/nothing/1 could not be loaded" in done.output


@pytest.mark.parametrize(
    ("names", "given"),
    [
        pytest.param(["part[1].tfrecord"], "'part[1].tfrecord'", id="brackets"),
        pytest.param(["a.tfrecord", "part[1].tfrecord"], "[a.tfrecord, 'part[1].tfrecord']", id="brackets-in-a-list"),
        pytest.param(["a.tfrecord", "part[1].tfrecord"], "'*.tfrecord'", id="pattern"),
        pytest.param(["part0.tfrecord", "part1.tfrecord"], "'part[01].tfrecord'", id="pattern-with-brackets"),
        pytest.param(["what?.tfrecord"], "'what?.tfrecord'", id="question-mark"),
        pytest.param(["sub[1]/a.tfrecord"], "'sub[[]1]/*.tfrecord'", id="pattern-that-escapes"),
    ],
)
def test_every_record_file_that_is_named_is_read(whole, command, tmp_path, names, given):
    folder = digits.copied(whole, tmp_path / "run [3]")
    rows = np.array_split(np.arange(digits.N), len(names))
    for name, part in zip(names, rows, strict=True):
        (folder / name).parent.mkdir(exist_ok=True)
        digits.rewrite_records(whole / "digits.tfrecord", folder / name, part.tolist())
    for other in ("digits.tfrecord", "zipped.tfrecord"):
        (folder / other).unlink()
    done = command("run", step_file(folder, FLAT, f"tfrecord: {given}, {PIXELS}, key: id", LABELS))
    assert done.exit_code == 0, done.output
    assert report_of(folder)["verdict"] == "PASS"


@pytest.mark.parametrize("given", ["[digits.tfrecord, 'part[1].tfrecord']", "['no-*', digits.tfrecord]", "'*'"])
def test_a_name_or_pattern_that_gives_no_record_file_is_refused(folder, command, given):
    done = command("run", step_file(folder, FLAT, f"tfrecord: {given}, {PIXELS}, key: id", LABELS))
    assert done.exit_code == 2, done.output
    assert "data.tfrecord: expected TFRecord files at " in done.output


def test_images_whose_names_are_not_utf_8_are_read(folder, command):
    """The names themselves cannot be written to a table: that is said, and the verdict stands."""
    os.rename(os.fsencode(folder / "images/0/000.png"), os.fsencode(folder / "images/0") + b"/\xff.png")
    data = "image_directory: images, color_mode: grayscale"
    done = command("run", step_file(folder, SQUARE, data, "image_directory: images"))
    assert report_of(folder)["verdict"] == "PASS"
    assert "could not write" in done.output
    assert "predictions.parquet" in done.output
