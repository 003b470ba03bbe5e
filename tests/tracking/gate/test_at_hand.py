"""Files at hand: each holds exactly the arrays that were judged, under their names, and all of them are there."""

import functools
import json
import zipfile

import keras
import numpy as np
import pandas as pd
import pytest

import evalguard
from evalguard.errors import ConfigError
from evalguard.tracking.gate.at_hand import Attested, parts_of

X = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
Y = (X.sum(axis=1) > 0).astype("int64")
KEYS = np.array([f"k{row}" for row in range(40)])
OTHER = "not what was judged under this name, or was changed since"


def judged(folder, y_pred=None, labels=Y, **options):
    """One evaluation of arrays: the report in `out`, and what it returned."""
    model = options.pop("model", None) or keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with evalguard.guard(labels=labels, reference=X, mlflow=False, output=folder / "out", **options) as g:
        y_pred = model.predict(X, verbose=0)
    assert g.report.verdict is evalguard.Verdict.PASS
    return y_pred, g


@functools.cache
def _two_outputs():
    inputs = keras.Input((4,))
    return keras.Model(inputs, {"a": keras.layers.Dense(3)(inputs), "b": keras.layers.Dense(1)(inputs)})


@pytest.fixture
def evaluated(tmp_path):
    return judged(tmp_path)


@pytest.fixture
def ask(tmp_path):
    def asked(**files):
        """The gate about files, by name: an array, several, or a table."""
        paths = []
        for name, content in files.items():
            stem, _, suffix = name.rpartition("_")
            paths.append(tmp_path / f"{stem}.{suffix}")
            if suffix == "npy":
                np.save(paths[-1], content)
            elif suffix == "npz":
                np.savez(paths[-1], *content) if isinstance(content, list) else np.savez(paths[-1], **content)
            else:
                pd.DataFrame(content).to_parquet(paths[-1])
        return evalguard.gate(attestation=tmp_path / "out" / "attestation.json", files=paths)

    return asked


def of(frame, **changed):
    return {**frame, **changed}


# -- what opens it -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "files",
    [
        pytest.param(lambda p: {"predictions_npy": p, "labels_npy": Y}, id="npy"),
        pytest.param(lambda p: {"p_npy": p, "l_npy": Y}, id="npy-of-other-names"),
        pytest.param(lambda p: {"p_npy": np.asfortranarray(p), "l_npy": Y}, id="fortran-order"),
        pytest.param(lambda p: {"both_npz": {"predictions": p, "labels": Y}}, id="npz"),
        pytest.param(lambda p: {"both_npz": {"y_pred": p, "y_true": Y}}, id="npz-of-usual-names"),
        pytest.param(lambda p: {"both_npz": [p, Y]}, id="npz-without-names"),
        pytest.param(lambda p: {"labels_npz": [Y], "predictions_npz": [p]}, id="two-npz-without-names"),
        pytest.param(lambda p: {"p_npy": p, "again_npy": p, "l_npy": Y}, id="one-of-them-twice"),
        pytest.param(
            lambda p: {"t_parquet": {"labels": Y, **{f"prediction_{column}": p[:, column] for column in (2, 0, 1)}}},
            id="a-table-of-the-user",
        ),
    ],
)
def test_the_arrays_that_were_judged_open_the_gate(evaluated, ask, files):
    result = ask(**files(evaluated[0]))
    assert result.passed, result.reasons
    assert set(", ".join(result.files.values()).split(", ")) == {"labels.npy", "predictions.npy"}


