"""Labels from arrays, frames and files; collected in one pass; saved and loaded; what is refused."""

import json

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

import evalguard
from evalguard import Labels, Verdict, testing

X = np.arange(20, dtype="float32")[:, None] * 1.5
Y = np.arange(20) % 3


@pytest.fixture(scope="module")
def model():
    inputs = keras.Input((1,))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(Y, id="array"),
        pytest.param(Y.tolist(), id="list"),
        pytest.param(pd.Series(Y), id="series"),
        pytest.param(pd.DataFrame({"y": Y}), id="one-column"),
        pytest.param(pd.DataFrame({"other": Y, "label": Y}), id="column-by-name"),
        pytest.param(Labels(values=Y), id="labels"),
    ],
)
def test_labels_come_from_what_people_keep_them_in(source):
    labels = Labels.of(source)
    assert np.array_equal(labels.values, Y)
    assert labels.digest == Labels(values=Y).digest


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_file_gives_labels_and_keys_in_its_own_order(tmp_path, form):
    path = tmp_path / f"labels.{form}"
    table = pa.table({"file": ["0010", "0002", "0001"], "label": [3, 1, 2], "note": [None, "x", None]})
    if form == "csv":
        table.to_pandas().to_csv(path, index=False)
    else:
        pq.write_table(table, path)
    labels = Labels.read(path, label="label", key="file")
    assert labels.keys is not None
    assert labels.keys.tolist() == ["0010", "0002", "0001"], "a key is a name: 0010 must not become 10"
    assert np.asarray(labels.values).tolist() == [3, 1, 2]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "expected a CSV, Parquet or JSONL table"),
        ("label\n", {}, "expected at least one label, found none"),
        ("a,b\n1,2\n", {}, "several columns could hold the labels"),
        ("a,label\n1,2\n", {"label": "lable"}, "expected a column 'lable', found columns 'a', 'label'"),
        ("id,label\na,1\na,2\nb,3\n", {"key": "id"}, "1 keys are repeated, the first is 'a' at rows 0, 1"),
        ("id,label\na,1\n,2\n", {"key": "id"}, "rows 1 "),
        ("id,label\na,1\nb,\n", {"key": "id"}, "column 'label': rows 1 are empty"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_rows(tmp_path, text, options, message):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(evalguard.LabelsError, match=message) as caught:
        Labels.read(path, **options)
    assert "labels.csv" in str(caught.value)


def test_a_missing_file_is_refused_before_anything_is_predicted(tmp_path, model):
    asked = []

    class Watched(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            asked.append(index)
            return (X,)

    with pytest.raises(evalguard.LabelsError, match="found no file there"):
        with evalguard.guard(labels=tmp_path / "no.csv", mlflow=False):
            model.predict(Watched(), verbose=0)
    assert not asked


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Labels.of([]), "expected at least one label"),
        (lambda: Labels.of(3), "expected a sequence of labels, found int"),
        (lambda: Labels.of([1, None]), "rows 1 have none"),
        (lambda: Labels(values=Y, keys=np.arange(3)), "expected one length"),
        (lambda: Labels(values=Y[:2], keys=np.array([None, "a"], object)), "rows 0 have none"),
        (lambda: Labels(), "found none|got none"),
    ],
)
def test_labels_that_prove_nothing_are_refused(make, message):
    with pytest.raises(evalguard.LabelsError, match=message):
        make()


def shuffling():
    return tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(20, seed=3).batch(6)


def test_labels_collected_in_one_pass_prove_a_later_one(model):
    steady = tf.data.Dataset.from_tensor_slices((X, Y)).batch(6)
    labels = Labels.collect(steady)
    assert np.array_equal(labels.values, Y)
    with evalguard.guard(labels=labels, mlflow=False) as g:
        model.predict(steady, verbose=0)
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "identity")


def test_a_dataset_that_shuffles_anew_is_found_out_and_repaired(model):
    dataset = shuffling()
    labels = Labels.collect(dataset)
    with evalguard.guard(labels=labels, mlflow=False, on_failure="record") as g:
        model.predict(dataset, verbose=0)
    assert g.report.verdict is Verdict.FAIL
    with evalguard.guard(labels=labels, mlflow=False, on_failure="repair") as g:
        predictions = model.predict(dataset, verbose=0)
    assert g.report.verdict is Verdict.REPAIRED
    assert np.array_equal(np.round(predictions[:, 0] / 1.5) % 3, labels.values)


