"""The classes of an evaluation: names given, assumed, or of the source; what is a FAIL, a hazard, an error, nothing."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import evalguard
from evalguard import ConfigError, LabelsError, Verdict
from evalguard.core.class_names import ClassNames
from evalguard.core.findings import Reason
from evalguard.core.label_table import LabelTable
from evalguard.guards.class_numbers import class_numbers
from evalguard.guards.predicted_classes import SEEM
from tests.guards.animals import NAMES, NUMBERS, SCORES, TEXT, N, echo, guarded, named_stream, reasons, stream


def test_the_model_s_own_order_of_names_is_a_hazard_where_it_was_assumed():
    order = [2, 0, 3, 1]
    g = guarded(TEXT, SCORES[:, order])
    assert g.report.verdict is Verdict.PASS
    (hazard,) = g.report.hazards
    assert hazard.startswith(f"{SEEM}: accuracy 0.0")
    assert "column 0 is 'dog', column 1 is 'bird', column 2 is 'emu', …" in hazard
    assert guarded(TEXT, SCORES[:, order], classes=np.asarray(NAMES)[order]).report.hazards == ()


@pytest.mark.parametrize(("labels", "missing"), [(TEXT, "emu"), (pd.Series(TEXT, name="animal"), "emu")])
def test_a_name_that_the_classes_lack_is_an_error_before_the_call(labels, missing):
    with pytest.raises(LabelsError, match=f"expected names in classes= .'bird', 'cat', 'dog'.*found '{missing}'"):
        guarded(labels, classes=NAMES[:3])


def test_a_name_that_the_labels_lack_is_no_error():
    assert guarded(TEXT, stream(NUMBERS), classes=NAMES, labels_key=None).report.verdict is Verdict.PASS
    few = TEXT != "bird"
    g = guarded(TEXT[few], stream(NUMBERS[few], SCORES[few]), classes=NAMES)
    assert (g.report.verdict, g.report.hazards) == (Verdict.PASS, ())


def test_labels_that_count_from_one_are_a_fail_beside_names():
    g = guarded(NUMBERS + 1, classes=NAMES)
    assert (g.report.verdict, reasons(g)) == (Verdict.FAIL, [Reason.CLASSES])
    assert "each label is 1 more than its class" in g.report.headline
    assert g.report.diagnosis[0].cause == "classes numbered otherwise"
    (other,) = guarded(np.where(NUMBERS == 3, 9, NUMBERS), classes=NAMES).report.hazards
    assert other == "the labels contain class numbers without a name in classes=: 9"


def test_names_of_the_columns_but_the_first_one_are_a_hazard_and_no_fail():
    scores = np.concatenate([np.zeros((N, 1), "float32"), SCORES], axis=1)
    g = guarded(NUMBERS + 1, scores, echo(5), classes=NAMES)
    assert g.report.verdict is Verdict.PASS
    assert g.report.hazards == (
        "classes=: expected a name for each of the 5 output columns, found 4 names; columns were not named",
    )


def test_the_names_of_the_source_are_those_of_labels_that_have_none():
    g = guarded(NUMBERS, named_stream(NUMBERS, NAMES))
    assert (g.report.verdict, g.report.labels["classes"]) == (Verdict.PASS, NAMES)
    assert g.to_frame()["label"].tolist() == TEXT.tolist()
    assert "prediction_cat" in g.to_frame()
    # Names of folders beside other numbers.
    assert "classes" not in guarded(NUMBERS, named_stream(NUMBERS, ["images"])).report.labels


def test_a_call_is_not_stopped_for_numbers_that_mean_the_same_classes():
    g = guarded(NUMBERS, named_stream(3 - NUMBERS, NAMES[::-1]), classes=NAMES, fail_fast=True)
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "labels")


def test_a_dataset_names_the_numbers_of_a_list_of_labels():
    """Labels 1 to 4, of which Keras makes the names "1" to "4": they are not the names of numbers 0 to 3."""
    digits, names = [str(number) for number in range(5)], [str(number) for number in range(1, 5)]
    scores = np.concatenate([np.zeros((N, 1), "float32"), SCORES], axis=1)
    batches = tf.data.Dataset.from_tensor_slices((scores, NUMBERS + 1)).batch(32)
    batches.class_names = names
    g = guarded(NUMBERS + 1, batches, echo(5), classes=digits)
    assert (g.report.verdict, g.report.proof, g.report.hazards) == (Verdict.PASS, "labels", ())


def test_names_of_a_dataset_that_are_partly_those_of_the_model_are_a_hazard():
    labels = LabelTable(
        values=NUMBERS, classes=ClassNames(("bird", "cat", "hound", "emu"), "class_names", certain=False)
    )
    (hazard,) = guarded(labels, classes=NAMES).report.hazards
    assert hazard.startswith("labels: expected names in classes= ('bird', 'cat', 'dog', 'emu'), found 'hound'")
    with pytest.raises(LabelsError, match="found 'hound'"):
        guarded(
            LabelTable(values=NUMBERS, classes=ClassNames(("bird", "cat", "hound", "emu"), "a folder")), classes=NAMES
        )


def test_a_loop_that_collects_has_the_names_of_its_source():
    batches = named_stream(NUMBERS, NAMES[::-1])
    with evalguard.guard(classes=NAMES, on_failure="record", mlflow=False) as g:
        for x, _ in g.collecting(batches):
            echo().predict_on_batch(x)
    assert (g.report.verdict, reasons(g)) == (Verdict.FAIL, [Reason.CLASSES])
    assert "'emu' is 0 in class_names of BatchDataset and 3 in classes=" in g.report.headline


def test_labels_that_count_from_one_seem_to_do_so_where_nothing_names_them():
    g = guarded(NUMBERS + 1)
    assert g.report.verdict is Verdict.PASS
    (hazard,) = g.report.hazards
    assert "the labels are 1 more than the model's numbers" in hazard


@pytest.mark.parametrize("shape", [(N,), (N, 1)])
def test_a_sigmoid_of_the_other_class_is_a_hazard(shape):
    two = NUMBERS % 2
    scores = np.where(two == 1, 0.9, 0.2).astype("float32")[:, None]
    assert guarded(two.reshape(shape), scores, echo(1)).report.hazards == ()
    (hazard,) = guarded(two.reshape(shape), 1 - scores, echo(1), classes=["no", "yes"]).report.hazards
    assert "accuracy 0.00, and 1.00 if output 0 is 'yes', output 1 is 'no'" in hazard
    assert guarded(two * 2 - 1, scores, echo(1)).report.hazards == ()


def test_rows_are_not_repaired_while_the_classes_are_numbered_otherwise():
    order = np.random.default_rng(1).permutation(N)
    labels = LabelTable(values=NUMBERS, classes=ClassNames(tuple(NAMES[::-1]), "class_names of a dataset"))
    with pytest.raises(evalguard.MisalignmentError) as caught:
        with evalguard.guard(labels=labels, classes=NAMES, reference=SCORES, on_failure="repair", mlflow=False):
            echo().predict(SCORES[order], verbose=0)
    assert (caught.value.report.repair or {})["refused"].startswith("the labels number the classes otherwise")


def test_rows_are_not_repaired_while_the_streams_targets_number_the_classes_otherwise():
    order = np.random.default_rng(1).permutation(N)
    batches = ((SCORES[part], NUMBERS[part]) for part in np.array_split(order, 5))
    with pytest.raises(evalguard.MisalignmentError) as caught:
        with evalguard.guard(labels=TEXT, classes=NAMES[::-1], reference=SCORES, on_failure="repair", mlflow=False):
            echo().predict(batches, verbose=0)
    assert (caught.value.report.repair or {})["refused"].startswith("the stream's own targets contradict the labels")


def test_a_hazard_stays_when_the_rows_are_confirmed():
    def confirm(g, predictions):
        g.confirm(predictions, (NUMBERS + 1) % 4)

    g = guarded((NUMBERS + 1) % 4, act=confirm)
    assert g.report.chain[-1].status == "proven"
    assert sum(hazard.startswith(SEEM) for hazard in g.report.hazards) == 1


@pytest.mark.parametrize("classes", [None, NAMES])
@pytest.mark.parametrize(
    ("y_true", "verdict"),
    [
        pytest.param(TEXT, Verdict.PASS, id="names"),
        pytest.param(NUMBERS, Verdict.PASS, id="numbers"),
        pytest.param(np.eye(4)[NUMBERS], Verdict.PASS, id="one-hot"),
    ],
)
def test_names_may_be_scored_as_numbers(classes, y_true, verdict):
    g = guarded(TEXT, act=lambda g, predictions: g.confirm(predictions, y_true), classes=classes)
    assert g.report.verdict is verdict
    assert g.report.chain[-1].status == "proven"


@pytest.mark.parametrize(
    ("y_true", "classes", "verdict"),
    [
        pytest.param(TEXT, NAMES, Verdict.PASS, id="names"),
        pytest.param(TEXT[::-1].copy(), NAMES, Verdict.FAIL, id="in-another-order"),
        pytest.param(TEXT, NAMES[::-1], Verdict.FAIL, id="numbered-otherwise"),
        pytest.param(TEXT, NAMES[:3], Verdict.UNPROVEN, id="a-name-is-missing"),
        pytest.param(TEXT, None, Verdict.UNPROVEN, id="no-names"),
    ],
)
def test_numbers_may_be_scored_as_names(y_true, classes, verdict):
    g = guarded(NUMBERS, act=lambda g, predictions: g.confirm(predictions, y_true), classes=classes)
    assert g.report.verdict is verdict


def test_other_numbers_than_those_of_the_names_are_not_what_is_scored():
    other = (NUMBERS + 1) % 4
    g = guarded(TEXT, act=lambda g, predictions: g.confirm(predictions, other), classes=NAMES)
    assert g.report.verdict is Verdict.FAIL
    g = guarded(TEXT, act=lambda g, predictions: g.confirm(predictions, other))
    assert (g.report.verdict, g.report.findings) == (Verdict.UNPROVEN, ())


@pytest.mark.parametrize("count", [2, 3, 5])
def test_names_that_do_not_fit_the_columns_are_a_hazard(count):
    g = guarded(np.minimum(NUMBERS, 1), classes=[f"class {number}" for number in range(count)])
    assert g.report.verdict is Verdict.PASS
    assert g.report.hazards[0].startswith("classes=: expected a name for each of the 4 output columns, found")
    assert "prediction_0" in g.to_frame()


def two_outputs():
    inputs = keras.Input((4,))
    return keras.Model(inputs, {"animal": keras.layers.Identity()(inputs), "even": keras.layers.Dense(1)(inputs)})


def test_several_outputs_have_their_names_by_output():
    labels = {"animal": TEXT, "even": NUMBERS % 2}
    g = guarded(labels, model=two_outputs(), classes={"animal": NAMES})
    assert (g.report.verdict, g.report.hazards) == (Verdict.PASS, ())
    table = g.to_frame()
    assert {"prediction.animal_cat", "label.animal", "predicted.animal", "prediction.even"} <= set(table)
    assert table["label.animal"].tolist() == TEXT.tolist()
    g = guarded({"animal": (NUMBERS + 1) % 4, "even": NUMBERS % 2}, model=two_outputs(), classes={"animal": NAMES})
    assert g.report.hazards[0].startswith(f"output 'animal': {SEEM}")
    (hazard,) = guarded(labels, model=two_outputs(), classes={"animal": NAMES, "colour": ["red"]}).report.hazards
    assert hazard == "classes: expected outputs that have labels ('animal', 'even'), found 'colour'"
    with pytest.raises(ConfigError, match="expected a mapping from each output"):
        guarded(labels, model=two_outputs(), classes=NAMES)
    with pytest.raises(ConfigError, match="expected one list of names"):
        guarded(NUMBERS, classes={"animal": NAMES, "even": ["no", "yes"]})


@pytest.mark.parametrize(
    ("labels", "x", "columns"),
    [
        pytest.param(np.linspace(0, 1, N), np.linspace(0, 1, N, dtype="float32")[:, None], 1, id="regression"),
        pytest.param(NUMBERS * 10, (NUMBERS * 10.5)[:, None].astype("float32"), 1, id="counts"),
        pytest.param(np.eye(4)[NUMBERS] + 0.5, SCORES, 4, id="several-targets"),
        pytest.param(np.asarray([f"row {row}" for row in range(N)]), SCORES, 4, id="ids"),
        pytest.param(np.full(N, np.nan), SCORES, 4, id="nan"),
        pytest.param(np.zeros((N, 2, 2)), SCORES, 4, id="masks"),
    ],
)
def test_what_is_no_class_is_left_alone(labels, x, columns):
    g = guarded(labels, x, echo(columns))
    assert (g.report.verdict, g.report.hazards) == (Verdict.PASS, ())
    assert "classes" not in g.report.labels
    assert not {"label", "predicted"} & set(g.to_frame())


def test_a_frame_has_the_names_of_what_was_predicted():
    table = guarded(TEXT, classes=NAMES).to_frame()
    assert list(table) == ["row", "sample", "y_true", *(f"prediction_{name}" for name in NAMES), "label", "predicted"]
    assert table["predicted"].tolist() == [NAMES[number] for number in SCORES.argmax(axis=1)]
    assert table["label"].tolist() == TEXT.tolist()
    # An order that was assumed names no column.
    assert "prediction_0" in guarded(TEXT).to_frame()


def test_labels_without_values_have_no_classes():
    assert class_numbers({}, None).names == {}
    assert class_numbers({"": ClassNames(("a",))}, LabelTable(keys=np.arange(3))).findings == ()


ODD = {
    "more-outputs": lambda x: {"a": x, "b": x[:, :1]},
    "ragged": lambda x: tf.RaggedTensor.from_tensor(x, lengths=tf.range(tf.shape(x)[0]) % 4 + 1),
    "images": lambda x: tf.reshape(x, (-1, 2, 2)),
    "text": lambda x: tf.strings.as_string(x[:, 0]),
    "one-axis": lambda x: x[:, 0],
    "complex": lambda x: tf.cast(x, "complex64"),
}


@pytest.mark.parametrize("labels", [NUMBERS, TEXT, {"a": NUMBERS, "b": NUMBERS % 2}], ids=["numbers", "names", "two"])
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_unusual_output_costs_neither_predictions_nor_verdict(odd, labels):
    class Odd(keras.Model):
        def call(self, x):
            return odd(x)

    g = guarded(labels, model=Odd(), classes={"a": NAMES, "b": ["no", "yes"]} if isinstance(labels, dict) else NAMES)
    assert g.report.verdict in {Verdict.PASS, Verdict.UNPROVEN}
    assert not any(hazard.startswith(SEEM) for hazard in g.report.hazards)
    assert len(g.to_frame()) == N


def test_a_variant_with_other_classes_reads_its_labels_again():
    g = evalguard.guard(labels=TEXT, classes=NAMES, mlflow=False)
    with g:
        echo().predict(SCORES, verbose=0)
    with pytest.raises(LabelsError), g.with_options(classes=NAMES[:2]):
        pass


def test_sources_that_name_their_numbers_differently_are_no_pass_together():
    first, second = stream(NUMBERS), stream(np.maximum(NUMBERS - 1, 0))
    first.class_names, second.class_names = NAMES, NAMES[1:]
    labels = np.concatenate([NUMBERS, np.maximum(NUMBERS - 1, 0)])
    for given in (labels, np.asarray(NAMES)[labels]):
        with evalguard.guard(
            labels=given, classes=NAMES, scope="session", on_failure="record", on_unproven="record", mlflow=False
        ) as g:
            for source in (first, second):
                echo().predict(source, verbose=0)
        assert g.report.verdict is Verdict.UNPROVEN
        assert any("number their classes differently" in note for note in g.report.not_proven)


def test_names_without_that_of_the_background_are_right_where_nothing_shows_the_columns():
    inputs = keras.Input((5,))
    softmax = {name: keras.layers.Softmax(name=name)(inputs) for name in ("u", "v")}
    one, two = keras.Model(inputs, softmax["u"]), keras.Model(inputs, softmax)
    one.compile(loss="sparse_categorical_crossentropy")
    x = np.eye(5, dtype="float32")[NUMBERS + 1]
    with evalguard.guard(labels=NUMBERS + 1, classes=NAMES, mlflow=False) as g:
        one.evaluate(x, NUMBERS + 1, verbose=0)
    assert "from 1 to 4" in " ".join(g.report.hazards)
    both = {"u": NUMBERS + 1, "v": NUMBERS + 1}
    assert guarded(both, x, two, classes={"u": NAMES}).report.verdict is Verdict.PASS


@pytest.mark.parametrize("columns", [[2], [1], [2, 2], [4, 7]])
def test_numbers_from_one_are_those_of_other_classes_where_no_output_has_a_column_more_than_names(columns):
    inputs = keras.Input((5,))
    outputs = [
        keras.layers.Lambda(lambda rows, size=size: keras.ops.tile(rows[:, :1], (1, size)))(inputs) for size in columns
    ]
    x = np.eye(5, dtype="float32")[NUMBERS + 1]
    report = guarded(NUMBERS + 1, x, keras.Model(inputs, outputs), classes=NAMES).report
    assert report.verdict is Verdict.FAIL
    assert [finding.reason for finding in report.findings] == ["classes"]


@pytest.mark.parametrize("given", [set(NAMES), frozenset(NAMES), np.array("cat"), "cat", 3])
def test_names_without_an_order_are_refused(given):
    with pytest.raises(ConfigError, match="expected a list of names by class number"):
        evalguard.guard(labels=NUMBERS, classes=given)


@pytest.mark.parametrize(
    "x",
    [
        pytest.param(np.stack([np.where(NUMBERS % 2, -1.0, 1.0), np.full(N, 0.5)], 1), id="mean-and-deviation"),
        pytest.param(np.roll(np.eye(64)[NUMBERS], 9, axis=1) * 3, id="embedding"),
    ],
)
def test_columns_that_are_no_scores_of_classes_show_nothing(x):
    assert not guarded(NUMBERS % 2 if x.shape[1] == 2 else NUMBERS, x, echo(x.shape[1])).report.hazards


def test_numbers_from_one_are_a_fail_beside_the_columns_of_a_tensor():
    with evalguard.guard(labels=NUMBERS + 1, classes=NAMES, on_failure="record", mlflow=False) as g:
        for at in range(0, N, 40):
            echo()(SCORES[at : at + 40])
    assert reasons(g) == [Reason.CLASSES]
