"""Digests of rows that are scored, and the labels and weights that they are scored against."""

import keras
import ml_dtypes
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import evalguard
from evalguard import Verdict
from evalguard.core.findings import Reason
from evalguard.core.label_table import LabelTable
from evalguard.guards.confirming import Confirmation, joined_columns, row_columns
from evalguard.labels.labels import Labels
from tests.guards.streams import N, X, Y, guard, identity_model, verdict

ROWS = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
QUIET = {"on_failure": "record", "on_unproven": "record"}
RAGGED = tf.ragged.constant([[1.0, 2.0], [3.0], []], dtype=tf.float32)


def same(one, other):
    ours, theirs = row_columns(one), row_columns(other)
    assert ours is not None
    assert theirs is not None
    return len(ours) == len(theirs) and all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(ROWS, ROWS.astype("float64"), id="float32-as-float64"),
        pytest.param(ROWS.astype("float16"), ROWS.astype("float16").astype("float32"), id="float16-as-float32"),
        pytest.param(ROWS.astype("float16"), ROWS.astype("float16").astype("float64"), id="float16-as-float64"),
        pytest.param(ROWS.astype(ml_dtypes.bfloat16), ROWS.astype(ml_dtypes.bfloat16).astype("float64"), id="bfloat16"),
        pytest.param(ROWS, ROWS.astype("float64").astype("float32"), id="there-and-back"),
        pytest.param(np.arange(6, dtype="int32"), np.arange(6), id="int32-as-int64"),
        pytest.param(np.arange(6, dtype="uint8"), np.arange(6, dtype="int16"), id="uint8-as-int16"),
        pytest.param(np.arange(6, dtype="uint32"), np.arange(6), id="uint32-as-int64"),
        pytest.param(ROWS[:, :1], ROWS[:, 0], id="last-axis"),
        pytest.param(ROWS[:, None], ROWS, id="middle-axis"),
        pytest.param(ROWS[:, None, :, None], ROWS, id="both"),
        pytest.param(ROWS[:1], ROWS[:1][:, None], id="one-row"),
        pytest.param(np.array([-0.0, 1.0]), np.array([0.0, 1.0]), id="minus-zero"),
        pytest.param(np.array([np.nan, 1.0]), np.array([-np.nan, 1.0], "float32"), id="nan"),
        pytest.param(np.array([np.inf]), np.array([np.inf], "float32"), id="infinity"),
        pytest.param(np.array([b"a", b"bc"]), np.array(["a", "bc"], object), id="text"),
        pytest.param(np.array(["a", "bc"]), ["a", "bc"], id="text-in-a-list"),
        pytest.param(np.array([True, False]), [True, False], id="bool"),
        pytest.param(np.array([True, False]), [1.0, 0.0], id="bool-as-float"),
        pytest.param(np.arange(6), np.arange(6.0), id="integers-as-float64"),
        pytest.param(np.arange(6) - 3, np.arange(6, dtype="float32") - 3, id="integers-as-float32"),
        pytest.param(np.array([1, 2**40]), np.array([1.0, 2.0**40]), id="larger-integers-as-float64"),
        pytest.param(np.array([1, 2**60], "uint64"), np.array([1, 2**60]), id="uint64-as-int64"),
        pytest.param(ROWS, np.asfortranarray(ROWS), id="fortran"),
        pytest.param(ROWS, ROWS.tolist(), id="lists"),
        pytest.param(ROWS, tf.constant(ROWS), id="tensor"),
        pytest.param([ROWS, ROWS[:, 0]], (ROWS, ROWS[:, :1]), id="outputs"),
        pytest.param({"b": ROWS, "a": ROWS[:, 0]}, {"a": ROWS[:, 0], "b": ROWS}, id="dict-in-another-order"),
        pytest.param(RAGGED, tf.ragged.constant([[1.0, 2.0], [3.0], []], dtype=tf.float32), id="ragged"),
        pytest.param(np.zeros((3, 0)), np.zeros((3, 0), "float32"), id="no-values"),
    ],
)
def test_equal_values_have_equal_digests(one, other):
    assert same(one, other)
    assert same(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(ROWS, ROWS[::-1], id="order"),
        pytest.param(ROWS, ROWS[:, ::-1], id="columns"),
        pytest.param(ROWS, ROWS.reshape(6, 3).T.reshape(6, 3), id="layout"),
        pytest.param(ROWS, np.nextafter(ROWS, 9), id="one-bit"),
        pytest.param(ROWS.astype("float64") / 3, (ROWS.astype("float64") / 3).astype("float32"), id="rounded"),
        pytest.param(np.arange(6), np.arange(6) + (1 << 32), id="large-integers"),
        pytest.param(np.array([2**53, 2**53 + 1]), np.array([2**53, 2**53]), id="beyond-float64"),
        pytest.param(np.array([2**24, 2**24 + 1]), np.array([2**24, 2**24]), id="beyond-float32"),
        pytest.param(np.array([-(2**63), 0]), np.array([0, 0]), id="smallest"),
        pytest.param(np.array(["ab", "c"]), np.array(["a", "bc"]), id="text"),
        pytest.param(RAGGED, tf.ragged.constant([[1.0], [2.0, 3.0], []], dtype=tf.float32), id="ragged"),
        pytest.param([ROWS, ROWS[::-1]], [ROWS[::-1], ROWS], id="outputs-swapped"),
        pytest.param(np.array([np.nan]), np.array([0.0]), id="nan"),
    ],
)
def test_other_values_have_other_digests(one, other):
    assert not same(one, other)


