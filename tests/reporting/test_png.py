"""The picture file shows rows where they are: read back point by point."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from evalguard.errors import ConfigError
from evalguard.reporting.png import RIGHT, WRONG, to_png
from tests.reporting import samples


def pixels(report):
    return np.asarray(Image.open(io.BytesIO(to_png(report))).convert("RGB")).astype(int)


def places(found):
    """Where pixels are, as shares of the picture: across from the left, up from the bottom."""
    lines, columns = np.nonzero(found)
    return columns / found.shape[1], 1 - lines / found.shape[0]


def points(report, colour):
    wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return places(np.abs(pixels(report) - wanted).sum(axis=2) < 12)


def drawn(report):
    """All that is no shade of grey: the rows, in whatever colour."""
    return places(np.ptp(pixels(report), axis=2) > 12)


@pytest.mark.parametrize("n", [10, 50, 5000])
def test_rows_in_order_are_one_line_from_corner_to_corner(n):
    report = samples.passing(n)
    across, up = points(report, RIGHT)
    assert len(points(report, WRONG)[0]) == 0
    assert np.corrcoef(across, up)[0, 1] > 0.99
    assert np.ptp(across) > 0.7
    assert np.ptp(up) > 0.7


@pytest.mark.parametrize("n", [10, 50, 5000])
def test_rows_in_reverse_fall_from_left_to_right(n):
    across, up = drawn(samples.failing(np.arange(n)[::-1], n))
    assert np.corrcoef(across, up)[0, 1] < -0.99


def test_rows_in_random_order_are_a_field_over_the_whole_ground():
    across, up = drawn(samples.failing(np.random.default_rng(0).permutation(20_000), 20_000))
    assert len(across) > 960 * 960 / 3
    assert abs(np.corrcoef(across, up)[0, 1]) < 0.05


def test_rows_of_no_known_sample_are_on_the_lower_edge():
    _, up = points(samples.failing([*range(40), *[500] * 10], 50), WRONG)
    assert len(up)
    assert up.max() < 0.2


@pytest.mark.parametrize("make", samples.BY_VERDICT.values(), ids=samples.BY_VERDICT)
def test_the_same_report_gives_the_same_bytes_or_none(make):
    once = to_png(make())
    assert once == to_png(make())
    assert bool(once) == bool(make().plot)


@pytest.mark.parametrize("text", samples.HOSTILE.values(), ids=samples.HOSTILE)
def test_hostile_text_is_not_in_the_picture(text):
    assert Image.open(io.BytesIO(to_png(samples.hostile(text)))).size == (960, 960)


def test_without_matplotlib_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match="pip install matplotlib, or write an SVG"):
        to_png(samples.failing())
