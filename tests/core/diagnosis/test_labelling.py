"""Rows paired with the wrong labels: the label file, the targets, or a shift of either."""

from dataclasses import replace

import numpy as np
import pytest

from evalguard.core.diagnosis import diagnose, labelling
from evalguard.core.label_table import LabelTable
from evalguard.core.row_names import IndexComparison
from evalguard.core.trace import Trace
from tests.core.diagnosis.causes import first_cause, title, view_of
from tests.core.signatures import label_values, sizes_of, tags_of


@pytest.mark.parametrize("shift", [1, -1, 8])
def test_labels_and_stream_that_are_shifted_are_not_said_to_be_the_fault_of_either(shift):
    values = np.random.default_rng(0).integers(0, 10, 50)
    trace = Trace(50, tags_of(sizes_of(50, 8)), targets=np.roll(values, -shift), batch_sizes=sizes_of(50, 8))
    (cause,) = diagnose(trace, None, LabelTable(values=values))
    assert cause.cause == f"labels shifted by {abs(shift)}"
    assert not cause.certain
    assert f"the labels are {abs(shift)} row" in cause.evidence
    assert ("early" in cause.evidence) == (shift > 0)
    assert "nothing shows which of the two is wrong" in cause.evidence


def test_a_shifted_label_file_is_distinguished_from_a_shifted_stream():
    values = label_values(50)
    prints = (np.arange(50) + 10).astype(np.uint64)
    of_labels = first_cause(np.arange(50), labels=LabelTable(values=np.roll(values, 1), fingerprints=prints))
    assert of_labels.cause == "label file in another order than the stream"
    assert "label i + 1 matches row i" in of_labels.evidence
    of_stream = first_cause((np.arange(50) + 1) % 50)
    assert of_stream.cause == "iterator not at its start"


def test_other_labels_are_distinguished_from_labels_in_another_order():
    prints = (np.arange(50) + 10).astype(np.uint64)
    values = np.where(np.arange(50) == 7, 11, label_values(50))
    cause = first_cause(np.arange(50), labels=LabelTable(values=values, fingerprints=prints))
    assert cause.cause == "label file holds other labels than the stream"
    assert not cause.certain


VALUES = label_values(50)
CONTENT = (np.arange(50) + 10).astype(np.uint64)


def recognised(recogniser, samples, *, values=VALUES, content=True, known=True, **parts):
    labels = LabelTable(values=values, fingerprints=CONTENT if content else None)
    return recogniser(view_of(np.asarray(samples), labels=labels, known=known, **parts))


@pytest.mark.parametrize(
    ("values", "content", "cause", "certain", "words"),
    [
        pytest.param(np.roll(VALUES, 1), True, "LABEL_FILE", True, "label i + 1 matches row i", id="shifted"),
        pytest.param(np.roll(VALUES, -2), True, "LABEL_FILE", True, "label i - 2 matches row i", id="shifted-back"),
        pytest.param(VALUES[::-1], True, "LABEL_FILE", True, "of the same values in another order", id="reversed"),
        pytest.param(VALUES[::-1], False, "LABEL_FILE", False, "of the same values", id="not-by-content"),
        pytest.param(VALUES + 1, True, "OTHER_LABELS", False, "50 rows carry another target", id="other-values"),
    ],
)
def test_an_aligned_stream_with_other_targets_accuses_the_label_file(values, content, cause, certain, words):
    found = recognised(labelling.label_file, range(50), values=values, content=content)
    assert found is not None
    assert (found.cause, found.certain) == (title(cause.lower()), certain)
    assert words in found.evidence


@pytest.mark.parametrize("recogniser", [labelling.label_file, labelling.unpaired, labelling.shifted])
def test_nothing_is_recognised_where_rows_and_labels_match(recogniser):
    assert recognised(recogniser, range(50)) is None


def test_targets_that_stay_while_rows_move_are_unpaired_and_certain_with_two_shuffled_branches():
    order = np.random.default_rng(0).permutation(50)
    for branches, certain in ((0, False), (2, True)):
        found = recognised(labelling.unpaired, order, targets=VALUES, facts={"shuffled_branches": branches})
        assert found is not None
        assert found.certain is certain
        assert "it equals the label at the row's own index" in found.evidence
    assert recognised(labelling.unpaired, order) is None, "targets that move with their rows are a pair"


@pytest.mark.parametrize(("shift", "way"), [(1, "1 row early"), (-3, "3 rows late"), (16, "16 rows early")])
def test_a_shift_of_targets_is_recognised_only_where_samples_are_unknown(shift, way):
    targets = np.roll(VALUES, -shift)
    found = recognised(labelling.shifted, range(50), known=False, targets=targets)
    assert found is not None
    assert way in found.evidence
    assert not found.certain
    assert recognised(labelling.shifted, range(50), targets=targets) is None


