"""The plots as SVG: what is drawn where; plots.svg.j2 has the elements."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from evalguard.core.plural import plural
from evalguard.core.report import Report
from evalguard.reporting import words
from evalguard.reporting.plot import Picture, Segment, described, picture

# Sizes in the viewBox; a page scales it to its column.
WIDTH, LEFT, TOP, SIDE, BOTTOM = 400, 50, 8, 340, 48
HEIGHT = TOP + SIDE + BOTTOM
BARS = 120
# Up to this number of rows each row is a dot; with more, neighbouring dots would touch.
MAX_DOTS = 60
MAX_TICKS = 5


def to_svg(report: Report) -> str:
    """The alignment plot as an SVG file, ending in a newline; empty if there is nothing to plot."""
    drawn = picture(words.plain(report).plot)
    return f"{alignment(drawn, own_style=True)}\n" if drawn else ""


def alignment(drawn: Picture, *, own_style: bool = False) -> Markup:
    """The runs over the diagonal, or the fields of a raster if there are too many runs.

    Args:
        drawn: What to draw.
        own_style: For a separate file; a page has its own rules for the same classes.
    """
    paths = map(Markup, _raster(drawn) if drawn.columns else _runs(drawn))
    plot: Markup = _plots().alignment(drawn, described(drawn), paths, own_style)
    return plot.strip()


def displacement(histogram: Sequence[Sequence[int]]) -> Markup | None:
    """The histogram of displacements; None if there is none or its form is not known."""
    try:
        bins = [(int(low), int(high), int(count)) for low, high, count in histogram]
    except (TypeError, ValueError):
        return None
    if not bins or any(low > high or count < 0 for low, high, count in bins):
        return None
    # Centred at 0, so that early and late can be compared.
    reach = max(1, abs(bins[0][0]), abs(bins[-1][1])) + 0.5
    most = max(1, *(count for *_, count in bins))

    def at(place: float) -> float:
        return LEFT + SIDE * (place + reach) / (2 * reach)

    places = [
        (place, f"{place:+,}".replace("-", "\N{MINUS SIGN}") if place else "0", _anchor(place))
        for place in (bins[0][0], 0, bins[-1][1])
        if place == 0 or abs(place) > reach / 6
    ]
    plot: Markup = _plots().displacement(bins, _description(bins), at, most, places)
    return plot.strip()


@functools.cache
def _plots() -> Any:
    """The macros of plots.svg.j2."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    sizes = {"WIDTH": WIDTH, "HEIGHT": HEIGHT, "LEFT": LEFT, "TOP": TOP, "SIDE": SIDE, "BOTTOM": BOTTOM, "BARS": BARS}
    environment.globals.update(sizes, across=_across, up=_up, ticks=ticks, compact=compact)
    return environment.get_template("plots.svg.j2").module


# -- The alignment plot -----------------------------------------------------------------------------------------------


def _across(drawn: Picture, row: float) -> float:
    return LEFT + SIDE * row / drawn.width


def _up(drawn: Picture, sample: float) -> float:
    return TOP + SIDE * (1 - sample / drawn.height)


def _runs(drawn: Picture) -> Iterator[str]:
    unplaced = list(drawn.unplaced)
    if unplaced:
        yield _path("wrong", (_edge(drawn, row, length) for row, _, length in unplaced), 5, "butt")
    for name, segments in drawn.by_side:
        small = drawn.width <= MAX_DOTS
        if segments:
            yield _path(name, (_stroke(drawn, segment) for segment in segments), 1.5 if small else 2.5)
        if segments and small:
            yield _path(name, (_dot(drawn, row + k, sample + k) for row, sample, n in segments for k in range(n)), 6)
    specks = drawn.specks(SIDE)
    if specks:
        yield _path("wrong", (_stroke(drawn, segment) for segment in specks), 6)


def _edge(drawn: Picture, row: int, length: int) -> str:
    """A mark on the lower edge, wide enough to be visible."""
    start = _across(drawn, row)
    return f"M{start:.1f} {TOP + SIDE}H{max(_across(drawn, row + length), start + 0.8):.1f}"


