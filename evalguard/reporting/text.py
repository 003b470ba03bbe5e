"""The report for a terminal: at most 25 lines, readable without colour."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from evalguard.core.findings import Status
from evalguard.core.policy import Verdict
from evalguard.core.report import Report
from evalguard.core.report_counts import NOT_KNOWN, counted, grouped
from evalguard.reporting import words
from evalguard.reporting.escape import visible
from evalguard.reporting.plot import EXPECTED, FIELD, RIGHT, WRONG, picture, text_plot

if TYPE_CHECKING:
    from rich.console import Console

MAX_LINES = 25
MAX_ROWS = 3
MIN_WIDTH = 40
PLAIN_WIDTH = 100
LABEL_WIDTH = 12
PLOT_HEIGHTS = range(8, 3, -1)
PLOT_WIDTH = 36
STYLES = {
    Verdict.PASS: "bold green",
    Verdict.REPAIRED: "bold cyan",
    Verdict.UNPROVEN: "bold yellow",
    Verdict.FAIL: "bold red",
}


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that belong together.

    Attributes:
        rank: Blocks with a lower rank get their lines first.
        most: Maximum number of lines.
        label: Word in the margin.
        items: Text; each item starts a new line.
        style: Style of the text, for rich.
    """

    rank: int
    most: int
    label: str
    items: tuple[str, ...]
    style: str = ""


def to_text(report: Report, *, color: bool = False, width: int = PLAIN_WIDTH) -> str:
    """The report as text, ending in a newline.

    Args:
        report: What to show.
        color: Emit ANSI colours.
        width: Columns to wrap at, 40 or more.
    """
    from rich.console import Console
    from rich.text import Text

    report, width = words.plain(report), max(width, MIN_WIDTH)
    stream = io.StringIO()
    console = Console(
        file=stream, width=width, force_terminal=color, no_color=not color, color_system="standard" if color else None
    )
    found = list(blocks(report))
    wrapped = [_wrapped(block, console) for block in found]
    granted = _granted(found, [len(lines) for lines in wrapped])
    for block, lines, number in zip(found, wrapped, granted, strict=True):
        for line in _cut(lines, number, width):
            console.print(Text(line, style=block.style), soft_wrap=True, highlight=False)
    for line in _plot(report, width, MAX_LINES - sum(granted)):
        console.print(Text(line), soft_wrap=True, highlight=False)
    return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().splitlines())


def print_report(report: Report, file: TextIO | None = None) -> None:
    """Print the report: in colour and at the terminal's width, or as plain text to anything else."""
    from rich.console import Console

    stream = file or sys.stdout
    console = Console(file=stream)
    terminal = console.is_terminal
    text = to_text(report, color=terminal and not console.no_color, width=console.width if terminal else PLAIN_WIDTH)
    # A key that the stream's encoding cannot write must not hide the verdict.
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding))


def _wrapped(block: Block, console: Console) -> list[str]:
    """Lines of the console's width: the label in the margin, the text beside it."""
    from rich.text import Text

    width = console.width - (LABEL_WIDTH if block.label else 0)
    # rich counts terminal cells: a Chinese character takes two.
    lines = [
        line.plain.rstrip()
        for item in block.items
        for line in Text(item).wrap(console, width, overflow="fold", tab_size=1)
    ]
    if not block.label:
        return lines
    margins = [f"  {block.label:<{LABEL_WIDTH - 2}}", *[" " * LABEL_WIDTH] * len(lines)]
    return [margin + line for margin, line in zip(margins, lines, strict=False)]


def _cut(lines: list[str], number: int, width: int) -> list[str]:
    """The first ``number`` lines; the last one ends in ``…`` if there are more."""
    if number in {0, len(lines)}:
        return lines[:number]
    from rich.cells import set_cell_size

    return [*lines[: number - 1], f"{set_cell_size(lines[number - 1], width - 2).rstrip()} …"]


def _granted(found: list[Block], wanted: list[int]) -> list[int]:
    """Number of lines per block, so that all fit: the verdict, the findings and the fix come first."""
    left, granted = MAX_LINES, [0] * len(found)
    for number in sorted(range(len(found)), key=lambda number: found[number].rank):
        granted[number] = min(left, wanted[number], found[number].most)
        left -= granted[number]
    return granted


def _plot(report: Report, width: int, max_lines: int) -> list[str]:
    """The alignment plot in the lines that are left, if there are findings."""
    drawn = picture(report.plot) if report.findings else None
    height = next((height for height in PLOT_HEIGHTS if height + 1 <= max_lines), 0)
    if drawn is None or not height:
        return []
    grid = text_plot(drawn, min(PLOT_WIDTH, width - LABEL_WIDTH - 3), height)
    lines = [f"{'' if number else '  alignment':<{LABEL_WIDTH}}|{line}" for number, line in enumerate(grid)]
    marks = f"{FIELD} rows" if drawn.columns else f"{RIGHT} right, {WRONG} wrong"
    legend = [f"x: row, y: sample; {marks}, {EXPECTED} expected", f"{marks}, {EXPECTED} empty"]
    fitting = next(line for line in legend if len(line) <= width - LABEL_WIDTH - 3 or line is legend[-1])
    return [*lines, f"{' ' * LABEL_WIDTH}+- {fitting}"]