def test_equal_labels_have_no_shift():
    same = np.zeros(50, dtype=np.int64)
    targets = np.r_[1, np.zeros(49)]
    assert recognised(labelling.shifted, range(50), known=False, values=same, targets=targets) is None


def shifted_by(shift, n=50, batch=8, rows=None, **parts):
    """What is recognised where target ``i`` is label ``i + shift``."""
    rows = n if rows is None else rows
    targets = (np.arange(rows) + shift) % n
    labels = LabelTable(values=np.arange(n))
    return labelling.shifted(
        view_of(range(rows), n=n, batch=batch, known=False, **{"targets": targets} | parts, labels=labels)
    )


@pytest.mark.parametrize(
    ("shift", "n", "batch", "found"),
    [
        pytest.param(15, 50, 7, True, id="a-few-rows"),
        pytest.param(17, 50, 7, True, id="no-batch"),
        pytest.param(-80, 200, 20, True, id="batches-back"),
        pytest.param(100, 200, 20, True, id="half-of-many-rows"),
        pytest.param(25, 50, 25, True, id="half-of-the-rows"),
        pytest.param(3, 1200, 32, True, id="many-rows"),
        pytest.param(0, 50, 7, False, id="none"),
    ],
)
def test_shifts_by_any_number_of_rows_are_tried(shift, n, batch, found):
    cause = shifted_by(shift, n, batch)
    assert (cause is not None) is found
    if cause is not None:
        assert cause.evidence.startswith(f"the labels are {abs(shift)} rows {'early' if shift > 0 else 'late'}, ")


@pytest.mark.parametrize(("shift", "steps", "fits"), [(9, 10, True), (-9, 10, True), (8, 10, False), (1, 2, False)])
def test_a_shift_that_fits_windows_says_how_they_are_labelled(shift, steps, fits):
    found = shifted_by(shift, spec=(f"float32({steps}, 3)",))
    assert ("windows of" in found.evidence) is fits
    assert ("sequence_stride" in found.remedy) is fits


@pytest.mark.parametrize(("rows", "spec", "named"), [(41, "(10)", True), (40, "(10)", False), (41, "()", False)])
def test_windows_that_are_fewer_than_labels_are_named(rows, spec, named):
    parts = {"n": 50, "known": False, "targets": np.arange(rows), "spec": (f"float32{spec}",)}
    found = labelling.fewer_windows(view_of(range(rows), labels=LabelTable(values=np.arange(50)), **parts))
    assert (found is not None) is named
    if found is not None:
        assert "41 windows of 10 steps for 50 labels" in found.evidence


@pytest.mark.parametrize(("shift", "words"), [(3, "begin 3 rows late"), (-2, "begin with 2 rows of other samples")])
def test_inputs_that_are_cut_elsewhere_than_the_labels_are_named(shift, words):
    samples = np.arange(50) + shift
    samples[(samples < 0) | (samples >= 50)] = -2
    found = recognised(labelling.shifted_rows, samples, kind="arrays")
    assert words in found.evidence
    assert found.cause == f"inputs shifted by {abs(shift)}"
    assert recognised(labelling.shifted_rows, samples, kind="generator") is None
    assert recognised(labelling.shifted_rows, range(50), kind="arrays") is None


def keyed_by_index(ours, theirs):
    found = IndexComparison("inputs", keys=(np.asarray(ours), np.asarray(theirs)))
    return LabelTable(values=np.arange(len(theirs)), keys=theirs, by_index=found)


@pytest.mark.parametrize(
    ("ours", "samples", "words"),
    [
        (["b", "a", "c"], [1, 0, 2], "at 2 of 3 rows they differ, first at row 0: 'b' in x, 'a' in the labels"),
        (["a", "x", "c"], [0, -2, 2], "1 row of x without a label, 1 label without a row"),
    ],
)
def test_indexes_that_differ_are_named_with_both_sides(ours, samples, words):
    found = labelling.unlike_index(view_of(samples, n=3, labels=keyed_by_index(ours, ["a", "b", "c"])))
    assert words in found.evidence
    assert found.certain
    assert ("train_test_split" in found.remedy) == ("x" in ours)


@pytest.mark.parametrize(("ours", "samples"), [(["a", "b"], [0, 1]), (["x", "y", "z"], [-2, -2, -2])])
def test_indexes_that_do_not_tell_are_no_cause(ours, samples):
    assert labelling.unlike_index(view_of(samples, n=3, labels=keyed_by_index(ours, ["a", "b", "c"]))) is None
    assert labelling.unlike_index(view_of(samples, n=3)) is None


