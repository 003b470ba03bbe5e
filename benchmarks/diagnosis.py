"""``python -m benchmarks.diagnosis``: which cause is named first for each fault, as a table of confusion.

The faults are those of the signature table, made at sizes from 10 to 10^5 rows
and three batch sizes, with and without the fact that confirms the cause.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from evalguard.core.diagnosis import diagnose
from tests.core.signatures import BATCHES, SIGNATURES, SIZES, Maker, cases

LEAST_RIGHT = 0.95


@dataclass(slots=True)
class Row:
    """What became of one fault.

    Attributes:
        fault: Name of its maker.
        first: How often each cause was named first.
        right: Cases in which that was the right one.
        certain: Cases in which the right one was certain.
        told: Cases that held the confirming fact.
        wrong_certain: Wrong causes that were called certain.
        seconds: Longest time for one case.
    """

    fault: str
    first: Counter[str] = field(default_factory=Counter)
    right: int = 0
    certain: int = 0
    told: int = 0
    wrong_certain: int = 0
    seconds: float = 0.0


def measure(maker: Maker, sizes: tuple[int, ...] = SIZES) -> Row:
    """Diagnose all cases of one fault."""
    expected, row = SIGNATURES[maker][0], Row(maker.__name__)
    for case in cases(maker, sizes, BATCHES):
        start = time.perf_counter()
        causes = diagnose(case.trace, case.samples, case.labels)
        row.seconds = max(row.seconds, time.perf_counter() - start)
        right = causes[0].cause.startswith(expected)
        row.first[causes[0].cause.split(":")[0]] += 1
        row.right += right
        row.certain += right and causes[0].certain
        row.told += case.certain
        row.wrong_certain += sum(cause.certain and not cause.cause.startswith(expected) for cause in causes)
    return row


def main() -> int:
    """Print the table; exit 0 if enough are right and no wrong cause is certain."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diagnosis", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="up to 1,000 rows")
    sizes = tuple(size for size in SIZES if size <= 1000) if parser.parse_args().quick else SIZES
    print(f"{'fault':20} {'cases':>5} {'right':>6} {'certain':>12} {'slowest':>8}  named first")
    rows = []
    for maker in SIGNATURES:
        row = measure(maker, sizes)
        rows.append(row)
        total = sum(row.first.values())
        named = ", ".join(f"{cause[:52]} ×{count}" for cause, count in row.first.most_common())
        sure = f"{row.certain} of {row.told}"
        print(f"{row.fault:20} {total:5} {row.right:6} {sure:>12} {row.seconds * 1e3:6.1f}ms  {named}", flush=True)
    total, right = sum(sum(row.first.values()) for row in rows), sum(row.right for row in rows)
    wrong = sum(row.wrong_certain for row in rows)
    holds = right >= LEAST_RIGHT * total and not wrong
    print(
        f"\nright cause first in {right} of {total} cases ({right / total:.1%}, at least {LEAST_RIGHT:.0%}), "
        f"{wrong} wrong ones called certain: {'holds' if holds else 'BROKEN'}"
    )
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
