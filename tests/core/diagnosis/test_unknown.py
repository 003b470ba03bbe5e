"""No cause is recognised: the pattern in words, and the row to check first."""

import re
from dataclasses import replace

import numpy as np
import pytest

from evalguard.core.diagnosis import diagnose
from evalguard.core.diagnosis.unknown import unknown
from evalguard.core.label_table import LabelTable
from tests.core.diagnosis.causes import first_cause, view_of
from tests.core.signatures import label_values


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        pytest.param([49, *range(1, 49), 0], "rows 0 and 49 are swapped", id="two rows exchanged"),
        pytest.param([*range(8), *range(16, 50)], "8 samples left out from row 8 on", id="a batch skipped"),
        pytest.param([*range(17), *range(16, 50)], "1 row repeated from row 17 on", id="a row repeated"),
        pytest.param(range(45), "the first 45 rows match, and the last 5 are missing", id="cut short"),
        pytest.param([*range(8), *range(8), *range(16, 50)], "8 samples left out and 8 rows repeated", id="both"),
    ],
)
def test_where_nothing_fits_the_pattern_is_described(samples, words):
    cause = first_cause(list(samples), "pydataset")
    assert cause.cause.startswith("cause unknown, pattern: ")
    assert words in cause.cause
    assert not cause.certain


def test_targets_are_described_where_samples_are_unknown():
    targets = np.where(np.isin(np.arange(50), [7, 9, 20]), 99, label_values(50))
    found = unknown(view_of(np.arange(50), known=False, targets=targets))
    assert "3 rows with another target than the label" in found.cause
    assert found.evidence.startswith("50 rows for 50 labels; almost none of them is a row of the reference")
    assert "check what batches returns for row 7, or prepare the reference as the model receives it" in found.remedy
    without = view_of(np.arange(50), known=False, targets=targets, labels=LabelTable(label_values(50)))
    assert (
        "check what batches returns for row 7, or add reference=x_test to know the samples" in unknown(without).remedy
    )


@pytest.mark.parametrize(
    ("rows", "words", "first"),
    [
        pytest.param(48, "2 rows too few", 48, id="too-few"),
        pytest.param(49, "1 row too few", 49, id="one-too-few"),
        pytest.param(51, "1 row too many", 50, id="one-too-many"),
        pytest.param(53, "3 rows too many", 50, id="too-many"),
        pytest.param(50, "rows were not delivered in the order the source emitted them", 50, id="another-order"),
    ],
)
def test_the_number_of_rows_is_described_where_samples_are_unknown(rows, words, first):
    found = unknown(view_of(np.arange(rows) % 50, known=False))
    assert found.cause == f"cause unknown, pattern: {words}"
    assert f"for row {first}," in found.remedy


@pytest.mark.parametrize(
    ("samples", "words", "first"),
    [
        pytest.param([0, 3, 2, 1, *range(4, 50)], "rows 1 and 3 are swapped", 1, id="swapped"),
        pytest.param([*range(47), 49, 48, 47], "rows 47 and 49 are swapped", 47, id="swapped-at-the-end"),
        pytest.param([1, 2, 0, *range(3, 50)], "3 rows out of position", 0, id="three-moved"),
        pytest.param([1, 0, *range(2, 49)], "2 rows out of position", 0, id="swapped-and-one-missing"),
        pytest.param([1, 0, *range(2, 50), 49], "3 rows out of position", 0, id="swapped-and-one-repeated"),
        pytest.param([0, 2, 1, *range(3, 49), 48], "3 rows out of position", 1, id="as-many-rows-as-labels"),
        pytest.param([0, 1, -2, *range(3, 50)], "1 row out of position", 2, id="a-foreign-row"),
        pytest.param(range(30), "the first 30 rows match, and the last 20 are missing", 30, id="cut-short"),
        pytest.param([0, *range(50)], "1 row repeated from row 1 on, beginning with sample 0", 1, id="a-row-repeated"),
        pytest.param(
            [*range(3), *range(4, 50)], "1 sample left out from row 3 on, the others in order", 3, id="left-out"
        ),
        pytest.param(
            [*range(8), 7, *range(9, 50)], "1 sample left out and 1 row repeated, in order otherwise", 8, id="both"
        ),
    ],
)
def test_the_row_to_check_first_is_the_first_one_that_is_wrong(samples, words, first):
    found = unknown(view_of(list(samples), "pydataset"))
    assert found.cause == f"cause unknown, pattern: {words}"
    assert found.remedy == f"before: model.predict(Images)\nafter:  check what Images returns for row {first}"