CLASSES = ["low", "mid", "high"]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="plain"),
        pytest.param({"classes": CLASSES}, id="classes"),
        pytest.param({"classes": ["1", "0", "2"]}, id="classes-that-are-numbers"),
        pytest.param({"labels": np.array(CLASSES)[Y], "classes": CLASSES}, id="labels-that-are-names"),
        pytest.param({"labels": evalguard.Labels(values=Y, keys=KEYS)}, id="keys"),
        pytest.param({"sample_weight": np.linspace(0, 1, 40)}, id="weights"),
        pytest.param({"labels": np.eye(3)[Y]}, id="one-hot"),
        pytest.param({"model": keras.Sequential([keras.Input((4,)), keras.layers.Dense(12)])}, id="twelve-columns"),
        pytest.param({"model": keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])}, id="one-column"),
        pytest.param(
            {
                "labels": np.repeat(Y, 4).reshape(40, 2, 2),
                "model": keras.Sequential([keras.Input((4,)), keras.layers.Dense(12), keras.layers.Reshape((2, 2, 3))]),
            },
            id="images",
        ),
        pytest.param({"labels": {"a": Y, "b": 1 - Y}, "model": _two_outputs()}, id="two-outputs"),
    ],
)
def test_the_table_of_the_rows_opens_the_gate_and_each_column_of_it_is_compared(tmp_path, ask, options):
    _, g = judged(tmp_path, **options)
    frame = dict(g.to_frame())
    result = ask(rows_parquet=frame)
    assert result.passed, result.reasons
    assert ask(rows_parquet=dict(list(frame.items())[1:])).passed, "without the count of the rows"
    for name, column in frame.items():
        changed = column.to_numpy().copy()
        others = np.flatnonzero(changed != changed[0])[:1]
        if not len(others):
            continue
        changed[[0, *others]] = changed[[*others, 0]]
        result = ask(rows_parquet=of(frame, **{name: changed}))
        assert not result, name
        assert any(
            f"column {name!r}" in why
            or "columns 'prediction" in why
            or "columns 'y_true" in why
            or "columns 'prediction." in why
            for why in result.reasons
        ), (name, result.reasons)
    without = {name: column for name, column in frame.items() if not name.startswith(("y_true", "label"))}
    assert {why.partition(".")[0].partition("/")[0] for why in ask(rows_parquet=without).reasons} == {"labels"}


def test_the_table_of_calls_in_another_order_opens_the_gate(tmp_path, ask):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    order = np.random.default_rng(1).permutation(40)
    y_pred = np.empty((40, 3), "float32")
    with evalguard.guard(labels=Y, reference=X, scope="parts", mlflow=False, output=tmp_path / "out") as g:
        for rows in np.split(order, 4):
            y_pred[rows] = model.predict(X[rows], verbose=0)
        g.confirm(y_pred, Y)
    assert g.report.verdict is evalguard.Verdict.PASS
    frame = dict(g.to_frame())
    result = ask(rows_parquet=frame, labels_npy=Y)
    assert result.passed, result.reasons
    sample = frame["sample"].to_numpy()[::-1]
    assert not ask(rows_parquet=of(frame, sample=sample), labels_npy=Y)


