"""Numbers with their noun."""

import pytest

from evalguard.core.plural import plural


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
