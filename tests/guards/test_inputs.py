"""Labels and reference of a guard: many forms, read once."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import evalguard
from evalguard import Verdict, testing
from evalguard.guards.inputs import GuardInputs
from evalguard.guards.options import GuardOptions
from tests.guards.streams import ALIGNED, BATCH, N, X, Y, dataset, faulty, guard

REFERENCES = {
    "float64": lambda: X.astype("float64"),
    "integers": lambda: X.astype("int64"),
    "scalars": lambda: X[:, 0],
    "tensor": lambda: tf.constant(X),
    "list": lambda: X.tolist(),
    "by-index": lambda: lambda index: X[index],
    "generator-factory": lambda: lambda: testing.as_generator(ALIGNED, lambda ids: (X[ids], Y[ids])),
    "pydataset": lambda: testing.as_pydataset(ALIGNED, lambda ids: (X[ids],)),
    "tf.data": lambda: tf.data.Dataset.from_tensor_slices((X, Y)).batch(13),
    "frame": lambda: pd.DataFrame(X),
}


@pytest.mark.parametrize("kind", REFERENCES)
def test_a_reference_may_come_in_many_forms(model, kind):
    with guard(reference=REFERENCES[kind]()) as g:
        model.predict(dataset(), verbose=0)
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "identity")
    with guard(reference=REFERENCES[kind](), on_failure="record") as g:
        model.predict(faulty(), verbose=0)
    assert g.report.verdict is Verdict.FAIL


class Endless(keras.utils.PyDataset):
    def __getitem__(self, index):
        return X[:BATCH], Y[:BATCH]

    @property
    def num_batches(self):
        return None


@pytest.mark.parametrize(
    ("source", "end"),
    [
        pytest.param(lambda: dataset(targets=True).repeat(), "without repeat.*take", id="tf.data"),
        pytest.param(Endless, "number of batches", id="pydataset"),
    ],
)
def test_a_reference_or_labels_without_an_end_are_refused_before_anything_is_predicted(model, source, end):
    with pytest.raises(evalguard.UnsupportedSourceError, match=f"found an endless one.*{end}"):
        evalguard.Labels.collect(source())
    with (
        pytest.raises(evalguard.UnsupportedSourceError, match=f"found an endless one.*{end}"),
        guard(reference=source()),
    ):
        pytest.fail("entered")


def test_a_reference_that_never_ends_is_read_up_to_the_labels(model):
    def batches():
        while True:
            yield (X[:BATCH],)

    with pytest.raises(evalguard.LabelsError, match="each of the 50 labels, found more"), guard(reference=batches):
        model.predict(dataset(), verbose=0)


# Two columns: a constant, and one in which samples 4 and 5 are equal.
WIDE = np.stack([np.ones(N, dtype="float32"), np.where(np.arange(N) == 5, 4, np.arange(N)).astype("float32")], axis=1)


def constant(x):
    return x[:, :1]


def telling(x):
    return x[:, 1:]


def collected(part):
    batches = [(WIDE[ids], Y[ids]) for ids in ALIGNED]
    return evalguard.Labels.collect(lambda: (batch for batch in batches), fingerprint=part)


def saved(part, tmp_path):
    path = tmp_path / "labels.parquet"
    collected(part).save(path)
    return path


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("part", [constant, telling])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(lambda part, folder: {"labels": Y, "reference": WIDE}, id="reference"),
        pytest.param(lambda part, folder: {"labels": Y, "reference": lambda index: WIDE[index]}, id="by-index"),
        pytest.param(lambda part, folder: {"labels": collected(part)}, id="collected"),
        pytest.param(lambda part, folder: {"labels": saved(part, folder)}, id="saved"),
        pytest.param(lambda part, folder: {"labels": Y, "reference": saved(part, folder)}, id="manifest"),
    ],
)
def test_a_part_that_different_inputs_share_does_not_identify_them(tmp_path, options, part, reverse):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Identity()])
    x = WIDE[::-1] if reverse else WIDE
    chosen = {"fingerprint": part, "on_failure": "record", "on_unproven": "record", "mlflow": False}
    with evalguard.guard(**options(part, tmp_path), **chosen) as g:
        model.predict(x, verbose=0)
    notes = " ".join(g.report.not_proven)
    if part is constant:
        assert (g.report.verdict, g.report.findings) == (Verdict.UNPROVEN, ())
        assert f"returns the same for samples with different inputs, so it does not identify {N} rows" in notes
    else:
        # Samples 4 and 5 are equal as a whole, and so are their predictions.
        assert g.report.verdict is (Verdict.FAIL if reverse else Verdict.PASS)
        assert "different inputs" not in notes


def test_a_part_that_two_inputs_share_identifies_the_others_beside_a_scalar():
    batches = [({"id": WIDE[ids, 1], "row": X[ids], "scale": np.float32(2)}, Y[ids]) for ids in ALIGNED]
    labels = evalguard.Labels.collect(lambda: iter(batches), fingerprint=lambda batch: batch["id"])
    assert labels.ambiguous
    equal = [({**x, "row": x["id"]}, y) for x, y in batches]
    assert not evalguard.Labels.collect(lambda: iter(equal), fingerprint=lambda batch: batch["id"]).ambiguous


def test_a_reference_of_another_length_is_refused(model):
    with pytest.raises(evalguard.LabelsError, match="one row for each of the 50 labels, found 49"):
        with guard(reference=X[:-1]):
            model.predict(dataset(), verbose=0)


def inputs(**options):
    return GuardInputs(GuardOptions(**options))


def test_labels_of_the_options_are_read_once_and_those_of_an_argument_at_each_call():
    given = [1, 2]
    made = inputs(labels=given)
    assert made.read(given) is made.read(given)
    assert made.labels.values.tolist() == [1, 2]
    assert inputs().read([3]).values.tolist() == [3]
    other = made.read([3, 4])
    assert other.values.tolist() == [3, 4]
    assert made.labels.values.tolist() == [1, 2]


def test_a_callable_is_called_only_when_the_entry_ends():
    asked = []

    def late():
        asked.append(True)
        return [5]

    made = inputs(labels=late)
    table = made.read(late)
    find = made.finder(late, table)
    assert (table, find(False), asked) == (None, None, [])
    assert find(True).values.tolist() == [5]
    assert asked == [True]


def test_labels_that_are_set_late_are_found_and_not_those_of_an_argument():
    made = inputs()
    find = made.finder(None, None)
    assert find(False) is None
    made.set_late([7])
    assert find(False).values.tolist() == [7]
    assert made.labels.values.tolist() == [7]
    argument = inputs(labels_argument="y")
    argument.set_late([7])
    assert argument.finder(None, None)(False) is None


@pytest.mark.parametrize("given", [None, Y])
@pytest.mark.parametrize("before", [True, False])
def test_labels_that_are_set_again_are_those_of_the_entry_in_which_they_are_set(model, given, before):
    def verdict(labels, *, inside):
        if not inside:
            g.labels = labels
        with g:
            if before and inside:
                g.labels = labels
            model.predict(dataset(targets=True), verbose=0)
            if not before and inside and given is None:
                g.labels = labels
        return g.report.verdict

    g = guard(labels=given, reference=X, on_failure="record")
    other = Y[::-1].copy()
    inside = given is None
    assert verdict(Y, inside=inside) is Verdict.PASS
    assert verdict(other, inside=inside) is Verdict.FAIL
    assert verdict(Y, inside=inside) is Verdict.PASS
    assert verdict(other, inside=False) is Verdict.FAIL
    with g:
        model.predict(dataset(targets=True), verbose=0)
    assert g.report.verdict is Verdict.FAIL, "the last ones stay"


def test_a_manifest_without_fingerprints_is_no_reference():
    with pytest.raises(evalguard.LabelsError, match="expected labels with fingerprints"):
        inputs(reference=evalguard.Labels(values=np.arange(3))).reference(None)


def test_files_are_hashed_once_and_a_label_file_is_among_them(tmp_path):
    labels, model = tmp_path / "labels.csv", tmp_path / "model.keras"
    labels.write_text("label\n1\n")
    model.write_text("weights")
    made = inputs(attest_files=[model])
    first = made.file_digests(labels, [model])
    model.write_text("other weights")
    assert len(first) == 2
    assert made.file_digests(labels, [model]) == first
    assert len(made.file_digests([1], [model])) == 1


WEIGHTS = np.linspace(0.5, 2, N)


def test_weights_are_checked_before_anything_is_predicted(model):
    with pytest.raises(evalguard.LabelsError, match=f"each of the {N} labels, found {N - 1}. Give an array"):
        with guard(sample_weight=WEIGHTS[1:]):
            model.predict(dataset(), verbose=0)


def test_weights_are_those_of_labels_that_come_late(model):
    with evalguard.guard(sample_weight=WEIGHTS, reference=X, mlflow=False) as g:
        model.predict(dataset(), verbose=0)
        g.labels = Y
    assert np.array_equal(g.sample_weight, WEIGHTS)


def test_weights_without_labels_are_refused(model):
    with pytest.raises(evalguard.LabelsError, match=r"sample_weight: expected labels .* found a reference only"):
        with evalguard.guard(sample_weight=WEIGHTS, reference=X, mlflow=False):
            model.predict(dataset(), verbose=0)


def test_equal_labels_with_other_weights_keep_theirs(model):
    g = evalguard.guard(labels_argument="labels", reference=X, mlflow=False)

    @g
    def evaluate(labels):
        model.predict(dataset(), verbose=0)

    for weights in (WEIGHTS, 2 * WEIGHTS, None):
        evaluate(evalguard.Labels(values=Y, weights=weights))
        assert np.array_equal(g.sample_weight, weights) if weights is not None else g.sample_weight is None


def test_a_variant_with_other_weights_reads_the_labels_again(model):
    g = guard(reference=X, sample_weight=WEIGHTS)
    variant = g.with_options(sample_weight=2 * WEIGHTS)
    for one, weights in ((g, WEIGHTS), (variant, 2 * WEIGHTS)):
        with one:
            model.predict(dataset(), verbose=0)
        assert np.array_equal(one.sample_weight, weights)