def test_every_kind_of_wrong_row_is_counted():
    samples = [1, 0, *range(2, 47), 46, -1, -2]
    found = unknown(view_of(samples))
    assert found.evidence == "3 samples missing, 1 row repeated, 1 row foreign, 1 row unidentified, 2 rows moved"
    assert found.cause.endswith("5 rows out of position")


# -- Without an order, or without an identity -------------------------------------------------------------------------

KEYS = np.array([f"s{number}" for number in range(50)])


def in_any_order(samples, keys=None):
    """What is read of the rows of a table that are joined by key."""
    made = view_of(samples, "unknown", method="check", ordered=False, batch_sizes=np.zeros(0, np.int64))
    return replace(
        made,
        trace=replace(made.trace, targets=None, fingerprints=None),
        labels=replace(made.labels, keys=keys, fingerprints=None),
    )


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        pytest.param(
            [*range(30), *range(20, 30), *range(30, 50)], "10 rows repeated: {20}, {21}, {22}, …", id="repeated"
        ),
        pytest.param(
            [*range(30), 20, 21, *range(30, 49)], "2 rows repeated: {20}, {21}; 1 sample left out: {49}", id="both"
        ),
        pytest.param([*range(25, 50), *range(25), 7, -2], "1 row repeated: {7}; 1 row that no label has", id="foreign"),
    ],
)
def test_in_any_order_samples_are_named_and_no_positions(samples, words):
    found = unknown(in_any_order(samples, KEYS))
    keyed = words.replace("{", "'s").replace("}", "'")
    assert found.cause == f"cause unknown, pattern: {keyed}"
    assert "duplicated(keep=False)" in found.remedy
    numbers = (
        re.sub(r": ({\d+}, )", r": samples \1", words).replace(": {", ": sample {").replace("{", "").replace("}", "")
    )
    assert unknown(in_any_order(samples)).cause == f"cause unknown, pattern: {numbers}"


def test_in_any_order_the_samples_without_a_row_are_named():
    made = in_any_order(range(45), KEYS)
    (found,) = diagnose(made.trace, made.samples, made.labels)
    assert found.evidence == "5 samples never arrived: 45, 46, 47, 48, 49 (s45, s46, s47)"


def scored(samples, kind="tf.data", method="evaluate", keys=None, **facts):
    """The causes of rows that were scored in any order."""
    made = view_of(samples, kind, method=method, ordered=False, facts=facts)
    trace = replace(made.trace, targets=None)
    return diagnose(trace, made.samples, replace(made.labels, keys=keys))


SHUFFLED = np.random.default_rng(2).permutation(50)


