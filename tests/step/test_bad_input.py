"""Each kind of bad input through the command line: its exit code, and a message that says what to do."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.step import digits

STEP = """\
version: 1
name: bad
model: {path: model.keras}
data: {table: pixels.csv, key: id, target: label}
labels: {path: labels.csv, label: label, key: file}
outputs: {directory: out}
mlflow: {enabled: false}
"""

MORE = """
def unknown():
    return object()

def raising():
    raise RuntimeError("no such bucket")

def halving():
    return keras.Sequential([keras.Input((64,)), keras.layers.Lambda(lambda x: x[::2])])

def no_model():
    return {}
"""


@pytest.fixture
def folder(forms, tmp_path):
    copy = digits.copied(forms, tmp_path / "digits")
    (copy / "loading.py").write_text((copy / "loading.py").read_text() + MORE)
    (copy / "torn.keras").write_bytes((copy / "model.keras").read_bytes()[:500])
    (copy / "torn.parquet").write_bytes((copy / "labels.parquet").read_bytes()[:100])
    (copy / "empty.csv").write_text("")
    (copy / "header.csv").write_text("file,label\n")
    (copy / "twice.csv").write_text("file,label\na,1\nb,2\na,3\n")
    (copy / "gap.csv").write_text("file,label\na,1\n,2\n")
    (copy / "no_label.csv").write_text("file,label\na,1\nb,\n")
    (copy / "two.csv").write_text("file,first,second\na,1,2\n")
    (copy / "words.csv").write_text("id,p\na,much\n")
    (copy / "same.csv").write_text("id,p,p\na,1,2\n")
    (copy / "gone.csv").write_text("file,label\nimages/0/000.png,0\nimages/nowhere.png,1\n")
    np.savez(copy / "uneven.npz", x=np.zeros((5, 64)), id=np.arange(4))
    amounts = pa.array([1, 2]).cast(pa.decimal128(20))
    pq.write_table(pa.table({"id": ["a", "b"], "p": [0.5, 1.5], "amount": amounts}), copy / "decimals.parquet")
    np.savez(copy / "none.npz")
    np.save(copy / "scalar.npy", np.float32(1))
    np.save(copy / "no_rows.npy", np.zeros((0, 64), np.float32))
    np.save(copy / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    (copy / "empty_folder").mkdir()
    return copy


LABELS = "labels: {path: labels.csv, label: label, key: file}"
DATA = "data: {table: pixels.csv, key: id, target: label}"
MODEL = "model: {path: model.keras}"

# Fault → the line changed, exit code, message.
BAD = {
    "labels-missing": (
        LABELS,
        "labels: {path: no.csv}",
        2,
        "no.csv: expected a CSV, Parquet, JSONL, Arrow or .npy file, found none there",
    ),
    "labels-empty": (
        LABELS,
        "labels: {path: empty.csv}",
        2,
        "empty.csv: expected a CSV, Parquet, JSONL or Arrow table, found",
    ),
    "labels-header-only": (
        LABELS,
        "labels: {path: header.csv, label: label, key: file}",
        2,
        "header.csv: expected at least one label, found none",
    ),
    "labels-column": (
        LABELS,
        "labels: {path: labels.csv, label: lable}",
        2,
        "expected a column 'lable', found columns 'file', 'label'",
    ),
    "labels-which-column": (
        LABELS,
        "labels: {path: two.csv, key: file}",
        2,
        "expected one column that could hold the labels, found 'first', 'second'; name it",
    ),
    "labels-key-repeated": (
        LABELS,
        "labels: {path: twice.csv, label: label, key: file}",
        2,
        "twice.csv: expected each key once, found 1 repeated key; the first is 'a' at rows 0, 2",
    ),
    "labels-key-null": (
        LABELS,
        "labels: {path: gap.csv, label: label, key: file}",
        2,
        "column 'file': expected a value in each row, found none at row 1",
    ),
    "labels-null": (
        LABELS,
        "labels: {path: no_label.csv, label: label}",
        2,
        "column 'label': expected a value in each row, found none at row 1",
    ),
    "labels-torn": (
        LABELS,
        "labels: {path: torn.parquet}",
        2,
        "torn.parquet: expected a CSV, Parquet, JSONL or Arrow table",
    ),
    "labels-objects": (
        LABELS,
        "labels: {path: objects.npy}",
        2,
        "objects.npy: expected a .npy or .npz file without Python objects",
    ),
    "labels-npy-column": (LABELS, "labels: {path: labels.npy, label: y}", 2, "a .npy file has no columns"),
    "labels-folders": (
        LABELS,
        "labels: {image_directory: images, class_names: ['0']}",
        2,
        "labels.class_names: expected a name for each folder",
    ),
    "labels-no-folder": (
        LABELS,
        "labels: {image_directory: nowhere}",
        2,
        "labels.image_directory: expected a folder of images at",
    ),
    "labels-of-a-stream-without": (
        DATA + "\n" + LABELS,
        "data: {arrays: pixels.npy}\nlabels: {from: stream}",
        2,
        "labels.from: expected a stream with y, found arrays without y",
    ),
    "model-missing": (MODEL, "model: {path: no.keras}", 2, "model.path: expected a model at"),
    "model-torn": (MODEL, "model: {path: torn.keras}", 2, "torn.keras could not be loaded by Keras"),
    "model-folder": (MODEL, "model: {path: images}", 2, "found a folder without saved_model.pb"),
    "model-endpoint": (
        MODEL,
        "model: {path: saved, endpoint: srve}",
        2,
        "model.endpoint: expected one of serve, serving_default; found 'srve'",
    ),
    "model-endpoint-of-a-file": (
        MODEL,
        "model: {path: model.keras, endpoint: serve}",
        2,
        "expected the folder of a SavedModel",
    ),
    "model-none": (MODEL, "model: {call: loading:no_model}", 2, "model: expected a Keras model, found builtins.dict"),
    "model-other-rows": (
        MODEL + "\n" + DATA,
        "model: {call: loading:halving}\ndata: {call: loading:digits}",
        3,
        " rows and returned 38",
    ),
    "data-missing": (DATA, "data: {table: no.csv}", 2, "data.table: expected a CSV, Parquet, JSONL or Arrow file at"),
    "data-column": (
        DATA,
        "data: {table: pixels.csv, key: ids}",
        2,
        "data.table: expected a column 'ids', found columns 'id', 'p0'",
    ),
    "data-words": (
        DATA,
        "data: {table: words.csv, key: id}",
        2,
        "column 'p': expected numbers (float32), found string",
    ),
    "data-scalar": (
        DATA + "\n" + LABELS,
        "data: {arrays: scalar.npy}\nlabels: {path: labels.npy}",
        2,
        "data: expected as many rows in each array of",
    ),
    "data-no-rows": (
        DATA + "\n" + LABELS,
        "data: {arrays: no_rows.npy}\nlabels: {path: labels.npy}",
        2,
        "data: expected at least one row in",
    ),
    "data-no-inputs": (
        DATA + "\n" + LABELS,
        "data: {arrays: halves.npz, inputs: []}\nlabels: {path: labels.npy}",
        2,
        "halves.npz holds 'left', 'right'; name the model's inputs",
    ),
    "data-no-arrays": (DATA, "data: {arrays: none.npz, key: id}", 2, "none.npz: no array; save it with numpy.savez"),
    "reference-scalar": (
        "version: 1",
        "version: 1\nchecks: {reference: scalar.npy}",
        2,
        "reference: expected inputs with one entry for each sample, found a scalar",
    ),
    "data-twice": (
        DATA,
        "data: {table: same.csv, key: id}",
        2,
        "data.table: expected one column 'p', found 2 of that name",
    ),
    "data-decimals": (
        DATA,
        "data: {table: decimals.parquet, key: id, columns: [p], target: amount}",
        2,
        "data: expected numbers or text that TensorFlow can read, found",
    ),
    "data-no-key": (
        DATA,
        "data: {table: pixels.csv, target: label}",
        2,
        "data.key: the labels have the key 'file', the data has none; name its key, or remove labels.key",
    ),
    "data-key-alone": (
        LABELS,
        "labels: {path: labels.csv, label: label}",
        2,
        "data.key: the rows have the key 'id', the labels have none; give labels.key",
    ),
    "data-uneven": (
        DATA,
        "data: {arrays: uneven.npz, inputs: [x], key: id}",
        2,
        "data: expected as many rows in each array",
    ),
    "data-array": (DATA, "data: {arrays: pixels.npz, inputs: [z], key: id}", 2, "data: expected an array 'z' in"),
    "data-which-array": (
        DATA,
        "data: {arrays: pixels.npy, key: id}",
        2,
        "data.key: expected a .npz file with named arrays",
    ),
    "data-objects": (DATA, "data: {arrays: objects.npy}", 2, "expected a .npy or .npz file without Python objects"),
    "data-images-gone": (
        DATA,
        "data: {images: gone.csv}",
        2,
        "data.images: expected the listed files, found no file at row 1",
    ),
    "data-no-images": (DATA, "data: {image_directory: empty_folder}", 2, "data.image_directory: expected image files"),
    "data-no-records": (
        DATA,
        "data: {tfrecord: 'no-*', inputs: [x], features: {x: {}}, key: id}",
        2,
        "data.tfrecord: expected TFRecord files at",
    ),
    "data-feature": (
        DATA,
        "data: {tfrecord: digits.tfrecord, inputs: [x], features: {}}",
        2,
        "data: expected 'x' among features, found none",
    ),
    "data-unknown-type": (DATA, "data: {call: loading:unknown}", 2, "a tf.data.Dataset, found object"),
    "data-raises": (
        DATA,
        "data: {call: loading:raising}",
        2,
        "data.call: loading:raising(**{}) raised RuntimeError: no such bucket",
    ),
    "data-no-module": (DATA, "data: {call: lodaing:digits}", 2, "data.call: expected an importable 'lodaing:digits'"),
    "data-no-function": (
        DATA,
        "data: {call: loading:X}",
        2,
        "data.call: expected a function, found loading:X of type ndarray",
    ),
    "predict-workers": (
        "version: 1",
        "version: 1\npredict: {workers: 2}",
        2,
        "predict.workers: expected a PyDataset, found BatchDataset",
    ),
    "predict-batch-size": (
        DATA,
        "data: {call: loading:digits}\npredict: {batch_size: 16}",
        2,
        "predict.batch_size: expected arrays, found Digits",
    ),
    "reference-missing": (
        "version: 1",
        "version: 1\nchecks: {reference: no.npy}",
        2,
        "checks.reference: expected a .npy",
    ),
    "reference-rows": (
        DATA,
        "data: {table: pixels.csv, key: id, target: label}\nchecks: {reference: {arrays: uneven.npz, inputs: [id]}}",
        2,
        "reference: expected one row for each of the 75 labels, found 4",
    ),
    "fingerprint": (
        "version: 1",
        "version: 1\nchecks: {fingerprint: 'loading:none'}",
        2,
        "checks.fingerprint: expected an importable",
    ),
    "output-is-a-file": ("directory: out", "directory: labels.csv/out", 2, "outputs.directory:"),
}


@pytest.mark.parametrize(("old", "new", "code", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_reported_with_its_exit_code(folder, command, old, new, code, message):
    assert old in STEP
    path = folder / "step.yaml"
    path.write_text(STEP.replace(old, new))
    done = command("run", path)
    assert message in done.output
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output


def test_the_unchanged_file_passes(folder, command):
    path = folder / "step.yaml"
    path.write_text(STEP)
    assert command("run", path).exit_code == 0


def test_one_evaluation_that_cannot_be_opened_does_not_stop_the_others(folder, command):
    path = folder / "step.yaml"
    path.write_text(
        STEP.replace(DATA + "\n", "")
        + "evaluations:\n  - name: good\n    data: {table: pixels.csv, key: id, target: label}\n"
        "  - name: bad\n    data: {table: no.csv}\n"
    )
    done = command("run", path, "-q")
    assert done.exit_code == 2
    assert "good: PASS" in done.output
    assert "evalguard: bad: data.table: expected" in done.output
    assert (folder / "out" / "good" / "report.json").is_file()


def test_the_worst_of_several_verdicts_is_the_exit_code(folder, command):
    path = folder / "step.yaml"
    path.write_text(
        STEP.replace(DATA, "data: {call: loading:digits}")
        + "evaluations:\n  - name: good\n  - {name: wrong, data: {call: loading:digits, args: {swapped: true}}}\n"
        "  - {name: weak, data: {call: loading:digits, args: {named: false}}}\n"
    )
    done = command("run", path, "-q")
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == ["good", "wrong", "weak"]
    assert done.exit_code == 1
