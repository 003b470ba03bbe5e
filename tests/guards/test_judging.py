"""Calls compared with labels and reference: padding, equal inputs, other data, wrong labels."""

from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import evalguard
from evalguard import Verdict, testing
from evalguard.core.findings import Reason
from evalguard.core.label_table import LabelTable
from evalguard.core.trace import UNKNOWN, Trace
from evalguard.guards import joining, judging
from tests.guards.streams import ALIGNED, BATCH, N, X, Y, dataset, faulty, guard


@pytest.mark.parametrize("extra", [[0, 0], [N - 1, N - 1], [3, 7]], ids=["first", "last", "any"])
@pytest.mark.parametrize("n", [1, 7, N])
def test_padding_with_known_samples_is_cut_on_request(model, n, extra):
    ids = np.concatenate([np.arange(n), np.minimum(extra, n - 1)])
    with evalguard.guard(labels=Y[:n], reference=X[:n], padding="trim", mlflow=False) as g:
        predictions = model.predict(dataset([ids]), verbose=0)
    assert g.report.verdict is Verdict.PASS
    assert g.report.counts["padding"] == 2
    assert np.array_equal(predictions, X[:n])
    with pytest.raises(evalguard.MisalignmentError, match="padding='trim'"):
        with evalguard.guard(labels=Y[:n], reference=X[:n], mlflow=False):
            model.predict(dataset([ids]), verbose=0)


def test_declared_dummies_are_cut(model):
    padded = np.concatenate([X + 1, np.zeros((6, 1), "float32")])
    with guard(reference=X + 1, padding="trim", pad_value=0) as g:
        predictions = model.predict(tf.data.Dataset.from_tensor_slices(padded).batch(BATCH), verbose=0)
    assert g.report.verdict is Verdict.PASS
    assert len(predictions) == N


@pytest.mark.parametrize("fault", ["swapped_rows", "foreign_row", "skipped_batch"])
def test_padding_never_hides_a_fault(model, fault):
    ids = np.concatenate([*testing.faulty_batches(fault, n=N, batch_size=BATCH), np.zeros(16, int)])
    with guard(reference=X, padding="trim", on_failure="record") as g:
        model.predict(dataset([ids]), verbose=0)
    assert g.report.verdict is Verdict.FAIL


def test_padding_with_unknown_rows_fails(model):
    with guard(reference=X, padding="trim", on_failure="record") as g:
        model.predict(dataset([np.append(np.arange(N), N + 9)]), verbose=0)
    assert g.report.verdict is Verdict.FAIL
    assert g.report.counts["foreign"] == 1


def test_a_wrong_label_file_is_distinguished_from_a_wrong_stream(model):
    shifted = np.roll(Y, 1)
    with evalguard.guard(labels=shifted, reference=X, on_failure="record", mlflow=False) as g:
        model.predict(dataset(targets=True), verbose=0)
    assert g.report.verdict is Verdict.FAIL
    assert [link.link for link in g.report.chain if link.status == "broken"] == ["labels"]
    assert g.report.counts["misaligned"] == 0
    assert g.report.counts["label_disagreements"] == np.count_nonzero(shifted != Y)
    rolled = np.roll(np.arange(N), 1)
    with guard(reference=X, on_failure="record") as g:
        model.predict(dataset([rolled], targets=True), verbose=0)
    assert [link.link for link in g.report.chain if link.status == "broken"] == ["fed"]
    assert g.report.counts["misaligned"] == N


def test_equal_samples_are_interchangeable_and_counted(model):
    x = X.copy()
    x[10:20] = 5.0
    data = tf.data.Dataset.from_tensor_slices(x).batch(BATCH)
    with guard(reference=x) as g:
        model.predict(data, verbose=0)
    assert g.report.verdict is Verdict.PASS
    assert g.report.counts["equal_samples"] == 10