@pytest.mark.parametrize("kind", ["float32", "float16", "bool", "int32", "<U3"])
def test_rows_of_one_type_are_equal_only_to_themselves(kind):
    values = np.arange(2 if kind == "bool" else 100).astype(kind)
    (column,) = row_columns(values) or ()
    assert len(np.unique(column)) == len(values)


@pytest.mark.parametrize("value", [None, [], {}, object(), 3, [ROWS, ROWS[:2]], np.float32(1), np.zeros(())])
def test_what_has_no_rows_has_no_digests(value):
    assert row_columns(value) is None


def test_columns_of_calls_are_joined_where_they_have_as_many_outputs():
    one, two = row_columns(ROWS), row_columns([ROWS, ROWS])
    assert [len(column) for column in joined_columns([one, one]) or ()] == [12]
    assert [len(column) for column in joined_columns([two, two]) or ()] == [12, 12]
    assert joined_columns([one, two]) is None
    assert joined_columns([one, None]) is None


# -- Frames --


@pytest.mark.parametrize(
    ("frame", "returned"),
    [
        pytest.param(pd.DataFrame(ROWS), ROWS, id="one-output"),
        pytest.param(pd.DataFrame(ROWS, index=range(6, 0, -1), columns=list("abc")), ROWS, id="names-and-an-index"),
        pytest.param(pd.Series(ROWS[:, 0]), ROWS[:, :1], id="series"),
        pytest.param(pd.DataFrame({"p": ROWS[:, 0]}), ROWS[:, :1], id="one-column"),
        pytest.param(pd.DataFrame(ROWS), [ROWS[:, 0], ROWS[:, 1:2], ROWS[:, 2]], id="an-output-each"),
        pytest.param(
            pd.DataFrame({"p": ROWS[:, 0], "k": np.arange(6)}), [ROWS[:, 0], np.arange(6, dtype="int32")], id="types"
        ),
    ],
)
def test_frames_are_compared_by_their_values_or_by_column(frame, returned):
    confirmation = Confirmation.of(frame, None, None)
    assert confirmation.found_in(row_columns(returned)) == 6
    (scored,) = confirmation.against(row_columns(returned), None, ())
    assert scored.rows is not None
    assert np.array_equal(scored.returned, scored.rows)


