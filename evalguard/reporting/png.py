"""The alignment plot as a PNG, for viewers without SVG: the same as ``svg.to_svg``, drawn by matplotlib."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from evalguard.core.report import Report
from evalguard.errors import ConfigError
from evalguard.reporting import words
from evalguard.reporting.plot import Picture, Segment, picture
from evalguard.reporting.svg import MAX_DOTS, SIDE, compact, ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colours of the light page.
INK, RULE, DIAGONAL, RIGHT, WRONG, FIELD, VOID = (
    "#1d1d1b", "#c9c7c0", "#8b8982", "#1a6b46", "#b3261e", "#7a4b9a", "#f3f2ee",
)  # fmt: skip
INCHES, DOTS_PER_INCH = 6, 160


def to_png(report: Report) -> bytes:
    """The alignment plot as a PNG file; empty if there is nothing to plot.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    drawn = picture(words.plain(report).plot)
    if drawn is None:
        return b""
    try:
        # Not pyplot, which has global state and may open a window or change the caller's backend.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        msg = f"a PNG needs matplotlib, which is not installed ({error}); pip install matplotlib, or write an SVG"
        raise ConfigError(msg) from error

    figure = Figure(figsize=(INCHES, INCHES), dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.add_subplot()
    _frame(axes, drawn)
    _raster(axes, drawn)
    # A raster may cover the whole plot, so the diagonal is on top; it must not cross out runs.
    end = drawn.n_labels
    axes.plot([0, end], [0, end], color=DIAGONAL, linewidth=1, linestyle=":", zorder=3 if drawn.columns else 1)
    _runs(axes, drawn)
    file = io.BytesIO()
    # Without the version of matplotlib in the metadata, the same report gives the same bytes.
    FigureCanvasAgg(figure)
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _frame(axes: Axes, drawn: Picture) -> None:
    axes.set(xlim=(0, drawn.width), ylim=(0, drawn.height), xlabel="row delivered", ylabel="sample")
    for axis, count in ((axes.xaxis, drawn.width), (axes.yaxis, drawn.n_labels)):
        axis.set_ticks([tick + 0.5 for tick in ticks(count)], [compact(tick) for tick in ticks(count)])
    axes.tick_params(colors=INK, length=0)
    axes.grid(color=RULE, linewidth=0.4)
    axes.set_axisbelow(True)
    axes.spines[:].set_color(RULE)
    both = min(drawn.n_rows, drawn.n_labels)
    if both < drawn.width:
        # Labels without a row, or rows without a label.
        axes.axvspan(both, drawn.width, color=VOID, zorder=0, linewidth=0)


def _raster(axes: Axes, drawn: Picture) -> None:
    if not drawn.columns:
        return
    from matplotlib.colors import LinearSegmentedColormap

    fields = np.zeros((drawn.lines, drawn.columns))
    for column, line, level in drawn.cells:
        fields[line, column] = 0.2 + 0.08 * level
    colours = LinearSegmentedColormap.from_list("field", ["#ffffff", FIELD])
    extent = (0, drawn.n_rows, 0, drawn.n_labels)
    shown = np.ma.masked_equal(fields, 0)
    axes.imshow(
        shown, colours, origin="lower", extent=extent, aspect="auto", vmin=0, vmax=1, interpolation="none", zorder=2
    )


def _runs(axes: Axes, drawn: Picture) -> None:
    for name, segments in drawn.by_side:
        colour = {"right": RIGHT, "wrong": WRONG}[name]
        _lines(axes, colour, segments)
        if drawn.width <= MAX_DOTS:
            rows = [row + k for row, _, length in segments for k in range(length)]
            samples = [sample + k for _, sample, length in segments for k in range(length)]
            axes.scatter([row + 0.5 for row in rows], [s + 0.5 for s in samples], s=22, color=colour, zorder=4)
    specks = drawn.specks(SIDE)
    axes.scatter(
        [row + 0.5 for row, *_ in specks], [sample + 0.5 for _, sample, _ in specks], s=22, color=WRONG, zorder=5
    )
    for row, _, length in drawn.unplaced:
        axes.plot([row, row + length], [0, 0], color=WRONG, linewidth=7, solid_capstyle="butt", zorder=4, clip_on=False)


def _lines(axes: Axes, colour: str, segments: Iterable[Segment]) -> None:
    from matplotlib.collections import LineCollection

    # From the centre of the first row to that of the last: a single row is a dot, drawn by its round caps.
    lines = [
        [(row + 0.5, sample + 0.5), (row + length - 0.49, sample + length - 0.49)] for row, sample, length in segments
    ]
    axes.add_collection(LineCollection(lines, colors=colour, linewidths=2, capstyle="round", zorder=4))
