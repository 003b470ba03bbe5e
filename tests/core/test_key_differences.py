"""Keys that differ in one way from those of the labels: an example of each side, and the way."""

import numpy as np
import pytest

from evalguard.core.key_differences import difference, example
from evalguard.core.shown_keys import keys_shown

PATHS = [f"scans/{at:02}.png" for at in range(12)]
NUMBERS = [str(at) for at in range(12)]


@pytest.mark.parametrize(
    ("stream", "labels", "expected"),
    [
        (PATHS, [path[6:] for path in PATHS], ("scans/00.png", "00.png", " They differ by the prefix 'scans/'.")),
        ([path[6:] for path in PATHS], PATHS, ("00.png", "scans/00.png", " They differ by the prefix 'scans/'.")),
        (PATHS, [path[:-4] for path in PATHS], ("scans/00.png", "scans/00", " They differ by the suffix '.png'.")),
        ([path[:-4] for path in PATHS], PATHS, ("scans/00", "scans/00.png", " They differ by the suffix '.png'.")),
        (
            [f"{at:03}" for at in (7, 3, 11, 5)],
            NUMBERS,
            ("007", "7", " They differ by zero padding."),
        ),
        (["B7", "A3"], ["a3", "b7"], ("B7", "b7", " They differ by upper and lower case.")),
        (
            [f"c{at % 2}/{at}.png" for at in range(6)],
            [f"{at}.png" for at in range(6)],
            ("c0/0.png", "0.png", " They differ by the folders before the name."),
        ),
        (["a.png", "b.jpg"], ["b.txt", "a.txt"], ("a.png", "a.txt", " They differ by the ending.")),
        ([*range(100, 109)], [*range(1, 10)], ("100", "1", " They differ by the offset -99.")),
        ([5, 6, 8], [1005, 1006, 1008], ("5", "1005", " They differ by the offset 1,000.")),
        (["043", "012", "x"], ["0", "1", "2"], ("043", "0", "")),
        ([7, 8], ["a", "b"], ("7", "a", "")),
    ],
    ids=[
        "prefix",
        "prefix of labels",
        "suffix",
        "suffix of labels",
        "zeros",
        "case",
        "folders",
        "ending",
        "offset",
        "offset of labels",
        "by accident",
        "nothing",
    ],
)
@pytest.mark.parametrize("kind", [list, np.asarray])
def test_the_difference_is_one_that_most_keys_have(stream, labels, expected, kind):
    assert example(kind(stream), kind(labels)) == expected


def test_an_ending_is_not_shown_where_keys_are_hidden():
    stream, labels = [f"{at}.smith" for at in range(9)], [f"{at}.x" for at in range(9)]
    for shown, words in ((True, "rpartition('.')[0] + '.smith'"), (False, "rpartition('.')[0] + '...'")):
        with keys_shown(shown):
            found = difference(stream, labels)
            assert found is not None
            assert found.mended.endswith(words)


@pytest.mark.parametrize(
    ("stream", "labels", "mended"),
    [
        (["7", "12"], ["007", "012"], r"{keys}.str.replace(r'(?<!\d)0+(?=\d)', '', regex=True)"),
        (
            ["a_007", "a_012"],
            ["a_7", "a_12"],
            r"{keys}.str.replace(r'\d+', lambda found: found[0].zfill(3), regex=True)",
        ),
        (["A7", "B3"], ["a7", "b3"], "{keys}.str.upper()"),
        (["1.0", "2.0"], ["1", "2"], "{keys}.astype(float).astype(str)"),
        (["b'x'", "b'y'"], ["x", "y"], "{keys}.astype(float).astype(int).astype(str)"),
        (["a.b!", "c.b!"], ["a.d", "c.d"], "{keys}.str.rpartition('.')[0] + '...'"),
    ],
)
def test_the_keys_of_the_labels_become_those_of_the_stream(stream, labels, mended):
    found = difference(stream, labels)
    assert found is not None
    assert found.mended == mended
