"""Labels from arrays, frames and files; collected in one pass; saved and loaded; what is refused."""

import json
import pickle

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from pyarrow import feather

import evalguard
from evalguard import Labels, Verdict, testing
from evalguard.data import arrow

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


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 1

    def __getitem__(self, number):
        return X, Y


@pytest.mark.parametrize(
    ("source", "written"),
    [
        (tf.data.Dataset.from_tensor_slices((X, Y)).batch(8), "write labels=evalguard.Labels.collect(dataset)"),
        (Batches(), "found Batches, which gives inputs and labels in batches; write labels=evalguard.Labels.collect"),
        (
            (y for y in Y),
            "found generator, which can be read only once; write labels=evalguard.Labels.collect(function",
        ),
    ],
    ids=["tf.data", "pydataset", "generator"],
)
def test_a_dataset_as_labels_is_refused_with_the_line_to_write(source, written):
    for read in (Labels.of, lambda source: evalguard.guard(labels=source, mlflow=False).__enter__()):
        with pytest.raises(evalguard.LabelsError) as caught:
            read(source)
        assert written in str(caught.value)


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow", "feather"])
def test_a_file_gives_labels_and_keys_in_its_own_order(tmp_path, form):
    path = tmp_path / f"labels.{form}"
    table = pa.table({"file": ["0010", "0002", "0001"], "label": [3, 1, 2], "note": [None, "x", None]})
    if form == "csv":
        table.to_pandas().to_csv(path, index=False)
    elif form == "feather":
        feather.write_feather(table, path)  # compressed, as pandas writes it
    elif form == "arrow":
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
    else:
        pq.write_table(table, path)
    labels = Labels.read(path, label="label", key="file")
    assert labels.keys is not None
    assert labels.keys.tolist() == ["0010", "0002", "0001"], "a key is a name: 0010 must not become 10"
    assert np.asarray(labels.values).tolist() == [3, 1, 2]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "expected a CSV, Parquet, JSONL or Arrow table"),
        ("label\n", {}, "expected at least one label, found none"),
        ("a,b\n1,2\n", {}, "expected one column that could hold the labels"),
        ("a,label\n1,2\n", {"label": "lable"}, "expected a column 'lable', found columns 'a', 'label'"),
        ("id,label\na,1\na,2\nb,3\n", {"key": "id"}, "found 1 repeated key; the first is 'a' at rows 0, 1"),
        ("id,label\na,1\n,2\n", {"key": "id"}, "row 1$"),
        ("id,label\na,1\nb,\n", {"key": "id"}, "column 'label': expected a value in each row, found none at row 1"),
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

    with pytest.raises(evalguard.LabelsError, match=r"or \.npy file, found none there"):
        with evalguard.guard(labels=tmp_path / "no.csv", mlflow=False):
            model.predict(Watched(), verbose=0)
    assert not asked


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Labels.of([]), "expected at least one label"),
        (lambda: Labels.of(3), "expected a sequence of labels, found int"),
        (lambda: Labels.of([1, None]), "found none at row 1"),
        (lambda: Labels.of([[1, 2, 3], [4, None, None]]), "found none at row 1$"),
        (lambda: Labels.of(pd.Series(["a", None], dtype="string")), "found none at row 1$"),
        (lambda: Labels.of({"a": [1, None]}), "^labels, output 'a': .* found none at row 1$"),
        (lambda: Labels.of({"a": [[1], [1, 2]]}), "^labels, output 'a': .* found rows of different lengths$"),
        (lambda: Labels.of({"a": 3}), "^labels, output 'a': expected a sequence of labels, found int$"),
        (lambda: Labels.of([1], sample_weight={"a": None}), "sample weights, output 'a': expected a sequence"),
        (lambda: Labels(values=Y, keys=np.arange(3)), "expected one length"),
        (lambda: Labels(values=Y[:2], keys=np.array([None, "a"], object)), "found none at row 0"),
        (lambda: Labels(), "found none"),
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


def test_a_dataset_that_reshuffles_at_each_pass_fails_and_is_repaired(model):
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


