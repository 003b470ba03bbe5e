"""What an attestation names: the columns of the data frame that a user may save, for verdicts that a gate accepts."""

import json

import keras
import numpy as np
import pytest

import evalguard
from evalguard.data.digests import columns_sha256
from evalguard.guards import attested

X = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
Y = (X.sum(axis=1) > 0).astype("int64")


@pytest.fixture(scope="module")
def model():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])


def statement(tmp_path):
    (configuration,) = json.loads((tmp_path / "attestation.json").read_text())["predicate"]["configuration"]
    return configuration["annotations"]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        pytest.param({}, {"sample", "y_true"}, id="plain"),
        pytest.param(
            {"classes": ["low", "mid", "high"]}, {"sample", "y_true", "prediction", "label", "predicted"}, id="classes"
        ),
        pytest.param(
            {"classes": ["0", "1", "2"]}, {"sample", "y_true", "label", "predicted"}, id="names-that-are-numbers"
        ),
        pytest.param({"sample_weight": np.ones(40)}, {"sample", "y_true", "sample_weight"}, id="weights"),
    ],
)
def test_the_arrays_of_the_data_frame_are_stated(model, tmp_path, options, names):
    with evalguard.guard(labels=Y, reference=X, mlflow=False, output=tmp_path, **options) as g:
        model.predict(X, verbose=0)
    columns = statement(tmp_path)["columns"]
    assert columns.keys() == names
    frame = g.to_frame()
    for name in names - {"prediction"}:
        assert columns[name] == columns_sha256({name: frame[name].to_numpy()}), name


def test_no_columns_are_stated_of_a_verdict_that_no_gate_accepts(model, tmp_path):
    with evalguard.guard(labels=Y, reference=X, mlflow=False, output=tmp_path, on_failure="record") as g:
        model.predict(X[::-1].copy(), verbose=0)
    assert g.report.verdict is evalguard.Verdict.FAIL
    assert "columns" not in statement(tmp_path)


def test_arrays_of_too_many_columns_are_left_out(model, tmp_path, monkeypatch):
    monkeypatch.setattr(attested, "MAX_COLUMNS", 2)
    labels = np.eye(3)[Y]
    with evalguard.guard(labels=labels, reference=X, mlflow=False, output=tmp_path):
        model.predict(X, verbose=0)
    assert statement(tmp_path)["columns"].keys() == {"sample"}
    assert "row_shapes" not in statement(tmp_path)


@pytest.mark.parametrize("most", [40 * 8 - 1, 40 * 8], ids=["too-large", "small-enough"])
def test_labels_that_are_too_large_are_not_copied(model, tmp_path, monkeypatch, most):
    monkeypatch.setattr(attested, "MAX_COPIED", most)
    with evalguard.guard(labels=Y, reference=X, mlflow=False, output=tmp_path) as g:
        model.predict(X, verbose=0)
    assert g.report.verdict is evalguard.Verdict.PASS
    assert ("columns" in statement(tmp_path)) is (most == 40 * 8)


def test_the_shape_of_an_image_is_stated(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(12), keras.layers.Reshape((2, 2, 3))])
    with evalguard.guard(labels=Y, reference=X, mlflow=False, output=tmp_path):
        model.predict(X, verbose=0)
    assert statement(tmp_path)["row_shapes"] == {"prediction": [2, 2, 3]}


def test_rows_that_make_no_table_cost_no_verdict(tmp_path):
    """Two calls of rows of different shapes: `to_frame` raises."""
    first, second = (keras.Sequential([keras.Input((4,)), keras.layers.Dense(units)]) for units in (2, 3))
    with evalguard.guard(labels=Y, reference=X, scope="session", mlflow=False, output=tmp_path) as g:
        first.predict(X[:20], verbose=0)
        second.predict(X[20:], verbose=0)
    assert g.report.verdict is evalguard.Verdict.PASS
    assert "columns" not in statement(tmp_path)