def test_a_frame_of_other_columns_is_not_comparable():
    # As the only output that is scored, of either.
    for scored in Confirmation.of(pd.DataFrame(ROWS), None, None).against(row_columns([ROWS[:, 0]] * 2), None, ()):
        assert scored.rows is not None
        assert not np.isin(scored.rows, scored.returned).any()


def test_more_outputs_than_were_returned_are_not_comparable():
    (scored,) = Confirmation.of([ROWS, ROWS], None, None).against(row_columns([ROWS, ROWS, ROWS]), None, ())
    assert scored.rows is None
    assert "expected 3 outputs" in scored.unknown
    assert "found 2" in scored.unknown


def test_what_was_returned_without_rows_is_not_comparable():
    (scored,) = Confirmation.of(ROWS, None, None).against(None, None, ())
    assert scored.rows is None
    assert scored.unknown == "what guarded calls returned has no rows that can be compared"


# -- Labels and weights --

TWO = {"a": np.arange(6), "b": np.arange(6)[::-1]}


def compared(y_true=None, weights=None, *, labels=TWO["a"], own_weights=None, y_pred=ROWS, returned=ROWS, outputs=()):
    table = Labels.of(labels, sample_weight=own_weights)
    (scored,) = Confirmation.of(y_pred, y_true, weights).against(row_columns(returned), table, outputs)
    return scored


@pytest.mark.parametrize(
    ("given", "own"),
    [
        (np.arange(6.0), np.arange(6.0)),
        (list(range(6)), np.arange(6.0)),
        (pd.Series(range(6), index=range(5, -1, -1)), np.arange(6.0)),
        (np.arange(6.0)[:, None], np.arange(6.0)),
        (np.arange(6, dtype="float32") / 3, np.arange(6) / 3),
        ({"a": np.ones(6), "b": np.zeros(6)}, {"a": np.ones(6), "b": np.zeros(6)}),
    ],
)
def test_weights_of_the_guard(given, own):
    scored = compared(weights=given, own_weights=own)
    assert (scored.findings, scored.unknown) == ((), "")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.arange(6.0)[::-1], "the scored weight differs from the guard's at 6 rows (first: row 0)"),
        (np.r_[np.arange(5.0), 9], "at 1 row (first: row 5)"),
        (np.ones(6), "at 5 rows (first: row 0)"),
        (np.ones(5), "expected the 6 weights of the guard, found 5"),
    ],
)
def test_other_weights_are_a_fault(given, message):
    scored = compared(weights=given, own_weights=np.arange(6.0))
    (finding,) = scored.findings
    assert finding.reason is Reason.SCORED
    assert message in finding.message


@pytest.mark.parametrize("given", [3, "abc", object(), [None] * 6, np.ones((6, 2)), [[1], [2, 3]], {"a": 1}, {1, 2}])
def test_weights_that_cannot_be_compared_are_unknown(given):
    scored = compared(weights=given, own_weights=np.arange(6.0))
    assert scored.findings == ()
    assert scored.unknown


def test_a_guard_without_weights_cannot_say_whose_they_are():
    assert "pass sample_weight= to the guard" in compared(weights=np.ones(6)).unknown


@pytest.mark.parametrize(("outputs", "labels"), [(("a", "b"), TWO), ((), TWO), (("p", "q"), [TWO["a"], TWO["b"]])])
def test_labels_of_one_output_are_compared_with_those_of_the_output_that_is_scored(outputs, labels):
    returned = [ROWS, ROWS * 2]
    for number, name in enumerate("ab"):
        scored = compared(TWO[name], labels=labels, y_pred=returned[number], returned=returned, outputs=outputs)
        assert (scored.findings, scored.unknown) == ((), "")
        scored = compared(TWO["ba"[number]], labels=labels, y_pred=returned[number], returned=returned, outputs=outputs)
        assert [finding.reason for finding in scored.findings] == [Reason.SCORED]


