"""Which sample is each row? Equal samples are interchangeable, and a fault is never made up by the matching."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalguard.core import matching
from evalguard.core.label_table import LabelTable
from evalguard.core.matching import (
    all_matches,
    is_comparable,
    match_content,
    match_index,
    match_keys,
    occurrence,
    repeated_rows,
    unless_transformed,
)
from evalguard.core.trace import FOREIGN, UNKNOWN, Trace
from tests.core import brute
from tests.core.key_columns import Kept

# Four contents among up to twelve rows: equal samples are the rule here, not the exception.
CONTENTS = st.lists(st.integers(0, 3), min_size=1, max_size=12)


def digests(contents):
    return np.asarray(contents, dtype=np.uint64)


@given(st.lists(st.integers(0, 5), max_size=12), CONTENTS)
def test_a_row_is_matched_with_a_sample_of_equal_content_or_is_foreign(rows, reference):
    for row, sample in zip(rows, match_content(digests(rows), digests(reference)).samples.tolist(), strict=True):
        assert reference[sample] == row if sample != FOREIGN else row not in reference


@given(st.lists(st.integers(0, 5), max_size=12), CONTENTS)
def test_missing_and_duplicate_are_those_of_the_two_multisets(rows, reference):
    samples = match_content(digests(rows), digests(reference)).samples.tolist()
    fed, known = Counter(rows), Counter(reference)
    n = len(reference)
    assert len(brute.missing(samples, n)) == sum((known - fed).values())
    assert len(brute.duplicate(samples, n)) == sum((fed - known)[content] for content in known)
    assert len(brute.foreign(samples, n)) == sum(count for content, count in fed.items() if content not in known)


@given(CONTENTS, st.data())
def test_no_sample_is_used_twice_where_that_can_be_avoided(reference, data):
    rows = data.draw(st.permutations(reference))[: data.draw(st.integers(0, len(reference)))]
    samples = match_content(digests(rows), digests(reference)).samples.tolist()
    assert len(set(samples)) == len(samples)


@given(st.lists(st.integers(0, 5), max_size=12), CONTENTS)
def test_a_row_is_misaligned_exactly_where_another_content_was_fed(rows, reference):
    samples = match_content(digests(rows), digests(reference)).samples.tolist()
    other = [i for i, content in enumerate(rows) if i >= len(reference) or content != reference[i]]
    assert brute.misaligned(samples) == other


@given(CONTENTS)
def test_a_stream_aligned_by_content_is_aligned(contents):
    match = match_content(digests(contents), digests(contents))
    assert match.samples.tolist() == list(range(len(contents)))
    assert match.comparable
    assert match.complete


def test_a_fingerprint_that_different_inputs_share_identifies_none_of_them():
    reference = digests([7, 8, 7, 9])
    match = match_content(digests([7, 8, 7, 9]), reference, ambiguous=True)
    assert match.samples.tolist() == [UNKNOWN, 1, UNKNOWN, 3]
    assert (match.complete, match.comparable) == (False, True)
    match = match_content(digests([9, 5, 8]), reference, ambiguous=True)
    assert match.samples.tolist() == [3, FOREIGN, 1]
    assert match.complete
    constant = match_content(digests([7, 7]), digests([7, 7]), ambiguous=True)
    assert (constant.samples.tolist(), constant.comparable) == ([UNKNOWN, UNKNOWN], True)


def test_among_equal_samples_the_kth_row_out_of_position_is_the_kth_unassigned_sample():
    #           samples 0  1  2  3  4
    reference = digests([7, 8, 7, 9, 7])
    assert match_content(digests([9, 7, 7, 8, 7]), reference).samples.tolist() == [3, 0, 2, 1, 4]
    # A fourth and a fifth 7 are repetitions, assigned from the first one again.
    assert match_content(digests([7, 7, 7, 7, 7]), reference).samples.tolist() == [0, 0, 2, 2, 4]


@pytest.mark.parametrize(("matching", "comparable"), [(0, False), (2, False), (3, True), (100, True)])
def test_a_reference_that_almost_no_row_matches_holds_other_data(matching, comparable):
    reference = digests(np.arange(100))
    rows = digests(np.arange(1000, 1100))
    rows[:matching] = reference[:matching]
    match = match_content(rows, reference)
    assert match.comparable is comparable
    assert match.complete
    assert int((match.samples == FOREIGN).sum()) == 100 - matching


KEYS = st.lists(st.integers(0, 30), unique=True, min_size=1, max_size=10)


@given(KEYS, st.lists(st.integers(0, 30), max_size=12), st.booleans(), st.booleans())
def test_keys_name_their_label_row_as_numbers_and_as_text(keys, carried, text_labels, text_stream):
    label_keys = np.asarray([str(key) for key in keys]) if text_labels else np.asarray(keys)
    stream_keys = np.asarray([str(key).encode() for key in carried]) if text_stream else np.asarray(carried)
    match = match_keys(stream_keys, label_keys)
    assert match.samples.tolist() == [keys.index(key) if key in keys else FOREIGN for key in carried]
    assert match.complete
    assert match.comparable == (not carried or bool(set(keys) & set(carried)))


def test_an_index_beyond_the_labels_stays_as_it_is_and_an_unnamed_row_makes_it_incomplete():
    match = match_index(np.asarray([0, 99, -1]))
    assert match.samples.tolist() == [0, 99, -1]
    assert not match.complete
    assert match_index(np.asarray([0, 99])).complete


def test_identities_come_strongest_first():
    labels = LabelTable(keys=np.arange(2), fingerprints=digests([5, 6]))
    trace = Trace(2, np.arange(2), index=np.arange(2), keys=np.arange(2), fingerprints=digests([5, 6]))
    assert [match.identity for match in all_matches(trace, labels)] == ["content", "key", "index"]
    by_position = Trace(2, np.arange(2), index=np.arange(2), index_source="position")
    assert [match.identity for match in all_matches(by_position, labels)] == ["position"]
    assert all_matches(Trace(2, np.arange(2)), labels) == ()


@given(st.lists(st.integers(0, 4), max_size=15))
def test_repeated_rows_are_those_whose_content_came_before(contents):
    expected = [row for row, content in enumerate(contents) if content in contents[:row]]
    assert repeated_rows(digests(contents)).tolist() == expected


@pytest.mark.parametrize(("matching", "comparable"), [(0, False), (2, False), (3, True)])
def test_data_is_comparable_from_the_first_rows_that_are_known(matching, comparable):
    reference = digests(np.arange(100))
    rows = digests(np.arange(1000, 1100))
    rows[50 : 50 + matching] = reference[:matching]
    assert is_comparable(rows, reference) is comparable
    assert match_content(rows, reference).comparable is comparable


def test_blank_rows_do_not_make_data_comparable():
    blank, reference, rows = 60, digests(np.arange(100)), digests(np.arange(1000, 1100))
    reference[:blank] = rows[:blank] = 7
    assert not is_comparable(rows, reference)
    assert is_comparable(rows[:blank], reference), "nothing but blank rows was fed"
    rows[blank] = reference[blank]
    assert is_comparable(rows, reference)


@pytest.mark.parametrize(("transformed", "unknown"), [(5, False), (6, True), (50, True)])
def test_rows_of_no_sample_are_not_foreign_where_a_random_transformation_explains_them(transformed, unknown):
    reference = digests(np.arange(100))
    rows = reference.copy()
    rows[:transformed] = digests(np.arange(1000, 1000 + transformed))
    match = unless_transformed(match_content(rows, reference), 100)
    assert (match.samples[:transformed] == (UNKNOWN if unknown else FOREIGN)).all()
    assert match.complete is not unknown
    moved = unless_transformed(match_content(np.roll(rows, 1), reference), 100)
    assert moved.complete, "rows that are out of position are no matter of chance"
    assert unless_transformed(match_content(rows[:-1], reference), 100).complete, "nor is a missing row"


@given(st.lists(st.integers(0, 4), max_size=15))
def test_an_occurrence_is_the_number_of_equal_values_before(contents):
    expected = [contents[:row].count(content) for row, content in enumerate(contents)]
    assert occurrence(np.asarray(contents, dtype=np.int64)).tolist() == expected


def test_a_column_of_keys_says_itself_where_its_keys_are():
    keys, label_keys = ["b", "x", "a"], ["a", "b", "c"]
    found = match_keys(Kept(keys), Kept(label_keys))
    assert found.samples.tolist() == match_keys(np.array(keys), np.array(label_keys)).samples.tolist() == [1, -2, 0]


@pytest.mark.parametrize("kind", ["numbers", "text", "few are known", "text of other widths", "none"])
def test_keys_are_matched_as_a_dictionary_would(kind):
    rng = np.random.default_rng(0)
    wanted = rng.permutation(200_000)[:70_000]
    carried = rng.permutation(wanted) if kind != "few are known" else rng.integers(0, 200_000, 80_000)
    if kind.startswith("text"):
        wanted, carried = wanted.astype(np.str_), carried.astype(np.str_)
        carried = carried.astype("<U40") if kind == "text of other widths" else carried
    carried = carried[:0] if kind == "none" else carried
    row_of = {key: row for row, key in enumerate(wanted.tolist())}
    expected = [row_of.get(key, FOREIGN) for key in carried.tolist()]
    assert match_keys(carried, wanted).samples.tolist() == expected


def test_texts_with_one_digest_are_compared_as_they_are(monkeypatch):
    texts = np.array(["a", "b", "c", "d"])
    monkeypatch.setattr(matching, "text_digests", lambda texts: np.zeros(len(texts), np.uint64))
    assert match_keys(texts[[2, 0, 1]], texts).samples.tolist() == [2, 0, 1]
    assert match_keys(np.array(["x", "b"]), texts).samples.tolist() == [FOREIGN, 1]


def test_digests_of_texts_differ_by_letter_and_place():
    texts = np.array(["ab", "ba", "a", "b", "", "aa", "äb", "a\u0301"])
    assert len(np.unique(matching.text_digests(texts))) == len(texts)
    assert np.array_equal(matching.text_digests(texts), matching.text_digests(texts.astype("<U30")))
    assert np.array_equal(matching.text_digests(texts), matching.text_digests(texts.astype(">U2")))
    assert matching.text_digests(np.zeros(0, "<U3")).tolist() == []
