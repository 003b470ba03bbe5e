"""The options of a step that are those of the guard and of ``predict``, through the command line."""

import json
import shutil

import numpy as np
import pyarrow.parquet
import pytest

from tests.step import digits

STEP = """\
version: 1
name: options
model: {MODEL}
data: {call: 'loading:DATA'}
labels: {path: labels.npy}
checks: {CHECKS}
outputs: {directory: out}
mlflow: {enabled: false}
"""

MORE = '''
class Padded(Digits):
    """Whole batches only: the last one begins with the first samples again."""

    def __init__(self):
        super().__init__(np.concatenate([np.arange(75), np.arange(5)]))

def padded():
    return Padded()

class Keyed(Digits):
    def __getitem__(self, number):
        rows = self.rows(number)
        return ({"x": X[rows], "id": rows},)

def keyed(order=None):
    return Keyed(np.arange(75), named=False)

def keyed_swapped():
    order = np.arange(75)
    order[[3, 50]] = order[[50, 3]]
    return Keyed(order, named=False)

def of_named_input():
    inputs = keras.Input((64,), name="x")
    return keras.Model({"x": inputs}, keras.layers.Dense(10)(inputs))

def noisy():
    class Noisy(Digits):
        def __getitem__(self, number):
            rows = self.rows(number)
            noise = np.random.default_rng(number).normal(size=(len(rows), 1)).astype("float32")
            return ({"x": X[rows], "noise": noise},)
    return Noisy(np.arange(75), named=False)

def of_two_inputs():
    x, noise = keras.Input((64,), name="x"), keras.Input((1,), name="noise")
    return keras.Model({"x": x, "noise": noise}, keras.layers.Dense(10)(x) + noise)

def pixels_only(x):
    return x["x"] if isinstance(x, dict) else x

def old_model():
    import tf_keras
    return tf_keras.Sequential([tf_keras.layers.Dense(10, input_shape=(64,))])

def old_sequence():
    import tf_keras
    class Old(tf_keras.utils.Sequence):
        def __len__(self):
            return 5
        def sample_indices(self, number):
            return np.arange(number * 16, min(75, number * 16 + 16))
        def __getitem__(self, number):
            return (X[self.sample_indices(number)],)
    return Old()

def upside_down():
    reverse = keras.layers.Lambda(lambda y: y[::-1])
    return keras.Sequential([keras.Input((64,)), keras.layers.Dense(10), reverse])

def two_heads():
    inputs = keras.Input((64,))
    return keras.Model(inputs, {"digit": keras.layers.Dense(10)(inputs), "even": keras.layers.Dense(1)(inputs)})
'''

FLAT = "path: model.keras"
# Model, data, checks, exit code, verdict, and what the report must hold.
OPTIONS = {
    "repair": (FLAT, "digits', args: {swapped: true}, x: '", "on_failure: repair, require: identity", 0, "REPAIRED"),
    "raise-is-recorded": (FLAT, "digits', args: {swapped: true}, x: '", "on_failure: raise", 1, "FAIL"),
    "unproven-raise": (FLAT, "digits', args: {named: false}, x: '", "on_unproven: raise", 3, "UNPROVEN"),
    "require-less": (FLAT, "digits', args: {named: false}, x: '", "require: transport", 0, "PASS"),
    "padding-forbidden": (FLAT, "padded", "require: identity", 1, "FAIL"),
    "padding-trimmed": (FLAT, "padded", "require: identity, padding: trim", 0, "PASS"),
    "reference-npy": (
        FLAT,
        "digits', args: {named: false}, x: '",
        "require: identity, reference: pixels.npy",
        0,
        "PASS",
    ),
    "reference-npz": (
        FLAT,
        "digits', args: {named: false}, x: '",
        "require: identity, reference: {arrays: pixels.npz, inputs: [x]}",
        0,
        "PASS",
    ),
    "reference-table": (
        FLAT,
        "digits', args: {named: false, swapped: true}, x: '",
        "reference: {table: pixels.csv, columns: COLUMNS}",
        1,
        "FAIL",
    ),
    "reference-function": (
        FLAT,
        "digits', args: {named: false}, x: '",
        "require: identity, reference: {call: 'loading:digits'}",
        0,
        "PASS",
    ),
    "fingerprint": (
        "call: 'loading:of_two_inputs'",
        "noisy",
        "require: identity, fingerprint: 'loading:pixels_only', reference: pixels.npy",
        0,
        "PASS",
    ),
    "model-that-moves-rows": ("call: 'loading:upside_down'", "digits", "require: identity", 1, "FAIL"),
    "model-not-tested": ("call: 'loading:upside_down'", "digits", "verify_model: false", 0, "PASS"),
    "tf-keras": ("call: 'loading:old_model'", "old_sequence", "require: identity", 0, "PASS"),
}


