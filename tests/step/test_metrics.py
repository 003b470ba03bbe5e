"""Metrics of a step: by name, by function, several; before and after realignment; the files by digest."""

import hashlib
import json

import pytest
from sklearn.metrics import accuracy_score

from tests.step import digits

STEP = """\
version: 1
name: scores
model: {path: model.keras}
data: {call: loading:digits}
labels: {path: labels.npy}
metrics: METRICS
outputs: {directory: out}
mlflow: {enabled: false}
"""


@pytest.fixture
def folder(forms, tmp_path):
    copy = digits.copied(forms, tmp_path / "digits")
    more = "\ndef right(y_true, y_pred, weight=1.0):\n    return weight * (y_true == y_pred.argmax(axis=1)).mean()\n"
    (copy / "loading.py").write_text((copy / "loading.py").read_text() + more)
    return copy


def run(folder, command, metrics, *more):
    (folder / "step.yaml").write_text(STEP.replace("METRICS", metrics))
    return command("run", folder / "step.yaml", "-q", *more)


def expected(folder):
    """The value that scikit-learn computes from the returned predictions."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(folder / "out" / "predictions.parquet").to_pandas()
    return accuracy_score(table["y_true"], table.filter(like="prediction_").to_numpy().argmax(axis=1))


@pytest.mark.parametrize(
    ("metrics", "name", "factor"),
    [
        ("accuracy", "accuracy", 1),
        ("['sklearn:accuracy']", "sklearn:accuracy", 1),
        ("[{call: 'loading:right'}]", "loading:right", 1),
        ("{twice: {call: 'loading:right', args: {weight: 2.0}}}", "twice", 2),
    ],
)
def test_metric_values_equal_those_of_scikit_learn(folder, command, metrics, name, factor):
    done = run(folder, command, metrics)
    assert done.exit_code == 0, done.output
    told = json.loads((folder / "out" / "metrics.json").read_text())
    assert told["verdict"] == "PASS"
    assert told["metrics"][name]["as_scored"] == pytest.approx(factor * expected(folder))


def test_several_metrics_of_an_output_are_refused_by_name_where_there_is_one_output(folder, command):
    assert run(folder, command, "{kind: [accuracy, {call: 'loading:right'}]}").exit_code == 0
    found = json.loads((folder / "out" / "metrics.json").read_text())["metrics"]
    assert set(found) == {"accuracy, kind", "loading:right, kind"}
    assert all("expected the name of an output" in values["error"] for values in found.values())


def test_a_misalignment_is_reported_with_both_metric_values(folder, command):
    done = run(folder, command, "accuracy", "--set", "data.args.swapped=true")
    assert done.exit_code == 1, done.output
    values = json.loads((folder / "out" / "metrics.json").read_text())["metrics"]["accuracy"]
    assert values["realigned"] == pytest.approx(expected(folder)), (
        "y_true of each row is the label of that row's sample"
    )


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ("acuracy", "metrics: expected one of"),
        ("[{call: 'loading:wrong'}]", "metrics: expected an importable 'loading:wrong'"),
        ("[{cal: 'loading:right'}]", "metrics"),
        ("[accuracy, accuracy]", "metrics: expected each name once"),
        ("3", "line 6, metrics: expected"),
    ],
)
def test_an_unknown_metric_is_an_error(folder, command, metrics, message):
    done = run(folder, command, metrics)
    assert done.exit_code == 2, done.output
    assert message in done.output


def test_model_and_labels_are_named_by_digest_in_the_attestation(folder, command):
    assert run(folder, command, "accuracy").exit_code == 0
    told = (folder / "out" / "attestation.json").read_text()
    for name in ("model.keras", "labels.npy"):
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() in told
