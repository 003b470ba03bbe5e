"""Keys that differ in one way from those of the labels: an example of each side, and the way."""

import numpy as np
import pytest

from evalguard.core.key_differences import example

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
