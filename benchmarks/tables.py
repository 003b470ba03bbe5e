"""``python -m benchmarks.tables``: time and memory that ``evalguard check`` needs for two large tables of keys.

Each case runs in a separate interpreter, whose largest resident size is read
at a fifth of the rows and at all of them: the difference is what a row takes.
The budget is for tables in order. Where order is lost, the metrics of the lost
order (``order`` in the report) take most of the time and memory.
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
BUDGET_GB = 4.0
ORDERS = ("aligned", "two batches swapped", "reversed")

PROGRAM = """
import json, resource, sys, time
from pathlib import Path
from evalguard.guards import check_tables
start = time.perf_counter()
report = check_tables.compare(check_tables.TableCheck(Path(sys.argv[1]), Path(sys.argv[2]), key="id"))
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
        print(f"{rows:,} keyed rows in Parquet")
        for order in ORDERS:
            few = _measured(folder, rows // 5, order)[1]
            seconds, peak, verdict, misaligned = _measured(folder, rows, order)
            each = (peak - few) / (rows - rows // 5)
            gigabytes = (peak + each * (10**8 - rows)) / 1e9
            budget = ""
            if order == "aligned":
                broken += gigabytes > BUDGET_GB
                budget = f" <= {BUDGET_GB:.0f} GB {'holds' if gigabytes <= BUDGET_GB else 'BROKEN'}"
            print(
                f"{order:20} {verdict:5} {misaligned:>11,} misaligned {seconds:7.1f} s {each:6.1f} bytes a row, "
                f"so 10^8 rows take {gigabytes:.1f} GB{budget}",
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
    with parquet.ParquetWriter(path, pa.schema([("id", pa.string()), ("label", pa.int8())])) as writer:
        for start in range(0, rows, CHUNK):
            numbers = np.arange(start, min(start + CHUNK, rows))
            if order == "reversed":
                numbers = rows - 1 - numbers
            elif order == "two batches swapped" and start == 0:
                numbers[:64] = np.concatenate([numbers[32:64], numbers[:32]])
            names = [f"images/{number:010d}.png" for number in numbers]
            labels = pa.array((numbers % 10).astype(np.int8))
            writer.write_table(pa.table({"id": names, "label": labels}))


if __name__ == "__main__":
    sys.exit(main())