def overwriting():
    """Batches in one pair of arrays, overwritten for each batch."""
    x, y = np.zeros((5, 1), "float32"), np.zeros(5, int)
    for start in range(0, 20, 5):
        x[:], y[:] = X[start : start + 5], Y[start : start + 5]
        yield x, y


def test_labels_are_collected_from_a_source_that_overwrites_its_arrays():
    labels = Labels.collect(overwriting)
    assert np.array_equal(labels.values, Y)
    assert np.array_equal(labels.fingerprints, Labels.collect(shuffled_free()).fingerprints)


W = np.linspace(0.5, 2, 20, dtype="float32")


def weighted(y, w):
    """A function that returns a new generator of batches ``(x, y, sample_weight)``."""
    return lambda: ((X[rows], y(rows), w(rows)) for rows in np.split(np.arange(20), [6, 12, 18]))


def test_sample_weights_are_collected_in_the_same_pass_and_survive_pickle_and_file(tmp_path):
    dataset = tf.data.Dataset.from_tensor_slices((X, Y, W)).shuffle(20).batch(6)
    labels = Labels.collect(dataset)
    labels.save(tmp_path / "manifest.parquet")
    for found in (labels, pickle.loads(pickle.dumps(labels)), Labels.load(tmp_path / "manifest.parquet")):  # noqa: S301
        assert found.weights.dtype == "float32"
        # Which sample a row is, its label does not say; the fingerprint does.
        order = [Labels.collect(lambda: [(X, Y)]).fingerprints.tolist().index(one) for one in found.fingerprints]
        assert np.array_equal(found.weights, W[order])
        assert np.array_equal(found.values, Y[order])


@pytest.mark.parametrize(
    ("y", "values"),
    [
        pytest.param(lambda rows: (Y[rows], np.eye(3)[Y[rows]]), {"0": Y, "1": np.eye(3)[Y]}, id="tuple"),
        pytest.param(lambda rows: [Y[rows], Y[rows] + 1], {"0": Y, "1": Y + 1}, id="list"),
        pytest.param(lambda rows: {"a": Y[rows], "b": np.eye(3)[Y[rows]]}, {"a": Y, "b": np.eye(3)[Y]}, id="dict"),
        pytest.param(lambda rows: (None, Y[rows]), {"1": Y}, id="an output without targets"),
    ],
)
def test_the_targets_and_weights_of_all_outputs_are_collected(tmp_path, y, values):
    labels = Labels.collect(weighted(y, lambda rows: {"a": W[rows], "b": 2 * W[rows]}))
    labels.save(tmp_path / "labels.arrow")
    for found in (labels, Labels.load(tmp_path / "labels.arrow")):
        assert {name: array.tolist() for name, array in found.values.items()} == {
            name: array.tolist() for name, array in values.items()
        }
        assert {name: array.tolist() for name, array in found.weights.items()} == {
            "a": W.tolist(),
            "b": (2 * W).tolist(),
        }


@pytest.mark.parametrize(
    "others", [lambda rows: rows.astype(str), lambda rows: [[1.0] * (row + 1) for row in rows]], ids=["names", "boxes"]
)
def test_names_in_the_place_of_weights_are_left_out(others):
    assert Labels.collect(weighted(lambda rows: Y[rows], others)).weights is None


@pytest.mark.parametrize("read", [Labels.collect, lambda source: list(evalguard.collecting(source))])
def test_a_function_that_returns_no_batches_is_refused_by_its_name(read):
    def forgotten():
        return None

    with pytest.raises(
        evalguard.UnsupportedSourceError, match=r"forgotten returns batches, found that it returns None"
    ):
        read(forgotten)


