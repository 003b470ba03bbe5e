"""The alignment plot: delivered rows on the x axis, samples on the y axis; aligned rows lie on the diagonal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from evalguard.core.plural import plural

Segment = tuple[int, int, int]
Cell = tuple[int, int, int]

# More wrong runs than these are visible as a field.
MAX_SPECKS = 200

# Marks of the text plot. FIELD is a field of a raster, which does not separate right rows from wrong ones.
RIGHT, WRONG, FIELD, EXPECTED = "o", "x", "#", "."


@dataclass(frozen=True, slots=True)
class Picture:
    """``report.plot`` in drawable form: runs or a raster.

    Attributes:
        n_rows: Delivered rows.
        n_labels: Labelled samples.
        segments: ``(row, sample, length)`` of the runs; sample -1: unknown,
            -2: foreign.
        cells: ``(column, line, level)`` of a raster, lines from the lowest
            samples up, levels 1 to 9.
        columns: Columns of the raster, 0 if there is no raster.
        lines: Lines of the raster.
    """

    n_rows: int
    n_labels: int
    segments: tuple[Segment, ...] = ()
    cells: tuple[Cell, ...] = ()
    columns: int = 0
    lines: int = 0

    @property
    def width(self) -> int:
        """Rows on the x axis; labels without a row count too."""
        return max(self.n_rows, self.n_labels, 1)

    @property
    def height(self) -> int:
        """Samples on the y axis."""
        return max(self.n_labels, 1)

    @property
    def placed(self) -> Iterator[Segment]:
        """Runs of labelled samples."""
        return (segment for segment in self.segments if segment[1] >= 0)

    @property
    def by_side(self) -> tuple[tuple[str, list[Segment]], ...]:
        """Runs of labelled samples ``right`` on the diagonal, and those that are ``wrong``."""
        right = [segment for segment in self.placed if segment[0] == segment[1]]
        return ("right", right), ("wrong", [segment for segment in self.placed if segment[0] != segment[1]])

    def specks(self, side: int) -> list[Segment]:
        """Wrong runs that are too short to be seen in a plot of ``side`` units, if they are few."""
        wrong = dict(self.by_side)["wrong"]
        few = self.width > side and len(wrong) <= MAX_SPECKS
        return [segment for segment in wrong if segment[2] * side < 2 * self.width] if few else []

    @property
    def unplaced(self) -> Iterator[Segment]:
        """Runs of foreign and unknown rows."""
        return (segment for segment in self.segments if segment[1] < 0)


def picture(plot: Mapping[str, Any] | None) -> Picture | None:
    """The plot of a report; None if there is nothing to draw or its form is not known."""
    if not plot:
        return None
    try:
        n_rows, n_labels = int(plot["n_rows"]), int(plot["n_labels"])
        if min(n_rows, n_labels) < 0 or not n_rows + n_labels:
            return None
        if plot.get("segments") is not None:
            segments = tuple((int(row), int(sample), int(length)) for row, sample, length in plot["segments"])
            return Picture(n_rows, n_labels, segments=segments)
        raster = [str(line) for line in plot["raster"]]
        columns = len(raster[0])
        cells = tuple(
            (column, len(raster) - 1 - above, int(level))
            for above, line in enumerate(raster)
            for column, level in enumerate(line[:columns])
            if level != "0"
        )
        return Picture(n_rows, n_labels, cells=cells, columns=columns, lines=len(raster))
    except (KeyError, TypeError, ValueError, IndexError):
        # A report from another program: a page without a plot is better than no page.
        return None


def described(drawn: Picture) -> str:
    """The plot in words, for screen readers."""
    rows, samples = plural(drawn.n_rows, "delivered row"), plural(drawn.n_labels, "sample")
    axes = f"Alignment plot, {rows} on the x axis, {samples} on the y axis."
    if drawn.columns:
        fields = f"{len(drawn.cells):,} of {drawn.columns * drawn.lines:,} fields"
        return f"{axes} There are too many runs to draw each: the rows fill {fields}, darker for more rows."
    right = sum(length for row, sample, length in drawn.placed if row == sample)
    wrong = sum(length for row, sample, length in drawn.placed if row != sample)
    runs = sum(1 for _ in drawn.placed)
    beside = sum(length for *_, length in drawn.unplaced)
    rest = f"; {beside:,} foreign or unknown" if beside else ""
    return f"{axes} {plural(right, 'row')} on the diagonal, {wrong:,} off it, in {plural(runs, 'run')}{rest}."


def text_plot(drawn: Picture, width: int, height: int) -> list[str]:
    """The plot as text, top line first: ``o`` right, ``x`` wrong, ``.`` expected position, ``#`` field of a raster."""
    grid = [[" "] * width for _ in range(height)]
    for column in range(width):
        # Rows beyond the last label have no expected position.
        sample = (2 * column + 1) * drawn.width // (2 * width)
        if sample < drawn.n_labels:
            grid[sample * height // drawn.height][column] = EXPECTED
    for row, sample, mark in _marks(drawn, 2 * (width + height)):
        line, column = sample * height // drawn.height, row * width // drawn.width
        # A right row must not hide a wrong one.
        if 0 <= line < height and 0 <= column < width and grid[line][column] != WRONG:
            grid[line][column] = mark
    return ["".join(line).rstrip() for line in reversed(grid)]


def _marks(drawn: Picture, steps: int) -> Iterator[tuple[int, int, str]]:
    """Row, sample and mark of points, dense enough to draw each run as a line."""
    for row, sample, length in drawn.placed:
        mark = RIGHT if row == sample else WRONG
        for step in range(points := min(length, steps)):
            ahead = step * length // points
            yield row + ahead, sample + ahead, mark
    for column, line, _ in drawn.cells:
        yield column * drawn.n_rows // drawn.columns, line * drawn.n_labels // drawn.lines, FIELD