def test_equal_rows_do_not_prove_by_labels_unless_the_data_is_known_to_hold_them(model):
    x = X.copy()
    x[1] = x[0]
    data = tf.data.Dataset.from_tensor_slices((x, Y)).batch(BATCH)
    with guard(on_unproven="record") as g:
        model.predict(data, verbose=0)
    assert g.report.verdict is Verdict.UNPROVEN
    assert 'duplicate_inputs="allow"' in g.report.advice
    with guard(duplicate_inputs="allow") as g:
        model.predict(data, verbose=0)
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "labels")


def test_a_reference_of_another_preprocessing_is_unproven_with_the_first_difference(model):
    with guard(reference=X, on_unproven="record") as g:
        model.predict(dataset().map(lambda x: x / 255.0 + 0.1), verbose=0)
    assert g.report.verdict is Verdict.UNPROVEN
    text = " ".join(g.report.not_proven)
    assert "row 0: 1 of 1 values differ" in text
    assert "the preprocessing differs" in text


def test_a_nan_on_both_sides_is_not_the_difference():
    x = np.concatenate([np.full((N, 1), np.nan), X], axis=1).astype("float32")
    other = x + np.array([0, 0.1], "float32")
    with guard(reference=x, on_unproven="record") as g:
        keras.Sequential([keras.Input((2,)), keras.layers.Activation("linear")]).predict(other, verbose=0)
    text = " ".join(g.report.not_proven)
    assert "row 0: 1 of 2 values differ; the first, at 1, is 0.1 at the model" in text


def test_a_reference_that_changes_at_each_reading_is_called_random(model):
    rng = np.random.default_rng(0)
    with guard(reference=lambda index: X[index] + rng.normal(size=1), on_unproven="record") as g:
        model.predict(dataset(), verbose=0)
    assert g.report.verdict is Verdict.UNPROVEN
    assert "transformed at random" in " ".join(g.report.not_proven)


def test_the_fingerprints_of_a_reference_are_those_of_labels_in_the_same_order(model):
    rows = np.arange(N)

    g = evalguard.guard(labels_argument="table", labels_key="id", reference=lambda: iter([X[rows]]), mlflow=False)

    @g
    def evaluate(table):
        return model.predict(dataset([table["id"].to_numpy()]), verbose=0)

    digests = set()
    # The same set of labels, whose digest is that of any order.
    for rows in (np.arange(N), np.arange(N)[::-1], np.roll(np.arange(N), 3)):
        evaluate(pd.DataFrame({"id": rows, "label": Y[rows]}))
        assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "identity")
        assert np.array_equal(g.y_true, Y[rows])
        digests.add(g.report.labels["digest"])
    assert len(digests) == 1


def test_an_index_on_the_wrong_row_is_found(model):
    def lying():
        for ids in ALIGNED:
            yield evalguard.tagged((X[ids[::-1]],), index=ids)

    with guard(reference=X, on_failure="record") as g:
        model.predict(lying(), steps=len(ALIGNED), verbose=0)
    assert g.report.verdict is Verdict.FAIL
    assert any("the index belongs to another row" in finding.message for finding in g.report.findings)
    assert [item["identity"] for item in g.report.identities] == ["content", "index"]


@pytest.mark.parametrize("fault", ["foreign_row", "skipped_batch", "dropped_tail"])
def test_what_cannot_be_repaired_without_guessing_is_refused(model, fault):
    with pytest.raises(evalguard.MisalignmentError, match="not repaired: ") as caught:
        with guard(reference=X, on_failure="repair"):
            model.predict(faulty(fault), verbose=0)
    assert caught.value.report.verdict is Verdict.FAIL


def trace(n=4, **known):
    return Trace(n, np.full(n, UNKNOWN), **known)


ROWS = np.arange(100, dtype=np.uint64)


@pytest.mark.parametrize(
    ("rows", "known", "other"),
    [
        pytest.param(ROWS + 1000, ROWS, True, id="nothing-in-common"),
        pytest.param(ROWS, ROWS, False, id="same"),
        pytest.param(ROWS[::-1], ROWS, False, id="same-in-another-order"),
        pytest.param(ROWS[:0], ROWS, False, id="no-rows"),
        pytest.param(None, ROWS, False, id="not-hashed"),
        pytest.param(ROWS, None, False, id="no-reference"),
    ],
)
def test_data_is_other_data_if_almost_none_of_its_rows_are_in_the_reference(rows, known, other):
    given = trace(100 if rows is None else len(rows), fingerprints=rows)
    assert judging.is_other_data(given, LabelTable(fingerprints=known, values=np.zeros(100))) is other