@pytest.mark.parametrize("form", ["parquet", "arrow"])
@pytest.mark.parametrize("part", ["values", "keys", "output"])
def test_values_that_a_table_cannot_hold_are_refused_by_their_column(tmp_path, form, part):
    values = np.arange(3) * 1j
    given = {"values": {"a": values} if part == "output" else values}
    if part == "keys":
        given = {"keys": np.array(["a", "\ud800"])}
    with pytest.raises(
        evalguard.LabelsError, match=r"column '(label|label\.a|key)': expected values that a table can hold"
    ):
        Labels(**given).save(tmp_path / f"labels.{form}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("w", "message"),
    [
        pytest.param(lambda rows: W[rows][:2], "one sample weight for each of the 6 rows of x, found 2", id="fewer"),
        pytest.param(lambda rows: 1.0, "for each of the 6 rows of x, found a scalar", id="one for the batch"),
        pytest.param(
            lambda rows: None if rows[0] == 6 else W[rows],
            "weights: expected them in every batch or in none, found none in 1 of 4 batches, the first is batch 1",
            id="not in every batch",
        ),
    ],
)
def test_weights_that_are_not_those_of_the_rows_are_refused(w, message):
    with pytest.raises(evalguard.LabelsError, match=message):
        Labels.collect(weighted(lambda rows: Y[rows], w))


EACH_BATCH = "collected: targets: expected the same outputs in every batch, found "


@pytest.mark.parametrize(
    ("y", "message"),
    [
        pytest.param([Y[:3], None], "targets: expected them in every batch or in none, found none", id="none"),
        pytest.param([None, Y[:3]], "found none in 1 of 2 batches, the first is batch 0", id="none at first"),
        pytest.param([{"a": Y[:3]}, {"b": Y[:3]}], EACH_BATCH + "'a' in batch 0 and 'b' in batch 1", id="other name"),
        pytest.param([{"a": Y[:3]}, {"a": Y[:3], "b": Y[:3]}], EACH_BATCH + "'a' .* and 'a', 'b' in", id="one more"),
        pytest.param([{"a": Y[:3]}, Y[:3]], EACH_BATCH + "'a' in batch 0 and one array in batch 1", id="an array"),
        pytest.param([(Y[:3], Y[:3]), (Y[:3],)], EACH_BATCH + "0, 1 in batch 0 and 0 in batch 1", id="one less"),
        pytest.param([(None, Y[:3]), (Y[:3], Y[:3])], EACH_BATCH + "1 in batch 0 and 0, 1 in batch 1", id="no target"),
        pytest.param([Y[:3], np.eye(3)], "expected arrays that can be joined over all", id="other shape"),
        pytest.param([Y[:3], np.arange(3).astype("M8[D]")], "expected arrays that can be joined", id="other type"),
        pytest.param([[[1], [1, 2], [3]]], "whose labels are arrays, found list", id="rows of lengths"),
    ],
)
@pytest.mark.parametrize("collect", ["Labels.collect", "collecting"])
def test_batches_that_do_not_fit_together_are_refused(collect, y, message):
    batches = [(X[3 * number : 3 * number + 3], part) for number, part in enumerate(y)]
    if collect == "collecting" and any(part is None for part in y):
        message = "found one without y"
    with pytest.raises(evalguard.LabelsError, match=message):
        if collect == "collecting":
            loop = evalguard.collecting(batches)
            list(loop)
            assert loop.labels
        else:
            Labels.collect(lambda: iter(batches))


def test_the_order_of_outputs_is_that_of_the_first_batch():
    batches = [(X[:3], {"b": Y[:3], "a": Y[:3] + 1}), (X[3:6], {"a": Y[3:6] + 1, "b": Y[3:6]})]
    values = Labels.collect(lambda: iter(batches)).values
    assert isinstance(values, dict)
    assert list(values) == ["b", "a"]
    assert values["a"].tolist() == (Y[:6] + 1).tolist()


EXPECTED_KEY = r"^key: expected x to be a dict with an entry 'id', found "