@pytest.mark.parametrize("kind", ["pydataset", "factory"])
def test_labels_are_collected_from_other_sources(kind):
    batches = testing.aligned_batches(20, 6)

    def make(ids):
        return X[ids], Y[ids]

    source = testing.as_pydataset(batches, make) if kind == "pydataset" else lambda: testing.as_generator(batches, make)
    labels = Labels.collect(source)
    assert np.array_equal(labels.values, Y)
    assert np.array_equal(labels.fingerprints, Labels.collect(shuffled_free()).fingerprints)


def shuffled_free():
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(7)


def test_a_generator_is_not_collected_since_it_could_not_be_read_again():
    with pytest.raises(evalguard.UnsupportedSourceError, match="pass the function that makes it"):
        Labels.collect(testing.as_generator(testing.aligned_batches(20, 6), lambda ids: (X[ids], Y[ids])))


def test_a_manifest_comes_back_as_it_was(tmp_path, model):
    labels = Labels.collect(shuffled_free(), name="test part")
    labels.save(tmp_path / "manifest.parquet")
    loaded = Labels.load(tmp_path / "manifest.parquet")
    assert loaded.digest == labels.digest
    assert (loaded.name, loaded.spec) == (labels.name, labels.spec)
    with evalguard.guard(labels=loaded, mlflow=False) as g:
        model.predict(shuffled_free(), verbose=0)
    assert g.report.proof == "identity"
    with evalguard.guard(labels=Y, reference=tmp_path / "manifest.parquet", mlflow=False) as g:
        model.predict(shuffled_free(), verbose=0)
    assert g.report.proof == "identity"


@pytest.mark.parametrize("values", [np.eye(3)[Y], np.array(["a", "b", "c"])[Y], {"a": Y, "b": np.eye(3)[Y]}])
def test_labels_of_any_form_are_saved(tmp_path, values):
    labels = Labels(values=values, keys=np.array([f"k{i}" for i in range(20)]))
    labels.save(tmp_path / "labels.parquet")
    assert Labels.load(tmp_path / "labels.parquet").digest == labels.digest


def test_fingerprints_are_the_same_on_every_machine():
    """The algorithm is part of the manifest's format: a change needs another name in it."""
    from evalguard.fingerprint import row_fingerprints

    rows, specs = row_fingerprints(np.arange(6, dtype="float32").reshape(2, 3))
    assert [str(spec) for spec in specs] == ["float32(3)"]
    assert rows.tolist() == FROZEN


FROZEN = [2716090098129166516, 13642003683373760641]


@pytest.mark.parametrize("change", [{"algorithm": "md5/1"}, {"manifest_version": 9}])
def test_a_manifest_of_another_kind_is_refused(tmp_path, change):
    path = tmp_path / "manifest.parquet"
    Labels.collect(shuffled_free()).save(path)
    table = pq.read_table(path)
    about = {**json.loads(table.schema.metadata[b"evalguard"]), **change}
    pq.write_table(table.replace_schema_metadata({b"evalguard": json.dumps(about).encode()}), path)
    with pytest.raises(evalguard.LabelsError, match=r"expected .*found .*Make it again"):
        Labels.load(path)


def test_a_table_is_not_taken_for_a_manifest(tmp_path):
    path = tmp_path / "labels.parquet"
    pq.write_table(pa.table({"label": Y}), path)
    with pytest.raises(evalguard.LabelsError, match=r"expected a file written by Labels.save, found another"):
        Labels.load(path)


def test_a_column_of_lists_is_several_classes_to_a_sample(tmp_path):
    rows = [[1, 0, 1], [0, 0, 1]]
    pq.write_table(pa.table({"y": rows}), tmp_path / "labels.parquet")
    assert evalguard.Labels.read(tmp_path / "labels.parquet").values.tolist() == rows
    pq.write_table(pa.table({"y": [[1], [0, 1]]}), tmp_path / "labels.parquet")
    with pytest.raises(evalguard.LabelsError, match="rows of different lengths"):
        evalguard.Labels.read(tmp_path / "labels.parquet")
