"""The run's note: evalguard writes three lines between hidden markers, inside the user's own text."""

from __future__ import annotations

import re
from collections.abc import Mapping

from evalguard.core.report_counts import counted
from evalguard.reporting.escape import markdown
from evalguard.tracking.slots import FOLDER, Slot, worst

NOTE_TAG = "mlflow.note.content"
BEGIN, END = "<!-- evalguard:begin -->", "<!-- evalguard:end -->"
# Three lines are visible without scrolling; the names of further evaluations are in their slots.
MAX_OTHERS = 3


def block(present: Mapping[str, Slot], run_address: str, page: str) -> str:
    """The three lines: verdict, counts and cause; labels and digest; link to the report.

    Args:
        present: The evaluations of the run.
        run_address: ``#/experiments/E/runs/R``; the dashboard opens it in the same page.
        page: File of the report to open first.
    """
    chosen = worst(present)
    labels = chosen["labels"]
    # Labels from memory have only the default name.
    name = f": {markdown(chosen['labels_name'], 60)}" if chosen["labels_name"] not in {"", "labels"} else ""
    number = counted(chosen.counts.get("n_labels"), "label")
    about = f"{number}{name}, digest {markdown(labels)}" if labels else "no labels"
    report = f"{run_address}/artifacts/{FOLDER}/{chosen.name}/{page}"
    cause = f", cause: {markdown(chosen['cause'], 90)}" if chosen["cause"] else ""
    counts = f"{_counts_text(chosen)}{cause}{_others(present)}"
    lines = [
        f"**evalguard: {markdown(chosen['verdict'])}**, {markdown(chosen.name)}{counts}",
        about,
        f"[Report]({report})",
    ]
    # Markdown breaks a line at two trailing spaces.
    return "  \n".join(lines) if chosen["record"] and labels else lines[0]


def _counts_text(slot: Slot) -> str:
    counts = slot.counts
    if not counts:
        return f" ({markdown(slot['reason'])})" if slot["reason"] else ""
    wrong = [f"{markdown(slot['reason'])}"] if slot["reason"] else []
    wrong += [f"{counts['misaligned']:,} misaligned"] if counts.get("misaligned") else []
    rows = [counted(counts["n_predictions"], "prediction")] if "n_predictions" in counts else []
    return f" ({', '.join([*rows, *wrong, 'proof ' + markdown(slot['proof'])])})"


def _others(present: Mapping[str, Slot]) -> str:
    chosen = worst(present)
    rest = [slot for slot in present.values() if slot.name != chosen.name]
    if not rest:
        return ""
    shown = [f"{markdown(slot.name)} {markdown(slot['verdict'])}" for slot in rest[:MAX_OTHERS]]
    more = [f"{len(rest) - MAX_OTHERS:,} more"] if len(rest) > MAX_OTHERS else []
    return "; also " + ", ".join(shown + more)


def with_block(text: str, ours: str) -> str:
    """The user's note with evalguard's block, at the position where the block was before."""
    framed = f"{BEGIN}\n{ours}\n{END}"
    pattern = re.compile(re.escape(BEGIN) + r".*?" + re.escape(END), re.DOTALL)
    if pattern.search(text):
        # A function, because `re.sub` reads backslashes in a replacement text as group references.
        return pattern.sub(lambda _: framed, text, count=1)
    return f"{text}\n\n{framed}" if text else framed