@pytest.fixture
def folder(forms, tmp_path):
    copy = digits.copied(forms, tmp_path / "digits")
    (copy / "loading.py").write_text((copy / "loading.py").read_text() + MORE)
    return copy


def run(folder, command, model, data, checks, *more):
    columns = f"[{', '.join(f'p{number}' for number in range(64))}]"
    text = STEP.replace("MODEL", model).replace("DATA", data).replace("CHECKS", checks).replace("COLUMNS", columns)
    (folder / "step.yaml").write_text(text.replace(", x: ''", ""))
    return command("run", folder / "step.yaml", "-q", *more)


@pytest.mark.parametrize(("model", "data", "checks", "code", "verdict"), OPTIONS.values(), ids=OPTIONS)
def test_an_option_does_what_it_does_in_python(folder, command, model, data, checks, code, verdict):
    done = run(folder, command, model, data, checks)
    assert done.exit_code == code, done.output
    report = json.loads((folder / "out" / "report.json").read_text())
    assert report["verdict"] == verdict
    table = pyarrow.parquet.read_table(folder / "out" / "predictions.parquet")
    assert table.schema.metadata[b"evalguard.verdict"] == verdict.encode()
    if verdict in {"PASS", "REPAIRED"} and report["proof"] == "identity":
        assert table["sample"].to_pylist() == list(range(digits.N))
        assert table["y_true"].to_pylist() == np.load(folder / "labels.npy").tolist()


@pytest.mark.parametrize(("data", "code"), [("keyed", 0), ("keyed_swapped", 1)])
def test_a_key_in_a_dict_of_inputs_is_compared_and_taken_out(folder, command, data, code):
    lines = ["id,label", *(f"{row},{label}" for row, label in enumerate(np.load(folder / "labels.npy")))]
    (folder / "by_id.csv").write_text("\n".join(lines) + "\n")
    more = ("--set", "labels={path: by_id.csv, label: label, key: id}")
    checks = "require: identity, key: id, drop_key: true"
    done = run(folder, command, "call: 'loading:of_named_input'", data, checks, *more)
    assert done.exit_code == code, done.output


def test_labels_of_several_outputs_are_columns_by_output(folder, command):
    labels = np.load(folder / "labels.npy")
    lines = ["digit,even", *(f"{label},{1 - label % 2}" for label in labels)]
    (folder / "two.csv").write_text("\n".join(lines) + "\n")
    more = ("--set", "labels={path: two.csv, label: {digit: digit, even: even}}")
    done = run(folder, command, "call: 'loading:two_heads'", "digits", "require: identity", *more)
    assert done.exit_code == 0, done.output
    table = pyarrow.parquet.read_table(folder / "out" / "predictions.parquet")
    assert {"y_true.digit", "y_true.even", "prediction.digit_9", "prediction.even"} <= set(table.column_names)
    assert table["y_true.digit"].to_pylist() == labels.tolist()


def test_a_column_of_weights_is_a_column_of_the_predictions(folder, command):
    weights = np.linspace(0.5, 2, digits.N)
    lines = [
        "label,weight",
        *(f"{label},{w}" for label, w in zip(np.load(folder / "labels.npy"), weights, strict=True)),
    ]
    (folder / "weighted.csv").write_text("\n".join(lines) + "\n")
    more = ("--set", "labels={path: weighted.csv, sample_weight: weight}")
    done = run(folder, command, FLAT, "digits", "require: identity", *more)
    assert done.exit_code == 0, done.output
    table = pyarrow.parquet.read_table(folder / "out" / "predictions.parquet")
    assert np.allclose(table["sample_weight"], weights)


WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
NUMBER_OF = {word: number for number, word in enumerate(WORDS)}


@pytest.mark.parametrize("classes", [WORDS, NUMBER_OF], ids=["list", "mapping"])
def test_labels_that_are_names_are_compared_as_numbers(folder, command, classes):
    lines = ["label", *(WORDS[label] for label in np.load(folder / "labels.npy"))]
    (folder / "words.csv").write_text("\n".join(lines) + "\n")
    more = ("--set", "labels={path: words.csv}", "--set", "metrics=accuracy")
    done = run(
        folder, command, FLAT, "digits', args: {named: false, targets: true}, x: '", f"classes: {classes}", *more
    )
    assert done.exit_code == 0, done.output
    report = json.loads((folder / "out" / "report.json").read_text())
    assert (report["proof"], report["labels"]["classes"]) == ("labels", WORDS)
    assert 0 <= report["impact"]["accuracy"]["as_scored"] <= 1
    table = pyarrow.parquet.read_table(folder / "out" / "predictions.parquet")
    assert {"prediction_seven", "predicted", "label"} <= set(table.column_names)
    assert table["label"].to_pylist() == lines[1:]
    done = run(folder, command, FLAT, "digits", f"classes: {WORDS[:9]}", *more)
    assert done.exit_code == 2
    assert "words.csv: expected names in classes=" in done.output


@pytest.mark.parametrize(
    "classes",
    [list("0123456789"), dict(zip("0123456789", range(10), strict=True)), {"probs": list("0123456789")}],
    ids=["list", "mapping", "of-an-output"],
)
def test_class_folders_are_numbered_by_the_classes(folder, command, classes):
    """One folder is missing: by its name each other one keeps its number."""
    shutil.rmtree(folder / "images" / "0")
    model, data = "path: square.keras", "digits', x: '"
    more = (
        "--set",
        "labels={image_directory: images}",
        "--set",
        "data={image_directory: images, color_mode: grayscale}",
    )
    done = run(folder, command, model, data, f"classes: {classes}", *more)
    assert done.exit_code == 0, done.output
    table = pyarrow.parquet.read_table(folder / "out" / "predictions.parquet")
    assert [int(name.split("/")[-2]) for name in table["key"].to_pylist()] == table["y_true"].to_pylist()


@pytest.mark.parametrize(("checks", "status"), [("{}", "proven"), ("{verify_model: false}", "declared")])
def test_a_step_tests_its_model_unless_told_not_to(folder, command, checks, status):
    done = run(folder, command, FLAT, "digits", checks.strip("{}"))
    assert done.exit_code == 0, done.output
    chain = json.loads((folder / "out" / "report.json").read_text())["chain"]
    assert [link["status"] for link in chain if link["link"] == "computed"] == [status]


def test_workers_are_those_of_the_dataset(folder, command):
    more = "\ndef spied():\n    made = digits()\n    import builtins\n    builtins.evalguard_spied = made\n    return made\n"
    (folder / "loading.py").write_text((folder / "loading.py").read_text() + more)
    settings = ("--set", "predict={workers: 3, max_queue_size: 4, steps: 5}")
    done = run(folder, command, FLAT, "spied", "require: identity", *settings)
    assert done.exit_code == 0, done.output
    import builtins

    made = builtins.__dict__.pop("evalguard_spied")
    assert (made.workers, made.max_queue_size) == (3, 4)


def test_fewer_steps_than_rows_are_a_fail(folder, command):
    done = run(folder, command, FLAT, "digits", "require: identity", "--set", "predict.steps=4")
    assert done.exit_code == 1, done.output
    assert json.loads((folder / "out" / "report.json").read_text())["counts"]["missing"] == 11