def test_labels_of_all_outputs_by_name_or_in_order():
    for labels, given in ((TWO, TWO), ([TWO["a"], TWO["b"]], (TWO["a"], TWO["b"])), (TWO, [TWO["a"], TWO["b"]])):
        scored = compared(given, labels=labels, returned=[ROWS, ROWS], y_pred=[ROWS, ROWS], outputs=("a", "b"))
        assert (scored.findings, scored.unknown) == ((), "")
    scored = compared([TWO["b"], TWO["a"]], labels=TWO, returned=[ROWS, ROWS], y_pred=[ROWS, ROWS], outputs=("a", "b"))
    assert scored.findings


def test_labels_of_another_encoding_are_unknown():
    scored = compared(np.array(list("abcdef")))
    assert scored.findings == ()
    assert "cannot be compared" in scored.unknown
    assert "passed to confirm" in scored.unknown


def test_the_arrays_are_those_of_the_moment():
    rows, labels, weights = ROWS.copy(), TWO["a"].copy(), np.arange(6.0)
    confirmation = Confirmation.of(rows, labels, weights)
    rows[:], labels[:], weights[:] = 0, 0, 0
    (scored,) = confirmation.against(row_columns(ROWS), Labels.of(TWO["a"], sample_weight=np.arange(6.0)), ())
    assert (scored.findings, scored.unknown) == ((), "")
    assert np.array_equal(scored.rows, scored.returned)


def test_weights_of_a_guard():
    weights = np.arange(N) / 7
    with guard(reference=X, sample_weight=weights, **QUIET) as g:
        rows = identity_model().predict(X, verbose=0)
        g.confirm(rows, Y, weights)
    assert verdict(g) is Verdict.PASS
    for given in (weights[::-1], np.ones(N), weights[:-1]):
        g.confirm(rows, Y, given)
        assert (g.verdict, g.report.diagnosis[0].cause.split()[0]) == (Verdict.FAIL, "scored")


def test_one_output_of_several_with_its_labels():
    inputs = keras.Input((1,))
    double = keras.Model(inputs, {"b": inputs * 2, "a": inputs * inputs})
    labels = {"a": Y[::-1], "b": Y}
    with evalguard.guard(labels=labels, reference=X, mlflow=False, **QUIET) as g:
        rows = double.predict(X, verbose=0)
        g.confirm(rows["b"], Y)
    assert verdict(g) is Verdict.PASS
    g.confirm(rows["b"], Y[::-1])
    assert verdict(g) is Verdict.FAIL
    g.confirm(rows["a"], Y[::-1])
    assert verdict(g) is Verdict.FAIL  # what was scored of the other output still counts
    g.confirm(rows["b"], Y)
    assert verdict(g) is Verdict.PASS


def test_outputs_of_the_same_values_are_scored_each_against_its_labels():
    inputs = keras.Input((1,))
    layers = [keras.layers.Lambda(lambda x: x % 3)(inputs), keras.layers.Lambda(lambda x: (x + 1) % 3)(inputs)]
    double = keras.Model(inputs, layers)
    with evalguard.guard(labels=[Y, Y[::-1]], reference=X, mlflow=False, **QUIET) as g:
        rows = double.predict(X, verbose=0)
    for output, labels, expected in ((0, Y, "PASS"), (1, Y, "FAIL"), (1, Y[::-1], "PASS"), (0, Y[::-1], "FAIL")):
        g.confirm(rows[output], labels)
        assert g.verdict == expected


@pytest.mark.parametrize(("shift", "words"), [(2, "2 rows later"), (-1, "1 row earlier")])
def test_labels_that_are_shifted_say_by_how_many_rows(shift, words):
    values = np.arange(20)
    scored = Confirmation.of(values.astype("float32"), np.roll(values, -shift), None)
    (found,) = scored.against(row_columns(values.astype("float32")), LabelTable(values=values), ())
    assert found.findings[0].message.endswith(f"it is the guard's label {words}")
