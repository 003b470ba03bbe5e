"""Everything Keras takes as ``x``: recognised by content, aligned or not; nothing about it changes."""

import subprocess
import sys
import warnings

import keras
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import tensorflow as tf

import evalguard
from evalguard import Verdict, testing
from tests.versions import KERAS

N, BATCH = 23, 4
RNG = np.random.default_rng(0)
F32 = RNG.normal(size=(N, 3)).astype("float32")
NAN = F32.copy()
NAN[::3, 1] = np.nan
NAN[1, 2], NAN[2, 2] = 0.0, -0.0
U8 = RNG.integers(0, 255, size=(N, 4, 4, 1)).astype("uint8")
WORDS = np.array([f"wort {i} ü" for i in range(N)], dtype=object)
LENGTHS = RNG.integers(1, 6, size=N)
TOKENS = [RNG.integers(1, 99, size=size) for size in LENGTHS]


def first_value(shape, dtype="float32"):
    inputs = keras.Input(shape, dtype=dtype)
    return keras.Model(inputs, keras.layers.Flatten()(keras.ops.cast(inputs, "float32"))[:, :1])


class Total(keras.Model):
    """Takes whatever it is given."""

    def call(self, x):
        leaves = tf.nest.flatten(x)
        parts = []
        for leaf in leaves:
            if isinstance(leaf, tf.RaggedTensor):
                parts.append(tf.cast(tf.reduce_sum(leaf, axis=1), tf.float32))
            elif isinstance(leaf, tf.SparseTensor):
                parts.append(tf.sparse.reduce_sum(leaf, axis=1))
            elif leaf.dtype == tf.string:
                parts.append(tf.cast(tf.reshape(tf.strings.length(leaf), [-1]), tf.float32))
            else:
                flat = tf.reshape(tf.cast(leaf, tf.float32), [tf.shape(leaf)[0], -1])
                parts.append(tf.reduce_sum(flat, axis=1))
        return tf.stack(parts, axis=1)


def rows(x, ids):
    """Rows of a tree with leaves of any kind."""
    if isinstance(x, dict):
        return {name: rows(part, ids) for name, part in x.items()}
    if isinstance(x, (list, tuple)):
        return type(x)(rows(part, ids) for part in x)
    if isinstance(x, tf.Tensor):
        return tf.gather(x, ids)
    if isinstance(x, tf.RaggedTensor):
        return tf.gather(x, ids)
    if isinstance(x, tf.SparseTensor):
        return tf.sparse.from_dense(tf.gather(tf.sparse.to_dense(x), ids))
    return x.iloc[ids] if hasattr(x, "iloc") else x[ids]


RAGGED = tf.ragged.constant([list(map(int, row)) for row in TOKENS], dtype=tf.int64)
SPARSE = tf.sparse.from_dense(np.where(F32 > 0, F32, 0).astype("float32"))

KINDS = {
    "float32": F32,
    "float64": F32.astype("float64"),
    "float16": F32.astype("float16"),
    "nan-and-negative-zero": NAN,
    "uint8-images": U8,
    "int64": np.arange(N),
    "bool": (F32 > 0) & (np.arange(N)[:, None] > -1),
    "tensor": tf.constant(F32),
    "strings": WORDS,
    "string-tensor": tf.constant(WORDS.tolist()),
    "ragged": RAGGED,
    "sparse": SPARSE,
    "frame": pd.DataFrame(F32, columns=list("abc")),
    "dict": {"a": F32, "b": U8},
    "list": [F32, U8],
    "tuple": (F32, np.arange(N)),
    "nested": {"a": (F32, U8), "b": {"c": np.arange(N)}},
}


def predict(model, source, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return model.predict(source, verbose=0, **options)


def guard(**options):
    return evalguard.guard(labels=np.arange(N), mlflow=False, on_failure="record", on_unproven="record", **options)


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_of_every_kind_are_recognised_by_content(kind):
    x, model = KINDS[kind], Total()
    bare = predict(model, x, batch_size=BATCH)
    with guard(reference=x) as g:
        guarded = predict(model, x, batch_size=BATCH)
    assert np.array_equal(bare, guarded, equal_nan=True)
    assert g.report.verdict is Verdict.PASS, g.report.not_proven
    assert g.report.identities[0] == {"identity": "content", "says": "aligned", "used": True}
    swapped = np.arange(N)
    swapped[[0, 9]] = [9, 0]
    distinct = kind != "bool"
    with guard(reference=x) as g:
        predict(model, rows(x, swapped), batch_size=BATCH)
    if distinct:
        assert g.report.verdict is Verdict.FAIL
        assert g.report.counts["misaligned"] == 2


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in {"frame", "sparse"}])
def test_datasets_of_every_kind_are_recognised_by_content(kind):
    x, model = KINDS[kind], Total()
    steady = x
    if isinstance(x, list):
        steady = tuple(x)
    if isinstance(x, np.ndarray) and x.dtype == object:
        steady = tf.constant(x.tolist())
    dataset = tf.data.Dataset.from_tensor_slices((steady,)).batch(BATCH)
    if isinstance(steady, tf.RaggedTensor):
        dataset = tf.data.Dataset.from_tensor_slices((steady,)).ragged_batch(BATCH)
    bare = predict(model, dataset)
    with guard(reference=x) as g:
        guarded = predict(model, dataset)
    assert np.array_equal(bare, guarded, equal_nan=True)
    assert g.report.verdict is Verdict.PASS, g.report.not_proven
    with guard(reference=x) as g:
        predict(model, dataset.skip(1))
    assert g.report.verdict is Verdict.FAIL
    if kind != "bool":
        assert g.report.counts["missing"] == BATCH