@pytest.mark.parametrize(
    ("x", "message"),
    [
        pytest.param({"x": X[:3], "ids": [1, 2, 3]}, EXPECTED_KEY + r"the entries 'x', 'ids'\. Name an", id="entry"),
        pytest.param(X[:3], EXPECTED_KEY + r"ndarray\. Name an entry of x, or omit key=$", id="array"),
        pytest.param((X[:3], X[:3]), EXPECTED_KEY + "tuple", id="tuple"),
        pytest.param({"x": X[:3], "id": [1, 2]}, "one key for each of the 3 rows of x, found 2", id="fewer"),
        pytest.param({"x": X[:3], "id": [[1], [2, 3], [4]]}, "whose keys are arrays, found list", id="ragged keys"),
        pytest.param({"x": X[:3], "id": np.eye(3)}, r"expected one key per sample, shape \(n,\)", id="rows of keys"),
    ],
)
@pytest.mark.parametrize("collect", ["Labels.collect", "collecting"])
def test_a_key_that_batches_do_not_have_is_refused(collect, x, message):
    batches = [(x, Y[:3])]
    with pytest.raises(evalguard.LabelsError, match=message):
        if collect == "collecting":
            list(evalguard.collecting(batches, key="id"))
        else:
            Labels.collect(lambda: iter(batches), key="id")


@pytest.mark.parametrize(
    ("x", "found"),
    [
        pytest.param({"a": X[:3], "b": X[:2]}, "all input arrays must have the same shape", id="uneven"),
        pytest.param(None, "expected at least one input array, found none", id="none"),
        pytest.param(np.float32(1), "found a scalar", id="scalar"),
    ],
)
def test_inputs_without_one_row_for_each_sample_are_refused(x, found):
    with pytest.raises(evalguard.LabelsError, match=f"x has one row for each sample in every input, found: .*{found}"):
        Labels.collect(lambda: iter([(x, Y[:3])]))


def test_a_manifest_with_weights_has_the_labels_that_an_older_version_reads(tmp_path):
    Labels(values=Y, weights=W).save(tmp_path / "labels.parquet")
    about = json.loads(pq.read_schema(tmp_path / "labels.parquet").metadata[b"evalguard"])
    assert about["shapes"] == {"label": []}


WEIGHTED = pd.DataFrame({"w": W, "id": np.arange(20), "class": Y})


@pytest.mark.parametrize("form", ["frame", "csv", "parquet"])
def test_weights_may_be_a_column_of_the_labels(tmp_path, form):
    source = WEIGHTED if form == "frame" else tmp_path / f"labels.{form}"
    if form == "csv":
        WEIGHTED.to_csv(source, index=False)
    elif form == "parquet":
        WEIGHTED.to_parquet(source)
    # The only column that is left holds the labels.
    labels = Labels.of(source, key="id", sample_weight="w")
    assert np.array_equal(labels.values, Y)
    assert np.allclose(labels.weights, W)


@pytest.mark.parametrize(
    ("source", "given", "message"),
    [
        pytest.param(WEIGHTED, "v", "expected a column 'v', found columns 'w', 'id', 'class'", id="no such column"),
        pytest.param(WEIGHTED.astype({"w": str}), "w", "labels: expected one sample weight", id="a column of text"),
        pytest.param(Y, "w", "expected a table with the column sample_weight='w', found ndarray", id="no table"),
        pytest.param(Y, W[:19], "each of the 20 labels, found 19. Give an array in label order", id="one too few"),
    ],
)
def test_weights_that_cannot_be_used_are_refused(source, given, message):
    with pytest.raises(evalguard.LabelsError, match=message):
        Labels.of(source, label=None if source is Y else "class", sample_weight=given)


def test_a_column_of_weights_of_files_without_columns_is_refused(tmp_path):
    np.save(tmp_path / "labels.npy", Y)
    Labels(values=Y, weights=W).save(tmp_path / "labels.parquet")
    with pytest.raises(evalguard.LabelsError, match=r"a .npy file has no columns; give an array"):
        Labels.read(tmp_path / "labels.npy", sample_weight="w")
    with pytest.raises(evalguard.LabelsError, match="found a manifest, which has its own weights"):
        Labels.read(tmp_path / "labels.parquet", sample_weight="w")
    assert np.array_equal(Labels.read(tmp_path / "labels.parquet").weights, W)


def test_given_weights_replace_those_of_the_labels():
    assert np.array_equal(Labels.of(Labels(values=Y, weights=W), sample_weight=2 * W).weights, 2 * W)
    outputs = {"a": Y, "b": Y}
    assert set(Labels.of(outputs, sample_weight=[W, W]).weights) == {"0", "1"}


