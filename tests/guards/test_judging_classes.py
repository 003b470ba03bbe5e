"""Labels that are names beside the numbers in a stream: what agrees, differs, or cannot be compared."""

import keras
import numpy as np
import pytest

import evalguard
from evalguard import Verdict
from evalguard.core.findings import Reason
from evalguard.core.label_table import LabelTable
from evalguard.guards.predicted_classes import SEEM
from tests.guards.animals import NAMES, NUMBERS, SCORES, TEXT, N, echo, guarded, named_stream, reasons, stream


def test_names_become_numbers_for_the_stream_and_for_metrics_by_name():
    g = guarded(
        TEXT, stream(NUMBERS), classes=NAMES, metrics={"acc": "accuracy", "own": lambda y, _: (y == "cat").mean()}
    )
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "labels")
    assert g.report.hazards == ()
    assert g.report.impact["acc"].as_scored == pytest.approx((SCORES.argmax(1) == NUMBERS).mean())
    assert g.report.impact["own"].as_scored == pytest.approx((TEXT == "cat").mean())
    assert g.to_frame()["label"].tolist() == TEXT.tolist()
    assert g.report.labels["classes"] == NAMES
    assert g.report.labels["classes_from"] == "classes="
    assert g.report.labels["digest"] == LabelTable(values=TEXT).digest


def test_one_hot_targets_are_the_numbers_of_names():
    g = guarded(TEXT, stream(np.eye(4, dtype="float32")[NUMBERS]), classes=dict(zip(NAMES, range(4), strict=True)))
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "labels")


def test_a_stream_that_numbers_the_named_classes_otherwise_is_a_fail():
    g = guarded(TEXT, stream((NUMBERS + 1) % 4), classes=NAMES)
    assert (g.report.verdict, reasons(g)) == (Verdict.FAIL, [Reason.CLASSES])
    assert g.report.diagnosis[0].cause.startswith("codes differ")


def test_two_wrong_labels_are_a_fail_whatever_the_names():
    wrong = TEXT.copy()
    first, second = np.flatnonzero(TEXT == "cat")[0], np.flatnonzero(TEXT == "dog")[0]
    wrong[[first, second]] = wrong[[second, first]]
    assert reasons(guarded(wrong, stream(NUMBERS), classes=NAMES)) == [Reason.LABELS]
    assert guarded(wrong, stream(NUMBERS)).report.verdict is not Verdict.PASS


def test_sorted_names_are_assumed_and_said_so():
    g = guarded(TEXT, stream(NUMBERS), metrics="accuracy")
    assert (g.report.verdict, g.report.proof, g.report.hazards) == (Verdict.PASS, "labels", ())
    assert g.report.labels["classes_from"].startswith("the names in the labels in sorted order")
    assert g.report.impact["accuracy"].as_scored == pytest.approx((SCORES.argmax(1) == NUMBERS).mean())


@pytest.mark.parametrize("changed", [(NUMBERS + 1) % 4, NUMBERS[::-1], NUMBERS // 2, np.roll(NUMBERS, 1)])
def test_an_assumed_order_never_fails(changed):
    bare = guarded(TEXT, stream(changed.copy()))
    assert bare.report.findings == ()
    assert bare.report.verdict is Verdict.UNPROVEN
    (hazard,) = bare.report.hazards
    assert "classes=[...]" in hazard


@pytest.mark.parametrize("given", [True, False])
def test_what_evaluate_scored_is_the_stream_s_own_numbers(given):
    """Named, they are the labels; but the model numbers them otherwise."""
    model = echo()
    model.compile(loss="sparse_categorical_crossentropy")
    options = {"classes": NAMES} if given else {}
    batches = named_stream(3 - NUMBERS, NAMES[::-1])
    with evalguard.guard(labels=TEXT, on_failure="record", mlflow=False, duplicate_inputs="allow", **options) as g:
        model.evaluate(batches, verbose=0)
    assert g.report.verdict is (Verdict.FAIL if given else Verdict.PASS)
    with evalguard.guard(labels=TEXT, on_failure="record", mlflow=False, duplicate_inputs="allow", **options) as g:
        model.predict(batches, verbose=0)
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "labels")


def test_another_encoding_is_named_and_contradicts_nothing():
    two = NUMBERS % 2
    g = guarded(two * 2 - 1, stream(two))
    assert reasons(g) == []
    assert g.report.hazards[0] == (
        "the stream's targets are another encoding of the labels (0 for -1), so they were not compared"
    )


@pytest.mark.parametrize(
    "order",
    [np.random.default_rng(1).permutation(N), np.roll(np.arange(N), 1), np.r_[1, 0, 2:N]],
    ids=["another-order", "shifted", "two-exchanged"],
)
def test_names_that_no_numbering_explains_are_no_pass(order):
    g = guarded(TEXT[order], stream(NUMBERS), reference=SCORES)
    assert g.report.verdict is Verdict.UNPROVEN
    assert any("no numbering of the names makes" in note for note in g.report.not_proven)
    # Numbers may be of groups of names, or the other way round.
    for grouped in (NUMBERS // 2, NUMBERS * 2 + np.arange(N) % 2):
        assert guarded(TEXT, stream(grouped), reference=SCORES).report.verdict is Verdict.PASS


@pytest.mark.parametrize("names", [[NAMES[at] for at in (1, 2, 3, 0)], NAMES[::-1]])
def test_given_names_that_no_numbering_explains_are_no_pass(names):
    order = np.random.default_rng(1).permutation(N)
    report = guarded(TEXT, stream(NUMBERS[order], SCORES[order]), classes=names, require="transport").report
    assert report.verdict is Verdict.UNPROVEN
    assert any("no numbering of the names makes" in note for note in report.not_proven)
    # Groups of the named classes.
    grouped = guarded(TEXT, stream(NUMBERS // 2), classes=names, reference=SCORES).report
    assert grouped.verdict is Verdict.PASS


def test_names_of_one_output_do_not_keep_another_from_being_compared():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, {"a": keras.layers.Identity(name="a")(inputs), "b": inputs * 2})
    other = np.array(["z", "y", "x", "w"])[NUMBERS]
    for b, verdict in ((NUMBERS, Verdict.PASS), (np.roll(NUMBERS, 7), Verdict.FAIL)):
        g = guarded({"a": other, "b": b}, stream({"a": NUMBERS, "b": NUMBERS}), model, reference=SCORES)
        assert g.report.verdict is verdict


def test_labels_that_count_from_one_are_a_fail_beside_the_stream():
    g = guarded(NUMBERS + 1, stream(NUMBERS))
    assert (g.report.verdict, reasons(g)) == (Verdict.FAIL, [Reason.CLASSES])
    assert "each label is 1 more than the stream's number" in g.report.headline


def test_rows_that_were_moved_are_paired_with_their_labels_first():
    order = np.random.default_rng(1).permutation(N)
    g = guarded(NUMBERS, SCORES[order], reference=SCORES)
    assert (g.report.verdict, g.report.hazards) == (Verdict.FAIL, ())
    g = guarded((NUMBERS + 1) % 4, SCORES[order], reference=SCORES)
    assert any(hazard.startswith(SEEM) for hazard in g.report.hazards)