# -- what closes it ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "why"),
    [
        pytest.param(
            lambda p: {"both_npz": {"predictions": p, "labels": 1 - Y}}, f"entry 'labels': {OTHER}", id="one-right"
        ),
        pytest.param(
            lambda p: {"more_npz": {"predictions": p, "labels": Y, "extra": Y[::-1]}},
            f"entry 'extra': {OTHER}",
            id="one-more",
        ),
        pytest.param(
            lambda p: {"both_npz": [p, Y, p + 1]},
            "entry 'arr_2': none of the arrays that were judged",
            id="one-more-without-a-name",
        ),
        pytest.param(
            lambda p: {"both_npz": {"predictions": Y, "labels": p}},
            "entry 'predictions': holds 'labels.npy', which its name does not say: name it 'labels'",
            id="exchanged-names",
        ),
        pytest.param(
            lambda p: {"p_npy": p, "l_npz": {"predictions": Y}},
            "entry 'predictions': holds 'labels.npy'",
            id="labels-as-predictions",
        ),
        pytest.param(
            lambda p: {"p_npy": p, "l_npz": {"scores": Y}},
            "entry 'scores': holds 'labels.npy', which its name does not say: name it 'labels'",
            id="another-name",
        ),
        pytest.param(
            lambda p: {"predictions_npy": p, "labels_npy": p},
            "labels.npy: has the name of 'labels.npy' and the content of 'predictions.npy'",
            id="predictions-in-the-file-of-the-labels",
        ),
        pytest.param(
            lambda p: {"p_npy": p, "labels_npz": [p]},
            "has the name of 'labels.npy' and the content of 'predictions.npy'",
            id="predictions-in-the-archive-of-the-labels",
        ),
        pytest.param(lambda p: {"p_npy": p, "l_npy": p}, "labels.npy: none of the files is it", id="the-same-twice"),
        pytest.param(lambda p: {"p_npy": p}, "labels.npy: none of the files is it", id="one-is-missing"),
        pytest.param(lambda p: {"l_npy": Y}, "predictions.npy: none of the files is it", id="the-other-is-missing"),
        pytest.param(
            lambda p: {"p_npy": p[:, ::-1], "l_npy": Y},
            "matches none of the files that were judged",
            id="other-columns",
        ),
        pytest.param(lambda p: {"p_npy": p.astype("float64"), "l_npy": Y}, "matches none", id="another-dtype"),
        pytest.param(
            lambda p: {"t_parquet": {"labels": Y, **{f"prediction_{column + 1}": p[:, column] for column in range(3)}}},
            f"column 'prediction_1': {OTHER}",
            id="numbers-of-other-columns",
        ),
        pytest.param(
            lambda p: {"t_parquet": {"labels": Y, **{f"prediction_{column}": p[:, 2 - column] for column in range(3)}}},
            f"columns 'prediction_0' to 'prediction_2': {OTHER}",
            id="columns-exchanged",
        ),
        pytest.param(
            lambda p: {"p_npy": p, "l_npz": {"arr_scores": Y}},
            "entry 'arr_scores': holds 'labels.npy'",
            id="a-name-in-part",
        ),
        pytest.param(
            lambda p: {"p_npy": p, "l_npz": {"labels": 1 - Y}}, f"entry 'labels': {OTHER}", id="alone-and-wrong"
        ),
        pytest.param(
            lambda p: {"p_npy": p, "t_parquet": {"labels": Y, "sample": np.arange(40)[::-1]}},
            f"column 'sample': {OTHER}",
            id="samples-of-other-rows",
        ),
        pytest.param(
            lambda p: {"p_npy": p, "l_npy": Y, "t_parquet": {"row": np.arange(40)}}, "matches none", id="a-count-alone"
        ),
        pytest.param(
            lambda p: {"p_npy": p, "l_npy": Y, "t_parquet": {"sample": np.arange(40)}},
            "matches none",
            id="samples-alone",
        ),
        pytest.param(
            lambda p: {"p_npy": p, "t_parquet": {"labels": Y, "row": np.arange(40)[::-1]}},
            "column 'row': does not count the rows from 0",
            id="a-count-of-other-rows",
        ),
    ],
)
def test_another_array_or_another_name_closes_the_gate_and_is_named(evaluated, ask, files, why):
    result = ask(**files(evaluated[0]))
    assert not result
    assert why in " ".join(result.reasons), result.reasons


def test_the_names_of_classes_are_those_that_were_judged(tmp_path, ask):
    _, g = judged(tmp_path, classes=CLASSES)
    frame = g.to_frame().rename(columns={"prediction_low": "prediction_mid", "prediction_mid": "prediction_low"})
    result = ask(rows_parquet=frame)
    assert "not named as the classes that were judged" in " ".join(result.reasons)


# -- several subjects of one digest --------------------------------------------------------------


class Perfect(keras.Model):
    """Predicts the labels themselves."""

    def call(self, x):
        return keras.ops.cast(keras.ops.sum(x, axis=1) > 0, "int64")