@pytest.mark.parametrize("as_dict", [False, True], ids=["array", "dict"])
def test_a_reference_by_index_may_return_the_same_array_each_time(model, as_dict):
    row = np.zeros(1, "float32")

    def sample(index):
        row[:] = X[index]
        return {"x": row} if as_dict else row

    inputs = keras.Input((1,), name="x")
    named = keras.Model({"x": inputs}, keras.layers.Identity()(inputs)) if as_dict else model
    with evalguard.guard(labels=Y, reference=sample, mlflow=False) as g:
        named.predict({"x": X} if as_dict else X, verbose=0)
    assert g.report.verdict is Verdict.PASS
    assert g.report.identities[0]["identity"] == "content"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        pytest.param(np.float32(1), "found a scalar", id="scalar"),
        pytest.param({"a": X, "b": X[:2]}, "same number of rows in every input, found 20 and 2", id="uneven"),
        pytest.param({}, "expected at least one array, found none", id="nothing"),
        pytest.param((x for x in [X]), "arrays, a dataset or a function, found generator$", id="generator"),
        pytest.param(object(), "arrays, a dataset or a function, found object$", id="object"),
    ],
)
def test_a_reference_without_rows_is_refused_before_anything_is_predicted(reference, message):
    with pytest.raises(evalguard.LabelsError, match=f"^reference: .*{message}"):
        with evalguard.guard(labels=Y, reference=reference, mlflow=False):
            pytest.fail("entered")


def test_a_reference_of_objects_is_other_data(model):
    objects = np.array(["a", None] * 10, dtype=object)
    with evalguard.guard(labels=Y, reference=objects, mlflow=False, on_unproven="record") as g:
        model.predict(X, verbose=0)
    assert g.report.verdict is Verdict.UNPROVEN
    assert "the model receives float32(), the reference is str()" in g.report.not_proven[0]


def test_a_generator_is_not_collected_since_it_could_not_be_read_again():
    with pytest.raises(evalguard.UnsupportedSourceError, match="pass the function that makes it"):
        Labels.collect(testing.as_generator(testing.aligned_batches(20, 6), lambda ids: (X[ids], Y[ids])))


@pytest.fixture(params=["read", "mapped"])
def mapped(request, monkeypatch):
    """Both ways of opening a file that can be mapped give the same labels."""
    monkeypatch.setattr(arrow, "MAPPED_BYTES", 0 if request.param == "mapped" else 1 << 40)
    return request.param == "mapped"


@pytest.mark.parametrize("form", ["parquet", "arrow", "feather"])
def test_a_manifest_comes_back_as_it_was(tmp_path, model, form, mapped):
    labels = Labels.collect(shuffled_free(), name="test part")
    manifest = tmp_path / f"manifest.{form}"
    labels.save(manifest)
    loaded = Labels.load(manifest)
    assert loaded.digest == labels.digest
    assert (loaded.name, loaded.spec, loaded.ambiguous) == (labels.name, labels.spec, False)
    with evalguard.guard(labels=loaded, mlflow=False) as g:
        model.predict(shuffled_free(), verbose=0)
    assert g.report.proof == "identity"
    with evalguard.guard(labels=Y, reference=manifest, mlflow=False) as g:
        model.predict(shuffled_free(), verbose=0)
    assert g.report.proof == "identity"


FORMS = {
    "one-hot": np.eye(3)[Y],
    "text": np.array(["a", "b", "c"])[Y],
    "two outputs": {"a": Y, "b": np.eye(3, dtype="float32")[Y]},
    "flags": Y == 1,
    "flags in rows": np.eye(3, dtype=bool)[Y],
    "images": np.arange(20 * 6, dtype="uint8").reshape(20, 2, 3),
    "halves": np.linspace(0, 1, 20, dtype="float16"),
    "halves in rows": np.linspace(0, 1, 40, dtype="float16").reshape(20, 2),
    "no number": np.where(Y == 1, np.nan, Y).astype("float32"),
    "other order of bytes": Y.astype(">i4"),
    "hashes": np.full(20, 2**64 - 1, dtype="uint64"),
    "days": np.arange(20).astype("datetime64[D]"),
    "columns apart": np.arange(60).reshape(3, 20).T,
    "a view of one": np.broadcast_to(np.int16(7), 20),
}


