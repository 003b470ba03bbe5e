"""``python -m benchmarks.plot RESULTS.json PICTURE.svg``: ratios by source and proof, as ``make bench`` wrote them.

A panel for each model, a row for each engine, method and source, a dot for each
proof with the quartiles of its pairs; a short line where the budget ends.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

Figure = Mapping[str, Any]

# Distinguishable in grey as well as in colour: the palette of Okabe and Ito, from light to dark.
COLOURS = {"transport": "#56b4e9", "labels": "#d55e00", "content": "#000000"}
LEFT, PANEL, GAP, LINE, TOP, FOOT, RIGHT = 210, 260, 40, 15, 58, 46, 24
STEPS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


def main(argv: list[str] | None = None) -> int:
    """Draw one picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plot", description=__doc__)
    parser.add_argument("results", type=Path, help="what python -m benchmarks wrote")
    parser.add_argument("picture", type=Path, help="SVG file to write")
    arguments = parser.parse_args(argv)
    arguments.picture.write_text(to_svg(json.loads(arguments.results.read_text())["rows"]))
    return 0


def to_svg(rows: Sequence[Figure]) -> str:
    """The picture of all rows that are ratios of guarded calls with one of the three proofs."""
    drawn = [row for row in rows if row.get("proof") in COLOURS]
    models = list(dict.fromkeys(row["model"] for row in drawn))
    places = list(dict.fromkeys(_place(row) for row in drawn))
    width = LEFT + len(models) * (PANEL + GAP) - GAP + RIGHT
    height = TOP + len(places) * LINE + FOOT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="11" fill="#222">',
        "<title>Guarded over bare calls, by model, method, source and proof</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        *_legend(),
        *_names(places),
    ]
    for number, model in enumerate(models):
        own = [row for row in drawn if row["model"] == model]
        parts += _panel(model, own, places, LEFT + number * (PANEL + GAP))
    return "\n".join([*parts, "</svg>", ""])


def _place(row: Figure) -> tuple[str, str, str]:
    return row["engine"], row["method"], row["source"]


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}"{more}>{escape(text)}</text>'


def _legend() -> Iterator[str]:
    yield _text(8, 18, "guarded / bare, median and quartiles of pairs", ' font-weight="bold"')
    for number, (proof, colour) in enumerate(COLOURS.items()):
        x = LEFT + 100 + number * 100
        yield f'<circle cx="{x}" cy="14" r="3.5" fill="{colour}"/>'
        yield _text(x + 8, 18, proof)
    x = LEFT + 100 + len(COLOURS) * 100
    yield f'<path d="M{x} 8v12" stroke="#b00" stroke-width="2"/>'
    yield _text(x + 8, 18, "budget")


def _names(places: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    before: tuple[str, ...] = ()
    for number, (*group, source) in enumerate(places):
        y = TOP + number * LINE + 11
        if tuple(group) != before:
            yield _text(8, y, " ".join(group))
            before = tuple(group)
        yield _text(LEFT - 8, y, source, ' text-anchor="end"')


def _panel(model: str, rows: Sequence[Figure], places: Sequence[tuple[str, str, str]], left: int) -> Iterator[str]:
    """One model with a separate axis, since a conv net's ratios are hundredths of the no-op model's."""
    ends = [row[end] for row in rows for end in ("low", "high", "ratio", "budget") if row[end] is not None]
    step = next((step for step in STEPS if (max(ends) - min(1.0, *ends)) / step <= 6), STEPS[-1])
    first, last = int(min(1.0, *ends) // step), int(-(-max(1.0 + step, *ends) // step))
    low, high = first * step, last * step

    def across(ratio: float) -> float:
        return round(left + (ratio - low) / (high - low) * PANEL, 1)

    bottom = TOP + len(places) * LINE
    yield _text(left + PANEL / 2, 40, model, ' text-anchor="middle" font-weight="bold"')
    for number in range(first, last + 1):
        x = across(number * step)
        bare = abs(number * step - 1) < step / 2
        yield f'<path d="M{x:g} {TOP - 4}V{bottom}" stroke="{"#888" if bare else "#e4e4e4"}"/>'
        yield _text(x, bottom + 14, f"{number * step:.3f}".rstrip("0").rstrip("."), ' text-anchor="middle"')
    for number, (above, below) in enumerate(pairwise(places), 1):
        if above[:2] != below[:2]:
            yield f'<path d="M{left} {TOP + number * LINE}h{PANEL}" stroke="#e4e4e4"/>'
    proofs = list(COLOURS)
    for row in rows:
        y = TOP + places.index(_place(row)) * LINE + 3.5 + 4 * proofs.index(row["proof"])
        colour = COLOURS[row["proof"]]
        yield f'<path d="M{across(row["low"]):g} {y:g}H{across(row["high"]):g}" stroke="{colour}"/>'
        said = escape(f"{row['what']}: {row['ratio']:.3f} ({row['low']:.3f} to {row['high']:.3f})")
        x = across(row["ratio"])
        yield f'<circle cx="{x:g}" cy="{y:g}" r="2.5" fill="{colour}"><title>{said}</title></circle>'
        if row["budget"] is not None:
            x, top = across(row["budget"]), TOP + places.index(_place(row)) * LINE + 1
            yield f'<path d="M{x:g} {top}v{LINE - 2}" stroke="#b00" stroke-width="2"/>'


if __name__ == "__main__":
    sys.exit(main())