FILES = np.array(["a.png", "b.png", "c.png"])


def listed(index, files=FILES):
    index = np.array(index)
    return trace(len(index), index=index, index_source="listed", keys=files[index].astype(object))


@pytest.mark.parametrize(
    ("label_keys", "kept"),
    [
        pytest.param(FILES[::-1], "keys", id="another-order"),
        pytest.param(np.array(["x", "y", "z"]), "keys", id="other-files"),
        pytest.param(FILES[:2], "keys", id="fewer-files"),
        pytest.param(np.arange(3), "keys", id="numbers"),
        pytest.param(FILES, "index", id="the-same"),
        pytest.param(np.array([*FILES, "d.png"]), "index", id="more-files"),
        pytest.param(None, "index", id="no-keys"),
    ],
)
def test_rows_are_known_by_file_where_the_labels_list_other_files_than_the_source(label_keys, kept):
    n_labels = 3 if label_keys is None else len(label_keys)
    (found,) = joining.in_label_order([listed([2, 0])], LabelTable(keys=label_keys, values=np.zeros(n_labels)))
    assert found.index_source == "stated"
    assert (found.index is None) is (kept == "keys")
    if kept == "keys":
        assert found.keys.tolist() == ["c.png", "a.png"]
    assert (found.keys is None) is (kept == "index" and label_keys is not None)


def test_rows_without_all_files_are_known_by_no_index_either():
    """The index counts in a list of which it is not known whether it is that of the labels."""
    given = replace(listed([0, 1]), keys=None)
    (found,) = joining.in_label_order([given], LabelTable(keys=FILES, values=np.zeros(3)))
    assert (found.keys, found.index) == (None, None)
    (found,) = joining.in_label_order([given], None)
    assert found.index.tolist() == [0, 1]


def test_two_lists_that_are_parts_of_the_labels_are_both_known_by_file():
    """Joined, traces keep what all of them have: the first alone would be known by its index."""
    calls = [listed([0, 1]), listed([0], FILES[2:])]
    for found in joining.in_label_order(calls, LabelTable(keys=FILES, values=np.zeros(3))):
        assert found.index is None
        assert found.keys is not None


def test_what_other_sources_state_stays_as_it_is():
    given = trace(2, index=np.arange(2), keys=FILES[:2])
    assert joining.in_label_order([given], LabelTable(keys=FILES[::-1], values=np.zeros(3))) == [given]


@pytest.mark.parametrize(
    ("reasons", "wrong"),
    [("label_disagreement", True), ("identities_disagree", True), ("reordered", False), ("", False),
     ("label_disagreement reordered", False), ("identities_disagree reordered", True)],
)  # fmt: skip
def test_labels_that_the_stream_contradicts_are_wrong(reasons, wrong):
    report = SimpleNamespace(findings=[SimpleNamespace(reason=Reason(reason)) for reason in reasons.split()])
    assert judging.says_labels_are_wrong(report) is wrong


def test_rows_are_repaired_only_by_the_proof_that_is_required():
    class Moving(keras.Model):
        def predict(self, *args, **options):
            return super().predict(*args, **options)[::-1]

    inputs = keras.Input((2,))
    moving = Moving(inputs, keras.layers.Identity()(inputs))
    x = np.arange(24, dtype="float32").reshape(12, 2)
    with evalguard.guard(labels=np.arange(12), on_failure="repair", mlflow=False) as g:
        assert np.array_equal(moving.predict(x, verbose=0), x)
    assert g.report.verdict is evalguard.Verdict.REPAIRED
    with pytest.raises(evalguard.MisalignmentError, match="the proof is declared, weaker than labels"):
        with evalguard.guard(labels=np.arange(12), on_failure="repair", require="labels", mlflow=False):
            moving.predict(x, verbose=0)
