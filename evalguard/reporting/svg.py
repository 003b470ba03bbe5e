"""The plots as SVG: no scripts, fonts or external files; colours by class, so that a page can have a dark mode."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from markupsafe import Markup, escape

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
# Style of the plot as a separate file. A page has its own rules for the same classes.
STYLE = """\
svg{background:#fff;font:11px system-ui,sans-serif;font-variant-numeric:tabular-nums}
.ink{fill:#1d1d1b}.muted{fill:#5d5c57}.line{stroke:#c9c7c0;fill:none}.grid{stroke:#eceae5;fill:none}
.diagonal{stroke:#8b8982;fill:none}.void{fill:#f3f2ee}.right{stroke:#1a6b46;fill:none}.wrong{stroke:#b3261e;fill:none}
.field{stroke:#7a4b9a;fill:none}.right-fill{fill:#1a6b46}.wrong-fill{fill:#b3261e}"""


def to_svg(report: Report) -> str:
    """The alignment plot as an SVG file, ending in a newline; empty if there is nothing to plot."""
    drawn = picture(words.plain(report).plot)
    return f"{alignment(drawn, STYLE)}\n" if drawn else ""


def alignment(drawn: Picture, style: str = "") -> Markup:
    """The runs over the diagonal, or the fields of a raster if there are too many runs."""
    parts = [
        *_frame(drawn),
        # A raster may cover the whole plot, so the diagonal is on top; it must not cross out runs.
        *([*_raster(drawn), _diagonal(drawn)] if drawn.columns else [_diagonal(drawn), *_runs(drawn)]),
        *_axis_titles(drawn),
    ]
    return _svg(HEIGHT, described(drawn), parts, style)


def displacement(histogram: Sequence[Sequence[int]]) -> Markup | None:
    """The histogram of displacements; None if there is none or its form is not known."""
    try:
        bins = [(int(low), int(high), int(count)) for low, high, count in histogram]
    except (TypeError, ValueError):
        return None
    if not bins or any(low > high or count < 0 for low, high, count in bins):
        return None
    return _svg(TOP + BARS + BOTTOM, _description(bins), _bars(bins))


def _svg(height: int, description: str, parts: Iterable[str], style: str = "") -> Markup:
    inner = "\n".join(parts)
    rules = f"<style>{style}</style>\n" if style else ""
    return Markup(  # noqa: S704 - numbers and escaped text only
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(description)}">\n<title>{escape(description)}</title>\n{rules}{inner}\n</svg>'
    )


# -- The alignment plot -----------------------------------------------------------------------------------------------


def _across(drawn: Picture, row: float) -> float:
    return LEFT + SIDE * row / drawn.width


def _up(drawn: Picture, sample: float) -> float:
    return TOP + SIDE * (1 - sample / drawn.height)


def _frame(drawn: Picture) -> Iterator[str]:
    """Background, ticks and border."""
    edge = _across(drawn, min(drawn.n_rows, drawn.n_labels))
    if edge < LEFT + SIDE - 0.05:
        # Labels without a row, or rows without a label.
        yield f'<rect class="void" x="{edge:.1f}" y="{TOP}" width="{LEFT + SIDE - edge:.1f}" height="{SIDE}"/>'
    for sample in ticks(drawn.n_labels):
        y = _up(drawn, sample + 0.5)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}h{SIDE}"/>'
        yield _text(LEFT - 6, y + 4, compact(sample), "end")
    for row in ticks(drawn.width):
        x = _across(drawn, row + 0.5)
        yield f'<path class="grid" d="M{x:.1f} {TOP}v{SIDE}"/>'
        yield _text(x, TOP + SIDE + 15, compact(row), "middle")
    yield f'<rect class="line" x="{LEFT}" y="{TOP}" width="{SIDE}" height="{SIDE}"/>'


def _diagonal(drawn: Picture) -> str:
    end = f"{_across(drawn, drawn.n_labels):.1f} {TOP}"
    return f'<path class="diagonal" stroke-dasharray="2 4" d="M{LEFT} {TOP + SIDE}L{end}"/>'


def _axis_titles(drawn: Picture) -> Iterator[str]:
    yield _text(LEFT + SIDE / 2, HEIGHT - 12, "row delivered", "middle", "ink")
    middle = TOP + SIDE / 2
    yield _text(11, middle, "sample", "middle", "ink", f' transform="rotate(-90 11 {middle:g})"')
    if any(True for _ in drawn.unplaced):
        yield _text(LEFT + SIDE, HEIGHT - 12, "edge: no known sample", "end")


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
    return f"Displacement histogram: {early:,} rows early, {there:,} in or near position, {late:,} late; {reach}."


def _bars(bins: list[tuple[int, int, int]]) -> Iterator[str]:
    # Centred at 0, so that early and late can be compared.
    reach = max(1, abs(bins[0][0]), abs(bins[-1][1])) + 0.5
    most = max(1, *(count for *_, count in bins))
    base = TOP + BARS

    def at(place: float) -> float:
        return LEFT + SIDE * (place + reach) / (2 * reach)

    yield _text(LEFT - 6, TOP + 9, compact(most), "end")
    yield _text(LEFT - 6, base, "0", "end")
    yield f'<path class="grid" d="M{LEFT} {TOP + 0.5}h{SIDE}"/>'
    for low, high, count in bins:
        left, right = at(low - 0.5), at(high + 0.5)
        height = max(1.5, BARS * count / most) if count else 0
        name = "right-fill" if low <= 0 <= high else "wrong-fill"
        width = max(1.0, right - left - 0.6)
        yield f'<rect class="{name}" x="{left:.1f}" y="{base - height:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
    yield f'<path class="line" d="M{LEFT} {base}h{SIDE}"/>'
    for place in (bins[0][0], 0, bins[-1][1]):
        anchor = "middle" if place == 0 else ("start" if place < 0 else "end")
        if place == 0 or abs(place) > reach / 6:
            yield _text(at(place), base + 15, f"{place:+,}".replace("-", "\N{MINUS SIGN}") if place else "0", anchor)
    yield _text(LEFT, base + 36, "← early", "start", "ink")
    yield _text(LEFT + SIDE / 2, base + 36, "displacement in positions", "middle", "ink")
    yield _text(LEFT + SIDE, base + 36, "late →", "end", "ink")


# -- Words and numbers ------------------------------------------------------------------------------------------------


def _text(x: float, y: float, text: str, anchor: str, name: str = "muted", more: str = "") -> str:
    return f'<text class="{name}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'


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