@pytest.mark.parametrize("kind", ["float32", "float64", "uint8-images", "dict", "tuple", "nested"])
@pytest.mark.parametrize("source", ["generator", "pydataset"])
def test_python_sources_of_every_kind_are_recognised_by_content(kind, source):
    x, model = KINDS[kind], Total()
    make = lambda ids: (rows(x, ids),)  # noqa: E731
    batches = testing.aligned_batches(N, BATCH)
    build = testing.as_generator if source == "generator" else testing.as_pydataset
    bare = predict(model, build(batches, make))
    with guard(reference=x) as g:
        guarded = predict(model, build(batches, make))
    assert np.array_equal(bare, guarded, equal_nan=True)
    assert g.report.verdict is Verdict.PASS, g.report.not_proven
    with guard(reference=x) as g:
        predict(model, build(testing.faulty_batches("swapped_batches", n=N, batch_size=BATCH), make))
    assert g.report.counts["misaligned"] == 2 * BATCH


def test_scipy_sparse_input_works():
    x = scipy.sparse.csr_matrix(np.where(F32 > 0, F32, 0).astype("float32"))
    model = Total()
    bare = predict(model, x, batch_size=BATCH)
    with guard(reference=x.toarray()) as g:
        guarded = predict(model, x, batch_size=BATCH)
    assert np.array_equal(bare, guarded)
    assert g.report.proof == "identity"


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_rows_padded_per_batch_are_compared_without_their_padding(value):
    sequences = [row.astype("float32") for row in TOKENS]
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(sequences), output_signature=tf.TensorSpec((None,), tf.float32)
    ).padded_batch(BATCH, padding_values=value)
    with guard(reference=sequences, pad_value=value) as g:
        predict(Total(), dataset)
    assert g.report.verdict is Verdict.PASS, g.report.not_proven
    with guard(reference=sequences) as g:
        predict(Total(), dataset)
    assert g.report.verdict is not Verdict.PASS


def test_a_callable_says_which_part_identifies_a_row():
    x = {"image": F32, "noise": RNG.normal(size=(N, 1)).astype("float32")}
    fed = {"image": F32, "noise": RNG.normal(size=(N, 1)).astype("float32")}
    with guard(reference=x, fingerprint=lambda batch: batch["image"]) as g:
        predict(Total(), fed, batch_size=BATCH)
    assert (g.report.verdict, g.report.identities[0]["identity"]) == (Verdict.PASS, "content")


@pytest.mark.parametrize("parts", [2, 3])
@pytest.mark.parametrize("source", ["generator", "pydataset", "pydataset-4-threads", "tf.data"])
def test_targets_and_weights_ride_along(source, parts):
    y = (np.arange(N) % 5).astype("int64")
    weight = np.ones(N, "float32")
    make = lambda ids: (F32[ids], y[ids], weight[ids])[:parts]  # noqa: E731
    batches = testing.aligned_batches(N, BATCH)
    sources = {
        "generator": lambda: testing.as_generator(batches, make, with_index=True),
        "pydataset": lambda: testing.as_pydataset(batches, make),
        "pydataset-4-threads": lambda: testing.as_pydataset(batches, make, workers=4),
        "tf.data": lambda: testing.as_tf_dataset(batches, make),
    }
    model = first_value((3,))
    bare = predict(model, sources[source]())
    with evalguard.guard(labels=y, mlflow=False) as g:
        guarded = predict(model, sources[source]())
    assert np.array_equal(bare, guarded)
    assert g.report.verdict is Verdict.PASS
    assert np.array_equal(g.y_true, y)