def blocks(report: Report) -> Iterator[Block]:
    """The blocks of the report, in reading order."""
    yield Block(0, 5, "", (f"{visible(report.name)}: {report.in_one_line}",), STYLES[report.verdict])
    yield from _facts(report)
    if report.findings:
        yield Block(1, 6, "found", tuple(visible(finding.message, 300) for finding in report.findings))
    if report.wrong_rows:
        yield Block(5, 2 * MAX_ROWS + 1, "rows", _rows(report))
    yield from _causes(report)
    yield from _notes(report)


def _facts(report: Report) -> Iterator[Block]:
    counts, labels = report.counts, report.labels
    source = words.source(report)
    called = f"{report.method} over {source}" if source else report.method
    called += f", {caller}" if (caller := words.caller(report)) else ""
    if model := words.model(report):
        yield Block(6, 2, "model", (visible(model, 300),))
    yield Block(6, 2, "proof", (visible(f"{report.proof}{words.by_index(report)}; {called}"),))
    digest = f", digest {visible(labels['digest'])}" if labels.get("digest") else ""
    named = visible(words.labels(report), 200) + digest
    about = (grouped(counts["n_labels"]) + f" ({named})" * bool(named),)
    yield Block(6, 2, "labels", about + words.classes(report, visible))
    yield Block(7, 3, "counts", (_counts(report),))
    links = [link for link in report.chain if link.status is not Status.NOT_APPLICABLE]
    if links:
        yield Block(10, 1, "chain", (", ".join(f"{link.link} {link.status}" for link in links),))
    # Beside a fault it does not matter what else is assumed.
    declared = tuple(visible(link.basis, 300) for link in report.chain if link.status is Status.DECLARED)
    if declared and not report.findings:
        yield Block(11, len(declared), "assumed", declared)


def _counts(report: Report) -> str:
    """``100 predictions: 98 misaligned, 97 reordered; 0 missing, duplicate, foreign; – label disagreements``."""
    counts = report.counts
    names = [name for name in (*words.WRONG, *words.NEUTRAL) if counts[name]]
    parts = [", ".join(f"{words.count(report, name)} {words.count_name(name)}" for name in names)] if names else []
    for number in (0, None):
        names = [words.count_name(name) for name in words.WRONG if counts[name] == number]
        parts += [f"{grouped(number)} {', '.join(names)}"] if names else []
    # On a page without a legend a dash alone could be a minus.
    dash = f" ({NOT_KNOWN}: not determined)" if None in (counts[name] for name in words.WRONG) else ""
    return f"{counted(counts['n_predictions'], 'prediction')}: {'; '.join(parts)}{dash}"


def _rows(report: Report) -> tuple[str, ...]:
    rows = tuple(words.wrong_row(row, visible) for row in report.wrong_rows[:MAX_ROWS])
    more = words.n_wrong(report) - MAX_ROWS
    return (*rows, f"… and {more:,} more") if more > 0 else rows


def _causes(report: Report) -> Iterator[Block]:
    for cause in report.diagnosis[:1]:
        certainty = "" if words.certainty(cause) != "likely" else " (likely)"
        yield Block(2, 3, "cause", (f"{visible(cause.cause)}{certainty}: {visible(cause.evidence, 300)}",))
        remedy = tuple(visible(line, 300) for line in cause.remedy.splitlines())
        yield Block(3, 4, "fix", remedy, "bold")
    others = [visible(cause.cause) for cause in report.diagnosis[1:]]
    if others:
        yield Block(13, 1, "or else", ("; ".join(others),))


def _notes(report: Report) -> Iterator[Block]:
    metrics = [
        f"{visible(metric)}: {visible(', '.join(' '.join(pair).strip() for pair in pairs), 300)}"
        for metric, pairs in words.impact(report)
    ]
    if metrics:
        yield Block(4, 3, "metric", tuple(metrics))
    if report.verdict is Verdict.REPAIRED:
        yield Block(3, 3, "score", (visible(words.lead(report), 300),), "bold")
    if report.repair and report.repair.get("refused"):
        yield Block(8, 2, "repair", (f"refused: {visible(report.repair['refused'], 300)}",))
    if report.hazards:
        yield Block(9, 4, "hazard", tuple(visible(hazard, 400) for hazard in report.hazards), "yellow")
    if report.not_proven:
        yield Block(11, 5, "not shown", tuple(visible(note, 400) for note in report.not_proven))
    if report.advice:
        yield Block(3, 3, "to do", (visible(report.advice, 300),), "bold")