@pytest.mark.parametrize("form", ["parquet", "arrow"])
@pytest.mark.parametrize("keys", [None, np.array([f"k{i}" for i in range(20)]), np.arange(20)[::-1] * 3])
@pytest.mark.parametrize("values", FORMS.values(), ids=FORMS)
def test_labels_of_any_form_are_saved(tmp_path, values, keys, form, mapped):
    labels = Labels(values=values, keys=keys)
    labels.save(tmp_path / f"labels.{form}")
    loaded = Labels.load(tmp_path / f"labels.{form}")
    assert loaded.digest == labels.digest
    assert np.array_equal(loaded.keys, keys) if keys is not None else loaded.keys is None


@pytest.mark.parametrize("mapped", ["mapped"], indirect=True)
def test_numbers_of_an_arrow_manifest_are_mapped_and_a_new_file_leaves_them_alone(tmp_path, mapped):
    labels = Labels(
        values={"a": Y, "b": np.eye(3, dtype=bool)[Y]}, keys=Y + 7 * np.arange(20), fingerprints=Y.astype("uint64")
    )
    path = tmp_path / "labels.arrow"
    labels.save(path)
    before = pa.total_allocated_bytes()
    loaded = Labels.load(path)
    assert pa.total_allocated_bytes() == before
    assert isinstance(loaded.values, dict)
    arrays = [*loaded.values.values(), loaded.keys, loaded.fingerprints]
    assert not any(array.flags.writeable or array.flags.owndata for array in arrays)
    Labels(values=np.zeros(2)).save(path)
    loaded.save(path)
    assert loaded.digest == labels.digest == Labels.load(path).digest
    assert [file.name for file in tmp_path.iterdir()] == ["labels.arrow"]


@pytest.mark.parametrize("mapped", ["mapped"], indirect=True)
def test_a_large_array_file_is_mapped(tmp_path, mapped):
    np.save(tmp_path / "labels.npy", Y)
    labels = Labels.read(tmp_path / "labels.npy")
    assert not labels.values.flags.owndata
    assert not labels.values.flags.writeable
    assert labels.digest == Labels(values=Y).digest


@pytest.mark.parametrize("array", [np.zeros(0), np.zeros((0, 3)), np.array(5), np.array([object()])])
def test_an_array_file_that_cannot_be_used_is_refused_mapped_or_not(tmp_path, array, mapped):
    np.save(tmp_path / "labels.npy", array)
    with pytest.raises(evalguard.LabelsError, match=r"labels\.npy"):
        Labels.read(tmp_path / "labels.npy")


@pytest.mark.parametrize("text", ["", "label\n1\n"])
def test_a_file_that_only_has_the_ending_of_an_arrow_file_is_refused(tmp_path, text, mapped):
    (tmp_path / "labels.arrow").write_text(text)
    with pytest.raises(evalguard.LabelsError, match=r"labels\.arrow: expected a CSV, Parquet, JSONL or Arrow table"):
        Labels.read(tmp_path / "labels.arrow")


@pytest.mark.parametrize("change", [{"algorithm": "xxh3-64/1"}, {"manifest_version": 9}])
def test_a_manifest_of_another_kind_is_refused(tmp_path, change):
    path = tmp_path / "manifest.parquet"
    Labels.collect(shuffled_free()).save(path)
    table = pq.read_table(path)
    about = {**json.loads(table.schema.metadata[b"evalguard"]), **change}
    pq.write_table(table.replace_schema_metadata({b"evalguard": json.dumps(about).encode()}), path)
    with pytest.raises(evalguard.LabelsError, match=r"expected .*found .*Write it again"):
        Labels.load(path)


DAMAGED = r"^manifest .*manifest\.{}: expected what Labels\.save wrote, found damaged metadata or columns \({}"


