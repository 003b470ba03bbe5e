"""The report for a terminal: at most 25 lines, readable without colour."""

from __future__ import annotations

import io
import sys
import textwrap
from collections.abc import Iterator
from typing import Any, TextIO

from evalguard.core.policy import Verdict
from evalguard.core.report import Report
from evalguard.render.escape import visible

MAX_LINES = 25
MAX_ROWS = 4
PLAIN_WIDTH = 100
INDENT = " " * 12
STYLES = {
    Verdict.PASS: "bold green",
    Verdict.REPAIRED: "bold cyan",
    Verdict.UNPROVEN: "bold yellow",
    Verdict.FAIL: "bold red",
}

Line = tuple[str, str]


def to_text(report: Report, *, color: bool = False, width: int = PLAIN_WIDTH) -> str:
    """The report as text, ending in a newline.

    Args:
        report: What to show.
        color: Emit ANSI colours.
        width: Columns to wrap at.
    """
    from rich.console import Console
    from rich.text import Text

    stream = io.StringIO()
    console = Console(
        file=stream, width=width, force_terminal=color, no_color=not color, color_system="standard" if color else None
    )
    for text, style in lines(report, width):
        # Wrapped here and not by the console, so that what follows stands under what it belongs to.
        for part in textwrap.wrap(text, width, subsequent_indent=INDENT, break_on_hyphens=False):
            console.print(Text(part, style=style), soft_wrap=True, highlight=False)
    rendered = [line.rstrip() for line in stream.getvalue().splitlines()]
    if len(rendered) > MAX_LINES:
        rendered = [*rendered[: MAX_LINES - 1], "  … more in report.json"]
    return "\n".join(rendered) + "\n"


def print_report(report: Report, file: TextIO | None = None) -> None:
    """Print to a terminal in colour and at its width, or plainly to anything else."""
    stream = file or sys.stdout
    from rich.console import Console

    console = Console(file=stream)
    terminal = console.is_terminal
    stream.write(
        to_text(report, color=terminal and not console.no_color, width=console.width if terminal else PLAIN_WIDTH)
    )


def lines(report: Report, width: int = PLAIN_WIDTH) -> Iterator[Line]:
    """Each line with its style, most important first."""
    yield (f"{visible(report.name)}: {visible(report.headline, 400)}", STYLES[report.verdict])
    yield from _facts(report)
    for finding in report.findings:
        yield (f"  found     {visible(finding['message'], 300)}", "")
    for number, row in enumerate(report.wrong_rows[:MAX_ROWS]):
        yield (("  rows      " if number == 0 else "            ") + wrong_row(row), "")
    more = report.counts["misaligned"] - MAX_ROWS
    if report.wrong_rows and more > 0:
        yield (f"            … and {more:,} more", "dim")
    for cause in report.diagnosis[:1]:
        sure = "" if cause.certain else " (likely)"
        yield (f"  cause     {visible(cause.cause)}{sure}: {visible(cause.evidence, 300)}", "")
        for number, remedy in enumerate(cause.remedy.splitlines()[:4]):
            yield (("  cure      " if number == 0 else "            ") + visible(remedy, 300), "bold")
    yield from _notes(report)


def _facts(report: Report) -> Iterator[Line]:
    counts, labels = report.counts, report.labels
    named = [visible(report.source.get(part, "")) for part in ("kind", "type")]
    source = " ".join(dict.fromkeys(part for part in named if part != "unknown")).strip()
    about = f"{report.method} over {source}" if source else report.method
    yield (f"  proof     {report.proof}; {about}", "")
    digest = f", digest {labels['digest']}" if labels.get("digest") else ""
    yield (f"  labels    {counts['n_labels']:,} ({visible(labels.get('name', 'none'))}{digest})", "")
    numbers = ("n_predictions", "missing", "duplicate", "foreign", "reordered", "misaligned", "label_disagreements")
    shown = [f"{counts[name]:,} {name.removeprefix('n_').replace('_', ' ')}" for name in numbers]
    shown += [f"{counts[name]:,} {name.replace('_', ' ')}" for name in ("padding", "equal_samples") if counts[name]]
    yield (f"  counts    {', '.join(shown)}", "")
    wrong = [f"{stage} {state}" for stage, state in report.stages.items() if state != "unknown"]
    if report.findings and wrong:
        yield (f"  stages    {', '.join(wrong)}", "")


def _notes(report: Report) -> Iterator[Line]:
    impact = report.impact or {}
    for name, figure in list(impact.items())[:3]:
        yield (f"  metric    {visible(name)}: {visible(figure, 300)}", "")
    if report.repair and report.repair.get("refused"):
        yield (f"  repair    refused: {visible(report.repair['refused'], 300)}", "")
    for hazard in report.hazards:
        yield (f"  hazard    {visible(hazard, 400)}", "yellow")
    for note in report.not_proven:
        yield (f"  not shown {visible(note, 400)}", "")
    if report.advice:
        yield (f"  to do     {visible(report.advice, 300)}", "bold")


def wrong_row(row: Any) -> str:
    """``row 7: prediction of sample 12, scored against label 7``, with keys where they are known."""
    sample, label = row["sample"], row["label"]
    carried = f" ({visible(row['sample_key'])})" if "sample_key" in row else ""
    wanted = f" ({visible(row['label_key'])})" if "label_key" in row else ""
    if sample is not None:
        what = f"prediction of sample {sample}{carried}"
    elif carried:
        what = f"prediction of a row that is no labelled sample{carried}"
    else:
        what = "prediction"
    where = "beyond the last label" if label is None else f"scored against label {label}{wanted}"
    return f"row {row['row']}: {what}, {where}"
