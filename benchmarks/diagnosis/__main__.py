"""``python -m benchmarks.diagnosis``: how often the first cause is right for each kind of fault.

The table shows what was named instead. Exit status 0 if the first cause is right in 97 % of all evaluations and in
85 % of each kind, and no cause that is wrong is certain.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.diagnosis.kinds import KINDS
from benchmarks.diagnosis.measure import Row, measure, models
from benchmarks.quiet import load_frameworks

LEAST_RIGHT, LEAST_IN_A_KIND = 0.97, 0.85


def line_of(row: Row) -> str:
    """One line of the table."""
    named = ", ".join(f"{cause[:70]} ×{count}" for cause, count in row.instead.most_common(4))
    numbers = f" (instances {', '.join(map(str, row.examples[:5]))})" if row.examples else ""
    counts = f"{row.instances:9} {row.right:6} {row.certain:8} {row.certain_wrong:14}"
    return f"{row.kind.name:28} {counts}  {named}{numbers}"


def verdict(rows: Sequence[Row]) -> tuple[str, bool]:
    """The closing line, and whether the budgets hold."""
    total, right, wrong = (sum(getattr(row, name) for row in rows) for name in ("instances", "right", "certain_wrong"))
    low = [row.kind.name for row in rows if row.right < LEAST_IN_A_KIND * row.instances]
    holds = right >= LEAST_RIGHT * total and not low and not wrong
    text = f"first cause right in {right} of {total} ({right / total:.1%}, at least {LEAST_RIGHT:.0%}), "
    text += f"certain and wrong: {wrong}"
    if low:
        text += f"; below {LEAST_IN_A_KIND:.0%}: {', '.join(low)}"
    return f"{text}: {'holds' if holds else 'BROKEN'}", holds


def main(given: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diagnosis", description=__doc__)
    parser.add_argument("--instances", type=int, default=20, help="of each kind (default: 20)")
    parser.add_argument("--only", default="", help="names of kinds, comma-separated")
    arguments = parser.parse_args(given)
    only = {name for name in arguments.only.split(",") if name}
    unknown = only - {kind.name for kind in KINDS}
    if unknown:
        parser.error(f"expected names of kinds, found {', '.join(sorted(unknown))}")
    load_frameworks()
    known, rows = models(), []
    print(f"{'kind':28} {'instances':>9} {'right':>6} {'certain':>8} {'certain, wrong':>14}  named instead")
    for kind in KINDS:
        if only and kind.name not in only:
            continue
        rows.append(measure(kind, arguments.instances, known))
        print(line_of(rows[-1]), flush=True)
    text, holds = verdict(rows)
    print(f"\n{text}")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