@pytest.mark.skipif(KERAS < (3, 12), reason="not every older Keras takes a target of None; 3.10 does not")
def test_missing_targets_work():
    def stream():
        for ids in testing.aligned_batches(N, BATCH):
            yield F32[ids], None

    with guard(reference=F32) as g:
        predict(first_value((3,)), stream())
    assert g.report.verdict is Verdict.PASS


@pytest.mark.parametrize("form", ["dict", "tuple", "one-hot", "strings"])
def test_targets_of_several_outputs_are_compared(form):
    y = np.arange(N) % 5
    values = {
        "dict": {"a": y, "b": F32},
        "tuple": (y, F32),
        "one-hot": np.eye(5, dtype="float32")[y],
        "strings": np.array([f"class {c}" for c in y]),
    }[form]
    labels = y if form == "one-hot" else values
    targets = tuple(map(tf.constant, values)) if form == "tuple" else tf.nest.map_structure(tf.constant, values)
    dataset = tf.data.Dataset.from_tensor_slices((F32, targets)).batch(BATCH)
    with evalguard.guard(labels=labels, mlflow=False) as g:
        predict(first_value((3,)), dataset)
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "labels")
    with evalguard.guard(labels=labels, mlflow=False, on_failure="record") as g:
        predict(first_value((3,)), dataset.skip(1).concatenate(dataset.take(1)))
    assert g.report.verdict is Verdict.FAIL
    assert g.report.findings[0].reason == "label_disagreement"


def test_string_keys_name_the_samples_and_can_be_kept_from_the_model():
    keys = np.array([f"images/{i}.png" for i in range(N)])
    labels = evalguard.Labels(values=np.arange(N), keys=keys)
    seen = []

    class Spy(keras.Model):
        def call(self, x):
            seen.append(sorted(x))
            return x["x"]

    order = np.random.default_rng(3).permutation(N)
    dataset = tf.data.Dataset.from_tensor_slices({"x": F32[order], "id": keys[order]}).batch(BATCH)
    for strip in (True, False):
        with evalguard.guard(labels=labels, key="id", drop_key=strip, mlflow=False, on_failure="record") as g:
            predict(Spy(), dataset)
        assert np.array_equal(g.index, order)
        assert g.report.wrong_rows[0]["sample_key"] == keys[order[0]]
        assert seen.pop() == (["x"] if strip else ["id", "x"])


def test_keys_may_come_from_a_callable():
    labels = evalguard.Labels(values=np.arange(N), keys=np.arange(N) * 10)
    with evalguard.guard(labels=labels, key=lambda batch: batch[0][:, 0] * 10, mlflow=False) as g:
        numbered = np.arange(N)[:, None].repeat(2, 1)
        predict(first_value((2,)), tf.data.Dataset.from_tensor_slices((numbered, F32)).batch(BATCH))
    assert g.report.proof == "identity"


@pytest.mark.parametrize("n", [1, 2, BATCH, BATCH + 1, 13])
def test_any_number_of_samples_works(n):
    with evalguard.guard(labels=np.arange(n), reference=F32[:n], mlflow=False) as g:
        predict(first_value((3,)), tf.data.Dataset.from_tensor_slices(F32[:n]).batch(BATCH))
    assert g.report.verdict is Verdict.PASS


def test_batches_of_different_sizes_work():
    batches = [np.arange(0, 1), np.arange(1, 9), np.arange(9, 11), np.arange(11, N)]
    with guard(reference=F32) as g:
        predict(first_value((3,)), testing.as_tf_dataset(batches, lambda ids: (F32[ids],)))
    assert g.report.verdict is Verdict.PASS


def test_two_replicas_split_and_join_in_order():
    # Needs its devices before TensorFlow starts, so it runs in a separate interpreter.
    code = """
import numpy as np, tensorflow as tf, keras, evalguard
cpus = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    inputs = keras.Input((1,)); model = keras.Model(inputs, keras.layers.Identity()(inputs))
x = np.arange(37, dtype="float32")[:, None]
ds = tf.data.Dataset.from_tensor_slices((x, np.arange(37))).batch(8)
for source in (ds, x):
    with evalguard.guard(labels=np.arange(37), reference=x, mlflow=False) as g:
        rows = model.predict(source, batch_size=8 if source is x else None, verbose=0)
    assert "transport" in g.report.checks and not g.report.findings, g.report
    assert np.array_equal(rows, x)
with evalguard.guard(labels=np.arange(37), mlflow=False) as g:
    model.predict(ds, verbose=0)
assert g.report.proof == "labels", g.report
with evalguard.guard(labels=np.arange(37), reference=x, mlflow=False, on_failure="record") as g:
    model.predict(ds.skip(1), verbose=0)
assert g.report.counts["missing"] == 8
print("done")
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("done"), done.stderr[-2000:]