@pytest.mark.parametrize(
    ("samples", "facts", "cause", "evidence"),
    [
        pytest.param(
            [*SHUFFLED, *SHUFFLED[::-1]], {"repeat": 2}, "dataset repeated: `repeat(2)`",
            "each of the 50 samples comes 2 times; the pipeline has `repeat(2)`", id="repeated",
        ),
        pytest.param(
            [*SHUFFLED, *SHUFFLED], {}, "source copied per worker, or not sharded: each sample several times",
            "50 rows repeat a sample, each up to 2 times", id="copied",
        ),
        pytest.param(
            [*SHUFFLED, *[9] * 6], {}, "padded to whole batches",
            "the 6 rows that are too many are copies of sample 9, which fill up the last batch of 8", id="padded",
        ),
        pytest.param(
            SHUFFLED[10:], {"take": 40}, "subset of the labelled samples: a fold, a split, a shard",
            "40 of 50 labelled samples were predicted: 0, 1, 2, 3, 4, …; the pipeline has `take(40)`", id="subset",
        ),
        pytest.param(
            SHUFFLED[:48], {"drop_remainder": True}, "partial batch dropped (`drop_remainder=True`)",
            f"48 rows for 50 labels: 2 missing = 50 mod 8, samples {', '.join(map(str, np.sort(SHUFFLED[48:])))}",
            id="dropped",
        ),
        pytest.param(
            [*SHUFFLED[:48], -2, -2], {}, "rows that are none of the labelled samples: another selection of the data",
            "2 rows are not among the labelled samples, and 2 labelled samples never arrived", id="others",
        ),
    ],
)  # fmt: skip
def test_scored_in_any_order_no_evidence_names_a_position(samples, facts, cause, evidence):
    found = {found.cause: found.evidence for found in scored(samples, **facts)}
    assert found[cause] == evidence


def test_in_any_order_keys_of_other_rows_are_those_that_came():
    keys = np.array([*KEYS[SHUFFLED[:45]], "new1", *KEYS[SHUFFLED[45:48]], "new2"])
    samples = np.array([*SHUFFLED[:45], -2, *SHUFFLED[45:48], -2])
    made = view_of(samples, "unknown", method="check", ordered=False, keys=keys)
    trace, labels = replace(made.trace, fingerprints=None), replace(made.labels, keys=KEYS, fingerprints=None)
    evidence = [found.evidence for found in diagnose(trace, samples, labels)]
    assert "2 keys of the stream are not in the labels ('new1', 'new2')" in evidence[0]
    assert any("2 rows are not among the labelled samples ('new1', 'new2')" in each for each in evidence)


def test_a_sample_that_was_not_scored_is_named_by_the_fix_of_its_kind():
    (found,) = scored(range(49), "arrays")
    assert found.cause == "cause unknown, pattern: 1 sample left out: sample 49"
    assert "y_true = y_true[kept]" in found.remedy
    made = view_of(range(49), "arrays", method="evaluate", ordered=False, known=False)
    assert unknown(made).remedy.endswith("check how many rows x returns, or add reference=x_test to know the samples")


def test_a_used_generator_that_is_scored_lacks_its_first_samples():
    made = view_of(range(16, 50), "generator", method="evaluate", ordered=False)
    state = replace(made.trace.source, started=True)
    (first, *_) = diagnose(replace(made.trace, sources=(state,)), made.samples, made.labels)
    assert first.cause == "iterator not at its start"
    assert first.evidence.startswith("16 samples never arrived, of which sample 0 is the first; ")


def test_positions_in_an_array_show_no_sample():
    for rows, words in ((45, "5 rows too few"), (60, "10 rows too many")):
        made = view_of(range(rows), "arrays", index=np.arange(rows), index_source="position")
        trace = replace(made.trace, fingerprints=None, batch_sizes=np.zeros(0, np.int64))
        (found,) = diagnose(trace, made.samples, replace(made.labels, fingerprints=None))
        assert found.cause == f"cause unknown, pattern: {words}"
        assert found.evidence == f"{rows} rows for 50 labels; nothing shows which sample each row is"


def test_rows_of_which_the_reference_has_almost_none_may_be_other_data():
    made = view_of(range(60), "arrays", known=False)
    assert made.trace.fingerprints is not None
    found = unknown(made)
    assert (
        "almost none of them is a row of the reference: these are other data, such as a training set" in found.evidence
    )
    assert "predict other data outside of the guard" in found.remedy