def rewritten(path, change):
    """The manifest with its metadata or columns changed: ``change`` takes and returns the table and the metadata."""
    table = arrow.open_arrow(path).read_all() if arrow.is_arrow(path) else pq.read_table(path)
    table, about = change(table, json.loads(table.schema.metadata[b"evalguard"]))
    about = about if isinstance(about, bytes) else json.dumps(about).encode()
    table = table.replace_schema_metadata({b"evalguard": about})
    arrow.write_arrow(table, path) if arrow.is_arrow(path) else pq.write_table(table, path)


def replaced(table, column, array):
    return table.set_column(table.column_names.index(column), column, pa.array(array))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param(lambda table, _: (table, b"{"), "JSONDecodeError: ", id="cut"),
        pytest.param(lambda table, _: (table, b""), "JSONDecodeError: ", id="empty"),
        pytest.param(lambda table, _: (table, b"\xff\xfe{"), "UnicodeDecodeError: ", id="not text"),
        pytest.param(lambda table, _: (table, []), "AttributeError: ", id="a list"),
        *[
            pytest.param(
                lambda table, about, e=e: (table, {k: about[k] for k in about if k != e}), f"KeyError: '{e}'", id=e
            )
            for e in ("spec", "name", "shapes", "dtypes", "ambiguous")
        ],
        pytest.param(lambda table, about: (table, about | {"ambiguous": None}), "TypeError: spec", id="ambiguous null"),
        pytest.param(lambda table, about: (table, about | {"spec": [1]}), "TypeError: spec", id="spec of numbers"),
        pytest.param(lambda table, about: (table, about | {"name": 1}), "TypeError: spec .* name 1", id="name no text"),
        pytest.param(lambda table, about: (table, about | {"weights": {}}), "KeyError: 'shapes'", id="weights empty"),
        pytest.param(
            lambda table, about: (table, about | {"shapes": {"label": [3]}}), "ValueError: ", id="other shape"
        ),
        pytest.param(
            lambda table, about: (table, about | {"shapes": {"label": [0]}}), "ZeroDivisionError", id="no value"
        ),
        pytest.param(lambda table, about: (table, about | {"dtypes": {"label": "no"}}), "TypeError: ", id="no dtype"),
        pytest.param(lambda table, about: (table.drop_columns("label"), about), "KeyError: ", id="no labels"),
        pytest.param(
            lambda table, about: (table.slice(0, 0), about), "(LabelsError: test part|ValueError)", id="no row"
        ),
        pytest.param(
            lambda table, about: (replaced(table, "fingerprint", [1.5] * 20), about),
            "TypeError: a column fingerprint of float64",
            id="other fingerprints",
        ),
        pytest.param(
            lambda table, about: (replaced(table, "fingerprint", [None] * 20), about),
            "TypeError: a column fingerprint of object",
            id="no fingerprints",
        ),
    ],
)
@pytest.mark.parametrize("form", ["parquet", "arrow"])
@pytest.mark.parametrize("read", [Labels.load, Labels.read, Labels.of])
def test_a_damaged_manifest_is_refused_by_name(tmp_path, read, form, change, found):
    path = tmp_path / f"manifest.{form}"
    Labels.collect(shuffled_free(), name="test part").save(path)
    rewritten(path, change)
    with pytest.raises(evalguard.LabelsError, match=DAMAGED.format(form, found)) as caught:
        read(path)
    assert str(caught.value).endswith("Write it again with Labels.collect(...).save(...)")


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


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_list_or_tuple_of_arrays_holds_the_labels_of_each_output(kind):
    found = Labels.of(kind([np.arange(5), np.arange(10).reshape(5, 2)]))
    assert len(found) == 5
    assert list(found.values) == ["0", "1"]


@pytest.mark.parametrize(
    "rows",
    [list(np.eye(4)), [*np.eye(4), np.ones(4)], list(np.arange(4)), tuple(np.arange(4)), [[1, 0, 0], [0, 1, 0]]],
    ids=["one-hot", "more-rows", "numbers", "tuple-of-numbers", "lists"],
)
def test_a_list_of_one_label_for_each_sample_is_one_output(rows):
    assert len(Labels.of(rows)) == len(rows)