@pytest.mark.parametrize(
    ("files", "missing"),
    [
        pytest.param({"predictions_npy": Y, "labels_npy": Y}, set(), id="both-by-name"),
        pytest.param({"a_npy": Y, "b_npy": Y}, set(), id="both"),
        pytest.param({"b_npz": {"labels": Y}, "a_npy": Y}, set(), id="one-says-which"),
        pytest.param({"a_npy": Y}, {"predictions.npy"}, id="one-only"),
        pytest.param({"labels_npy": Y}, {"predictions.npy"}, id="the-labels-only"),
        pytest.param({"predictions_npy": Y}, {"labels.npy"}, id="the-predictions-only"),
        pytest.param({"b_npz": {"labels": Y}, "c_npz": {"y_true": Y}}, {"predictions.npy"}, id="the-labels-twice"),
    ],
)
def test_one_array_is_one_of_two_equal_subjects(tmp_path, ask, files, missing):
    y_pred, _ = judged(tmp_path, model=Perfect())
    assert y_pred.tobytes() == Y.tobytes(), "the subjects have one digest"
    result = ask(**files)
    assert len(result.unchecked) == len(missing)
    assert bool(result) == (not missing), result.reasons
    if "labels_npy" in files or "predictions_npy" in files or missing != {"predictions.npy"}:
        assert set(result.unchecked) == missing


# -- several outputs -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "opens"),
    [
        pytest.param(lambda p, y: {"p_npz": p, "y_npz": y}, True, id="outputs-by-name"),
        pytest.param(
            lambda p, y: {
                "both_npz": {**{f"predictions/{one}": p[one] for one in p}, **{f"y_true.{one}": y[one] for one in y}}
            },
            True,
            id="whole-names",
        ),
        pytest.param(lambda p, y: {"p_npz": {"a": p["b"], "b": p["a"]}, "y_npz": y}, False, id="outputs-exchanged"),
        pytest.param(lambda p, y: {"p_npz": p, "y_npz": {"a": y["b"], "b": y["a"]}}, False, id="labels-exchanged"),
        pytest.param(lambda p, y: {"p_npz": {"a": p["a"]}, "y_npz": y}, False, id="one-missing"),
        pytest.param(lambda p, y: {"a_npy": p["b"], "b_npy": p["a"], "y_npz": y}, False, id="files-exchanged"),
    ],
)
def test_each_output_stands_under_its_own_name(tmp_path, ask, files, opens):
    labels = {"a": Y, "b": 1 - Y}
    y_pred, _ = judged(tmp_path, labels=labels, model=_two_outputs())
    result = ask(**files(y_pred, labels))
    assert result.passed is opens, result.reasons


# -- files that were attested --------------------------------------------------------------------


