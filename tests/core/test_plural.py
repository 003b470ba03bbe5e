"""Numbers with their noun."""

import pytest

from evalguard.core.plural import at_rows, plural, verb


@pytest.mark.parametrize(
    ("count", "word", "text"),
    [
        (0, "row", "0 rows"),
        (1, "row", "1 row"),
        (2, "row", "2 rows"),
        (1, "batch", "1 batch"),
        (1000, "batch", "1,000 batches"),
        (3, "class", "3 classes"),
        (4_999_990, "labelled sample", "4,999,990 labelled samples"),
    ],
)
def test_a_noun_has_the_ending_of_its_number_and_digits_are_grouped(count, word, text):
    assert plural(count, word) == text


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([3], "at row 3"),
        ([1, 4_999_990], "at rows 1, 4,999,990"),
        (range(5), "at rows 0, 1, 2, 3, 4"),
        (range(6000), "at rows 0, 1, 2, 3, 4, … (6,000 in all)"),
    ],
)
def test_the_first_five_rows_are_named_and_all_are_counted(rows, text):
    assert at_rows(rows) == text


def test_a_verb_has_the_form_of_its_number():
    assert [verb(count, "is", "are") for count in (0, 1, 2)] == ["are", "is", "are"]
