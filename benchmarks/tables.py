"""``python -m benchmarks.tables``: time and memory that ``evalguard check`` needs for two large tables of keys.

Each case runs in an interpreter of its own, whose largest resident size is
read; what the same interpreter takes for two tables of ten rows is its base.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

CHUNK = 1_000_000
# Of memory beyond the base, for 10^8 rows less than 4 GB.
BUDGET_BYTES_A_ROW = 40.0
ORDERS = ("aligned", "two batches swapped", "reversed")

PROGRAM = """
import json, resource, sys, time
from pathlib import Path
from evalguard.step import compare
compare.STREAM_BYTES = 0
start = time.perf_counter()
report = compare.compare(compare.Question(Path(sys.argv[1]), Path(sys.argv[2]), key="id"))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps([time.perf_counter() - start, peak, report.verdict, report.counts["misaligned"]]))
"""


def main() -> int:
    """Print a table; exit 0 if every case stays within the budget."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    rows = parser.parse_args().rows
    broken = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = _measured(folder, 10, "aligned")[1]
        print(f"{rows:,} keyed rows in Parquet; the interpreter itself takes {base / 2**20:.0f} MB")
        for order in ORDERS:
            seconds, peak, verdict, misaligned = _measured(folder, rows, order)
            each = (peak - base) / rows
            holds = each <= BUDGET_BYTES_A_ROW
            broken += not holds
            print(
                f"{order:20} {verdict:5} {misaligned:>11,} misaligned {seconds:7.1f} s {each:6.1f} bytes a row, "
                f"{(base + each * 1e8) / 2**30:.1f} GB for 10^8 <= {BUDGET_BYTES_A_ROW:.0f} "
                f"{'holds' if holds else 'BROKEN'}",
                flush=True,
            )
    return 1 if broken else 0


def _measured(folder: Path, rows: int, order: str) -> tuple[float, float, str, int]:
    labels, delivered = folder / "labels.parquet", folder / "delivered.parquet"
    _write(labels, rows, "aligned")
    _write(delivered, rows, order)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(delivered), str(labels)], capture_output=True, text=True, check=True
    )
    seconds, peak, verdict, misaligned = json.loads(done.stdout)
    return seconds, peak, verdict, misaligned


def _write(path: Path, rows: int, order: str) -> None:
    with parquet.ParquetWriter(path, pa.schema([("id", pa.string())])) as writer:
        for start in range(0, rows, CHUNK):
            numbers = np.arange(start, min(start + CHUNK, rows))
            if order == "reversed":
                numbers = rows - 1 - numbers
            elif order == "two batches swapped" and start == 0:
                numbers[:64] = np.concatenate([numbers[32:64], numbers[:32]])
            writer.write_table(pa.table({"id": [f"images/{number:010d}.png" for number in numbers]}))


if __name__ == "__main__":
    sys.exit(main())