def test_a_file_with_the_name_of_an_array_is_not_lost(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("predictions.npy", X)
    y_pred, _ = judged(tmp_path, attest_files=["predictions.npy"])
    (tmp_path / "new").mkdir()
    np.save("new/p.npy", y_pred)
    np.save("new/labels.npy", Y)
    question = {"attestation": "out/attestation.json"}
    assert evalguard.gate(**question, files=["new/p.npy", "new/labels.npy", "predictions.npy"])
    assert evalguard.gate(**question, files=["new/p.npy", "new/labels.npy"]).unchecked == ("./predictions.npy",)


def test_files_of_one_name_are_distinguished_by_their_content(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.keras").write_text(folder)
    models = [tmp_path / folder / "model.keras" for folder in ("a", "b")]
    y_pred, _ = judged(tmp_path, attest_files=models)
    np.savez(tmp_path / "both.npz", predictions=y_pred, labels=Y)
    asked = {"attestation": tmp_path / "out" / "attestation.json"}
    assert evalguard.gate(**asked, files=[*models, tmp_path / "both.npz"])
    assert evalguard.gate(**asked, files=[models[1], models[1], tmp_path / "both.npz"]).unchecked == ("model.keras",)


def test_a_folder_is_compared_by_all_files_in_it(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.export(tmp_path / "saved", verbose=False)
    y_pred, _ = judged(tmp_path, model=model, attest_files=[tmp_path / "saved"])
    np.savez(tmp_path / "both.npz", predictions=y_pred, labels=Y)
    question = {
        "attestation": tmp_path / "out" / "attestation.json",
        "files": [tmp_path / "saved", tmp_path / "both.npz"],
    }
    assert evalguard.gate(**question)
    (tmp_path / "saved" / "more.txt").write_text("")
    assert evalguard.gate(**question).reasons[0].startswith(f"{tmp_path}/saved: matches none")


def test_an_attestation_without_columns_is_compared_by_its_subjects(evaluated, tmp_path, ask):
    """As evalguard wrote them before."""
    path = tmp_path / "out" / "attestation.json"
    statement = json.loads(path.read_text())
    del statement["predicate"]["configuration"][0]["annotations"]["columns"]
    path.write_text(json.dumps(statement))
    y_pred, g = evaluated
    assert ask(rows_parquet={"y_true": Y, **{f"prediction_{one}": y_pred[:, one] for one in range(3)}})
    assert f"column 'sample': {OTHER}" in " ".join(ask(rows_parquet=dict(g.to_frame())).reasons)


# -- files that are not what they say ------------------------------------------------------------


@pytest.mark.parametrize("left", [0, 1, 20, 0.5, -1], ids=["empty", "a byte", "a header", "half", "all but a byte"])
@pytest.mark.parametrize("name", ["y.npy", "y.npz", "y.parquet", "Y.NPZ"])
def test_a_file_that_was_cut_is_refused(tmp_path, name, left):
    path = tmp_path / name
    if path.suffix == ".parquet":
        pd.DataFrame({"y": Y}).to_parquet(path)
    else:
        with path.open("wb") as stream:
            np.save(stream, Y) if path.suffix == ".npy" else np.savez(stream, Y)
    content = path.read_bytes()
    path.write_bytes(content[: int(left * len(content)) if 0 < left < 1 else left])
    with pytest.raises(ConfigError, match=rf"^file {name}: expected .*, found in .*{name}: "):
        parts_of(path, Attested({}, {}))


@pytest.mark.parametrize(
    ("saved_as", "name", "found"),
    [
        ("y.npy", "y.npz", "one array and no archive; rename it to .npy"),
        ("y.npz", "y.npy", "an archive of several arrays; rename it to .npz"),
        ("y.zip", "y.npz", "'notes.txt', which is no array; save it with numpy.savez"),
        ("y.zip", "y.npy", "an archive of several arrays; rename it to .npz"),
        ("y.npy", "y.parquet", ""),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path, saved_as, name, found):
    np.save(tmp_path / "y.npy", Y)
    np.savez(tmp_path / "y.npz", Y)
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as archive:
        archive.writestr("notes.txt", "no array")
    (tmp_path / saved_as).rename(tmp_path / name)
    with pytest.raises(ConfigError, match=rf"^file {name}: expected .*, found in {tmp_path / name}: {found}"):
        parts_of(tmp_path / name, Attested({}, {}))


def test_columns_that_make_no_array_are_refused(tmp_path):
    pd.DataFrame({"p_0": [1, 2], "p_1": pd.to_datetime(["2020", "2021"])}).to_parquet(tmp_path / "frame.parquet")
    with pytest.raises(ConfigError, match=r"frame\.parquet: expected columns that are arrays, found: "):
        parts_of(tmp_path / "frame.parquet", Attested({}, {}))


def test_a_file_without_an_array_that_was_judged_is_named_once(tmp_path):
    pd.DataFrame({"key": KEYS, "p": Y}).to_parquet(tmp_path / "keys.parquet")
    (part,) = parts_of(tmp_path / "keys.parquet", Attested({"labels.npy": "0" * 64}, {}))
    assert part.wrong == "matches none of the files that were judged, or was changed since"


def test_a_table_in_another_format_is_named_with_what_to_do(evaluated, tmp_path):
    evaluated[1].to_frame().to_csv(tmp_path / "rows.csv", index=False)
    asked = {"attestation": tmp_path / "out" / "attestation.json", "files": [tmp_path / "rows.csv"]}
    assert "if it is saved as Parquet" in evalguard.gate(**asked).reasons[0]
