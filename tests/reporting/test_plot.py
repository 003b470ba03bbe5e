"""The alignment plot: what is drawn is what was delivered, in characters and in SVG."""

import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalguard.core.order_metrics import order_metrics
from evalguard.core.plot_data import alignment_runs
from evalguard.reporting.plot import described, picture, text_plot
from evalguard.reporting.svg import BARS, LEFT, SIDE, TOP, alignment, compact, displacement, histogram_of, ticks, to_svg
from tests.core.streams import streams
from tests.reporting import samples as reports

SVG = "{http://www.w3.org/2000/svg}"


def drawn_of(samples, n_labels=None, **options):
    plot = alignment_runs(np.asarray(samples, dtype=np.int64), n_labels, **options)
    drawn = picture(plot)
    assert drawn is not None
    return drawn


def brute_text_plot(samples, n_labels, width, height):
    """The marks of each cell, from every row separately."""
    across, up = max(len(samples), n_labels), n_labels
    found: dict[tuple[int, int], set[str]] = {}
    for row, sample in enumerate(samples):
        if 0 <= sample < n_labels:
            place = (sample * height // up, row * width // across)
            found.setdefault(place, set()).add("o" if row == sample else "x")
    return found


@given(streams(unknown=True), st.integers(1, 14), st.integers(1, 9))
def test_the_plot_in_characters_has_a_mark_for_each_row_and_no_other(stream, width, height):
    samples, n = stream
    plot = picture(alignment_runs(samples, n))
    lines = text_plot(plot, width, height)
    assert len(lines) == height
    assert all(len(line) <= width for line in lines)
    expected = brute_text_plot(samples.tolist(), n, width, height)
    for line, text in enumerate(reversed(lines)):
        for column, mark in enumerate(text.ljust(width)):
            marks = expected.get((line, column))
            if marks is None:
                assert mark in " ."
            else:
                assert mark == ("x" if "x" in marks else "o")


def test_the_plot_in_characters_of_many_rows_is_a_line():
    lines = text_plot(drawn_of(np.arange(100_000)), 20, 5)
    assert lines == ["                oooo", "            oooo", "        oooo", "    oooo", "oooo"]


def test_rows_of_a_raster_are_neither_right_nor_wrong():
    drawn = drawn_of(np.random.default_rng(0).permutation(10_000))
    assert drawn.columns
    text = "".join(text_plot(drawn, 30, 6))
    assert set(text) == {"#"}


def marks(root, name):
    """Start and end of each stroke of a class, in rows and samples from 0 to 1."""
    found = set()
    for path in root.iter(f"{SVG}path"):
        if path.get("class") != name:
            continue
        for x, y, dx, dy in re.findall(r"M([\d.]+) ([\d.]+)(?:h0|l(-?[\d.]+) (-?[\d.]+))", path.get("d")):
            start = ((float(x) - LEFT) / SIDE, 1 - (float(y) - TOP) / SIDE)
            end = (start[0] + float(dx or 0) / SIDE, start[1] - float(dy or 0) / SIDE)
            found.add((*(round(value, 2) for value in (*start, *end)),))
    return found


@pytest.mark.parametrize(
    ("samples", "n", "right", "wrong"),
    [
        pytest.param(range(100), 100, {(0.0, 0.0, 1.0, 1.0)}, set(), id="aligned"),
        pytest.param(
            [*range(50, 100), *range(50)],
            100,
            set(),
            {(0.0, 0.5, 0.5, 1.0), (0.5, 0.0, 1.0, 0.5)},
            id="halves-swapped",
        ),
        pytest.param(
            [*range(100), *range(100)], 100, {(0.0, 0.0, 0.5, 1.0)}, {(0.5, 0.0, 1.0, 1.0)}, id="each-sample-twice"
        ),
        pytest.param([*range(50)], 100, {(0.0, 0.0, 0.5, 0.5)}, set(), id="half-of-them-missing"),
    ],
)
def test_runs_are_strokes_from_their_first_row_to_their_last(samples, n, right, wrong):
    root = ET.fromstring(alignment(drawn_of(list(samples), n)))  # noqa: S314 - made here
    near = {(round(a, 1), round(b, 1), round(c, 1), round(d, 1)) for a, b, c, d in marks(root, "right")}
    assert near == right
    assert {tuple(round(value, 1) for value in mark) for mark in marks(root, "wrong")} == wrong


def test_few_rows_are_separate_dots():
    root = ET.fromstring(alignment(drawn_of([0, 2, 1, 3])))  # noqa: S314 - made here
    dots = [path for path in root.iter(f"{SVG}path") if path.get("stroke-width") == "6"]
    assert "".join(path.get("d", "") for path in dots).count("M") == 4


def test_rows_that_are_no_sample_are_marked_on_the_edge():
    text = alignment(drawn_of([0, 1, -2, -1, 4], 5))
    assert text.count(f"{TOP + SIDE}H") == 2
    assert "edge: no known sample" in text
    assert "edge: no known sample" not in alignment(drawn_of([0, 1], 2))


@given(st.integers(2, 3000), st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_a_raster_draws_each_field_once_at_its_level(n, seed):
    drawn = drawn_of(np.random.default_rng(seed).permutation(n), max_points=1)
    if not drawn.columns:
        return
    root = ET.fromstring(alignment(drawn))  # noqa: S314 - made here
    group = next(group for group in root.iter(f"{SVG}g") if group.get("class") == "field")
    found = []
    for path in group:
        level = round((float(path.get("stroke-opacity")) - 0.2) / 0.08)
        for x, y, length in re.findall(r"M(\d+) ([\d.]+)h(\d+)", path.get("d")):
            line = drawn.lines - 0.5 - float(y)
            found += [(int(x) + step, int(line), level) for step in range(int(length))]
    assert sorted(found) == sorted(drawn.cells)


def test_the_plot_says_in_words_what_it_shows():
    told = described(drawn_of([0, 1, 3, 2, -2], 5))
    assert told == (
        "Alignment plot, 5 delivered rows on the x axis, 5 samples on the y axis. "
        "2 rows on the diagonal, 2 off it, in 3 runs; 1 foreign or unknown."
    )
    assert "fields, darker for more rows" in described(drawn_of(np.random.default_rng(0).permutation(5000)))


@pytest.mark.parametrize(
    "plot",
    [
        None,
        {},
        {"n_rows": 0, "n_labels": 0, "segments": []},
        {"n_rows": 3, "n_labels": 3},
        {"n_rows": 3, "n_labels": 3, "segments": None, "raster": None},
        {"n_rows": 3, "n_labels": 3, "segments": [[1, 2]]},
        {"n_rows": 3, "n_labels": 3, "segments": "<script>"},
        {"n_rows": 3, "n_labels": 3, "segments": None, "raster": []},
        {"n_rows": 3, "n_labels": 3, "segments": None, "raster": ["1<"]},
        {"n_rows": "x", "n_labels": 3, "segments": []},
        {"n_rows": -1, "n_labels": 3, "segments": []},
    ],
)
def test_a_plot_of_an_unknown_form_is_no_plot(plot):
    assert picture(plot) is None


def test_a_plot_file_stands_alone_and_there_is_none_without_a_plot():
    text = to_svg(reports.failing())
    root = ET.fromstring(text)  # noqa: S314 - made here
    assert root.find(f"{SVG}style") is not None
    assert root.find(f"{SVG}title").text.startswith("Alignment plot, 50 delivered rows")
    assert to_svg(reports.unproven_report()) == ""


# -- The histogram ----------------------------------------------------------------------------------------------------


def test_bars_are_as_high_as_their_counts_and_those_in_position_have_another_colour():
    root = ET.fromstring(displacement([[-3, -3, 10], [0, 0, 40], [1, 1, 20]]))  # noqa: S314 - made here
    bars = [(bar.get("class"), float(bar.get("height", "0"))) for bar in root.iter(f"{SVG}rect")]
    assert bars == [("wrong-fill", BARS / 4), ("right-fill", BARS), ("wrong-fill", BARS / 2)]
    assert root.get("aria-label") == (
        "Displacement histogram: 10 rows early, 40 in or near position, 20 late; from -3 to 1 positions."
    )


@pytest.mark.parametrize("histogram", [[], "x", [[1, 2]], [["a", "b", "c"]], [[2, 1, 5]], [[0, 0, -1]], [None]])
def test_a_histogram_of_an_unknown_form_is_not_drawn(histogram):
    assert displacement(histogram) is None


# -- Axes -------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 10**9))
def test_ticks_are_few_round_numbers_from_0(count):
    found = ticks(count)
    assert found[0] == 0
    assert found[-1] < count
    assert 1 <= len(found) <= 6
    steps = set(np.diff(found).tolist())
    assert len(steps) <= 1
    assert all(re.fullmatch(r"[125]0*", str(step)) for step in steps)
    assert count < 4 or len(found) >= 3


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (950, "950"), (8000, "8,000"), (20_000, "20k"), (1_500_000, "1.5M"), (2 * 10**9, "2G")],
)
def test_axis_numbers_are_short(number, text):
    assert compact(number) == text


@given(streams())
def test_the_histogram_ends_at_the_earliest_and_the_latest_row(stream):
    samples, n = stream
    order = order_metrics(np.asarray(samples, dtype=np.int64), n)
    bins = histogram_of(order)
    if bins:
        assert (bins[0][0], bins[-1][1]) == (order["displacement"]["min"], order["displacement"]["max"])
        assert all(low <= high for low, high, _ in bins)
        assert [count for *_, count in bins] == [count for *_, count in order["displacement"]["histogram"]]


def test_a_histogram_of_another_hand_is_taken_as_it_is():
    assert histogram_of({"displacement": {"histogram": [[1, 2, "x"]], "min": "?"}}) == [[1, 2, "x"]]
    assert histogram_of({"displacement": {"histogram": 7}}) == ()