def _stroke(drawn: Picture, segment: Segment) -> str:
    # From the centre of the first row to that of the last: a single row is a dot, drawn by its round caps.
    row, sample, length = segment
    across, up = SIDE * (length - 1) / drawn.width, SIDE * (length - 1) / drawn.height
    return f"{_dot(drawn, row, sample)[:-2]}l{across:.1f} {-up:.1f}"


def _dot(drawn: Picture, row: int, sample: int) -> str:
    return f"M{_across(drawn, row + 0.5):.1f} {_up(drawn, sample + 0.5):.1f}h0"


def _path(name: str, commands: Iterable[str], width: float, cap: str = "round") -> str:
    # Equal commands are drawn once.
    drawn = "".join(dict.fromkeys(commands))
    return f'<path class="{name}" stroke-width="{width:g}" stroke-linecap="{cap}" d="{drawn}"/>'


def _raster(drawn: Picture) -> Iterator[str]:
    """One path per level, one stroke per run of neighbours: 25,600 fields take a few kilobytes."""
    strokes: dict[int, list[str]] = defaultdict(list)
    for (line, level), cells in groupby(drawn.cells, key=lambda cell: (cell[1], cell[2])):
        for start, length in _stretches([column for column, *_ in cells]):
            strokes[level].append(f"M{start} {drawn.lines - line - 0.5:g}h{length}")
    across = SIDE * drawn.n_rows / drawn.width / drawn.columns
    up = SIDE * drawn.n_labels / drawn.height / drawn.lines
    transform = f"translate({LEFT} {TOP}) scale({across:.5f} {up:.5f})"
    yield f'<g class="field" transform="{transform}" shape-rendering="crispEdges">'
    for level in sorted(strokes):
        yield f'<path stroke-opacity="{0.2 + 0.08 * level:.2f}" d="{"".join(strokes[level])}"/>'
    yield "</g>"


def _stretches(columns: list[int]) -> Iterator[tuple[int, int]]:
    """Start and length of each run of neighbours."""
    start = 0
    for column in range(1, len(columns) + 1):
        if column == len(columns) or columns[column] != columns[column - 1] + 1:
            yield columns[start], column - start
            start = column


# -- The histogram ----------------------------------------------------------------------------------------------------


def _description(bins: list[tuple[int, int, int]]) -> str:
    early = sum(count for _, high, count in bins if high < 0)
    late = sum(count for low, _, count in bins if low > 0)
    there = sum(count for *_, count in bins) - early - late
    reach = f"from {bins[0][0]:,} to {bins[-1][1]:,} positions"
    return (
        f"Displacement histogram: {plural(early, 'row')} early, {there:,} in or near position, {late:,} late; {reach}."
    )


def _anchor(place: int) -> str:
    return "middle" if place == 0 else ("start" if place < 0 else "end")


# -- Words and numbers ------------------------------------------------------------------------------------------------


def ticks(count: int) -> list[int]:
    """At most ``MAX_TICKS + 1`` round numbers from 0 to below ``count``."""
    step = 1
    while (count - 1) // step > MAX_TICKS:
        step = step * 5 // 2 if str(step)[0] == "2" else step * 2
    return list(range(0, max(1, count), step))


def compact(number: int) -> str:
    """``950``, ``25k``, ``1.5M``: short enough for an axis."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        # From 10,000 on, as 9,500 is as short as 9.5k.
        if number >= max(size, 10**4):
            return f"{number / size:g}{unit}"
    return f"{number:,}"


def histogram_of(order: Mapping[str, Any] | None) -> Sequence[Sequence[int]]:
    """The displacement histogram of ``report.order``, from the earliest to the latest row; empty if there is none."""
    displaced = (order or {}).get("displacement")
    if not isinstance(displaced, Mapping):
        return ()
    found = displaced.get("histogram")
    if not isinstance(found, (list, tuple)):
        return ()
    try:
        # All bins have the same width, so the outer ones may extend beyond all rows.
        least, most = int(displaced["min"]), int(displaced["max"])
        return [(max(int(low), least), min(int(high), most), count) for low, high, count in found]
    except (KeyError, TypeError, ValueError):
        return found