def test_a_shift_is_recognised_in_targets_with_names():
    n = 1200
    labels = LabelTable(values={"a": np.arange(n)})
    targets = {"a": (np.arange(n) + 3) % n}
    found = labelling.shifted(view_of(range(n), n=n, known=False, targets=targets, labels=labels))
    assert found is not None
    assert "3 rows early" in found.evidence


def test_rows_without_an_order_have_no_shift_and_rows_that_are_fewer_have_one():
    assert shifted_by(3, ordered=False) is None
    assert "3 rows early" in shifted_by(3, rows=45).evidence


@pytest.mark.parametrize(
    ("targets", "branches", "certain", "clues"),
    [
        pytest.param("own", 0, None, [], id="a-pair"),
        pytest.param("own", 1, None, [], id="one-branch"),
        pytest.param("own", 2, False, ["branches"], id="two-branches"),
        pytest.param("none", 2, None, [], id="no-targets"),
        pytest.param("others", 0, None, [], id="targets-that-are-no-labels"),
        pytest.param("others", 2, False, ["branches"], id="two-branches-with-other-targets"),
        pytest.param("labels", 0, False, ["targets", "equal"], id="targets-of-the-position"),
        pytest.param("labels", 1, False, ["targets", "equal"], id="targets-of-the-position-and-one-branch"),
        pytest.param(
            "labels", 2, True, ["targets", "equal", "branches"], id="targets-of-the-position-and-two-branches"
        ),
        pytest.param("reversed", 0, False, ["targets"], id="targets-of-neither"),
    ],
)
def test_each_clue_that_targets_belong_to_other_rows_is_named(targets, branches, certain, clues):
    order = np.random.default_rng(0).permutation(50)
    given = {"none": None, "others": VALUES + 100, "labels": VALUES, "reversed": VALUES[::-1]}
    parts = {} if targets == "own" else {"targets": given[targets]}
    found = recognised(labelling.unpaired, order, facts={"shuffled_branches": branches}, **parts)
    assert (found is None) == (certain is None)
    if found is not None:
        assert found.certain is certain
        differ = np.count_nonzero(given.get(targets, VALUES) != VALUES[order])
        say = {
            "targets": f"at {differ} of 50 rows the stream's target is not the label of the sample in the row",
            "equal": "it equals the label at the row's own index, so a comparison of targets finds nothing wrong",
            "branches": "the batches joins 2 branches that are each shuffled separately",
        }
        assert found.evidence == "; ".join(say[clue] for clue in clues)


# -- Row numbers from 1 -----------------------------------------------------------------------------------------------


def numbered(index, kind="pydataset", method="predict", *, content=None, **parts):
    """Rows that the source numbers so; by their content they are these samples."""
    index = np.asarray(index)
    made = view_of(index if content is None else content, kind, method=method, index=index, **parts)
    if content is None:
        labels = replace(made.labels, fingerprints=None)
        made = replace(made, trace=replace(made.trace, fingerprints=None, targets=None), labels=labels)
    return made


@pytest.mark.parametrize(
    ("kind", "method", "words"),
    [
        ("pydataset", "predict", "return rows - 1"),
        ("generator", "predict", "index=rows - 1"),
        ("batch", "predict", "index=rows - 1"),
        ("unknown", "check", "evalguard.check(indices=indices - 1"),
    ],
)
@pytest.mark.parametrize("order", [np.arange(50), np.random.default_rng(4).permutation(50)], ids=["in-order", "any"])
def test_row_numbers_that_count_from_one(kind, method, words, order):
    made = numbered(order + 1, kind, method)
    found = diagnose(made.trace, made.samples, made.labels)[0]
    assert (found.cause, found.certain) == (title("numbered_from_one"), False)
    assert words in found.remedy
    made = numbered(order + 1, kind, method, content=order)
    found = diagnose(made.trace, made.samples, made.labels)[0]
    assert (found.cause, found.certain) == (title("numbered_from_one"), True)


@pytest.mark.parametrize(
    "index",
    [range(50), [*range(1, 50), 0], range(1, 50), [*range(1, 49), 50, 50], [*range(1, 50), 51], range(2, 52)],
    ids=["from-0", "rotated", "fewer", "repeated", "beyond", "from-2"],
)
def test_other_row_numbers_do_not_count_from_one(index):
    assert labelling.numbered_from_one(numbered(index)) is None
    assert labelling.numbered_from_one(numbered(np.arange(1, 51), index_source="position")) is None
