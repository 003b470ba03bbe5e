"""The alignment plot: delivered row across, sample up; the diagonal is right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Segment = tuple[int, int, int]
Cell = tuple[int, int, int]

# Marks of the plot in characters; FIELD is of a raster, which does not tell right rows from wrong ones.
RIGHT, WRONG, FIELD, EXPECTED = "o", "x", "#", "."


@dataclass(frozen=True, slots=True)
class Picture:
    """``report.plot`` as the two forms of it are drawn.

    Attributes:
        n_rows: Delivered rows.
        n_labels: Labelled samples.
        segments: ``(row, sample, length)`` of the runs; sample -1: not known,
            -2: foreign.
        cells: ``(column, line, level)`` of a raster, lines from the lowest
            samples up, levels 1 to 9.
        columns: Columns of the raster, 0 if there is none.
        lines: Its lines.
    """

    n_rows: int
    n_labels: int
    segments: tuple[Segment, ...] = ()
    cells: tuple[Cell, ...] = ()
    columns: int = 0
    lines: int = 0

    @property
    def width(self) -> int:
        """Rows along the horizontal axis: labels without a row have their place there too."""
        return max(self.n_rows, self.n_labels, 1)

    @property
    def height(self) -> int:
        """Samples along the vertical axis."""
        return max(self.n_labels, 1)

    @property
    def placed(self) -> Iterator[Segment]:
        """Runs of labelled samples."""
        return (segment for segment in self.segments if segment[1] >= 0)

    @property
    def unplaced(self) -> Iterator[Segment]:
        """Runs of rows that are no labelled sample, or not known to be one."""
        return (segment for segment in self.segments if segment[1] < 0)


def picture(plot: Mapping[str, Any] | None) -> Picture | None:
    """The plot of a report; None where there is nothing to draw, or not in a form that is known here."""
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
        # A report of another hand: no plot rather than no page.
        return None


def described(drawn: Picture) -> str:
    """What the plot shows, for those who do not see it."""
    axes = f"Alignment plot, {drawn.n_rows:,} delivered rows across, {drawn.n_labels:,} samples up."
    if drawn.columns:
        fields = f"{len(drawn.cells):,} of {drawn.columns * drawn.lines:,} fields"
        return f"{axes} Too many runs to draw each: rows are spread over {fields}, darker where there are more."
    right = sum(length for row, sample, length in drawn.placed if row == sample)
    wrong = sum(length for row, sample, length in drawn.placed if row != sample)
    runs = sum(1 for _ in drawn.placed)
    beside = sum(length for *_, length in drawn.unplaced)
    rest = f", {beside:,} are no labelled sample or not known to be one" if beside else ""
    return f"{axes} {right:,} rows lie on the diagonal, {wrong:,} beside it, in {runs:,} runs{rest}."


def text_plot(drawn: Picture, width: int, height: int) -> list[str]:
    """The plot in characters, top line first: ``o`` right, ``x`` wrong, ``.`` where a row should be.

    A raster's fields are ``#``.
    """
    grid = [[" "] * width for _ in range(height)]
    for column in range(width):
        # Rows beyond the last label have no right place.
        sample = (2 * column + 1) * drawn.width // (2 * width)
        if sample < drawn.n_labels:
            grid[sample * height // drawn.height][column] = EXPECTED
    for row, sample, mark in _marks(drawn, 2 * (width + height)):
        line, column = sample * height // drawn.height, row * width // drawn.width
        # A wrong row is not hidden by a right one.
        if 0 <= line < height and 0 <= column < width and grid[line][column] != WRONG:
            grid[line][column] = mark
    return ["".join(line).rstrip() for line in reversed(grid)]


def _marks(drawn: Picture, steps: int) -> Iterator[tuple[int, int, str]]:
    """Row, sample and mark of points dense enough that each run is a line."""
    for row, sample, length in drawn.placed:
        mark = RIGHT if row == sample else WRONG
        for step in range(points := min(length, steps)):
            ahead = step * length // points
            yield row + ahead, sample + ahead, mark
    for column, line, _ in drawn.cells:
        yield column * drawn.n_rows // drawn.columns, line * drawn.n_labels // drawn.lines, FIELD
