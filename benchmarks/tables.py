"""``python -m benchmarks.tables``: ``evalguard check`` beside DuckDB and, if installed, Polars, asked for its counts.

Every run is a whole process, the ways take turns, and the medians are compared.
The budget: ``check`` takes at most twice as long as DuckDB's query and 3 s more,
and 10^8 rows at most 4 GB. As the time grows with the rows, the exponent is
fitted to what is left without the start of a process.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHUNK = 1_000_000
CASES = ("aligned", "permuted", "1 % faulty")
KEYS = ("integers", "text")
TIMES, MORE_S, BUDGET_GB = 2.0, 3.0, 4.0
# The least rows of which the seconds are those of the rows, and not of the start of a process.
FITTED = 1_000_000

DUCKDB = """
import duckdb, json
con = duckdb.connect()
con.execute("set enable_progress_bar = false")
con.execute("set memory_limit = '50%'")
counts = con.execute('''
with d as (select file_row_number r, id from read_parquet('predictions.parquet', file_row_number=true)),
     l as (select file_row_number s, id from read_parquet('labels.parquet', file_row_number=true))
select count(*), count(*) filter (where s is null), count(*) filter (where r is null),
       count(*) filter (where r<>s), count(r)-count(distinct r)
from d full join l using(id)''').fetchone()
print(json.dumps({"foreign": counts[1], "missing": counts[2]}))
"""
POLARS = """
import json, polars as pl
d = pl.scan_parquet("predictions.parquet").select("id").with_row_index("r")
l = pl.scan_parquet("labels.parquet").select("id").with_row_index("s")
found = d.join(l, on="id", how="full").select(
    pl.col("s").is_null().sum().alias("foreign"), pl.col("r").is_null().sum().alias("missing"),
    (pl.col("r") != pl.col("s")).sum().alias("moved"),
).collect(engine="streaming")
print(json.dumps({name: found[name][0] for name in ("foreign", "missing")}))
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One process: seconds, and megabytes that it had in memory at most."""

    seconds: float
    megabytes: float


def main(argv: list[str] | None = None) -> int:
    """Print a line for each pair of tables; exit 0 if every budget holds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--pairs", type=int, default=3, help="runs of each way (default 3)")
    parser.add_argument("--keys", nargs="+", choices=KEYS, default=KEYS)
    arguments = parser.parse_args(argv)
    ways = _ways()
    print(f"{'keys':9}{'case':12}{'rows':>12}  " + "".join(f"{way:>22}" for way in ways) + "   check / DuckDB")
    broken, medians = 0, dict[tuple[str, str], list[tuple[int, Run]]]()
    for keys, case, rows in itertools.product(arguments.keys, CASES, arguments.rows):
        with tempfile.TemporaryDirectory() as folder:
            _write(folder, keys, case, rows)
            found = _in_turn(ways, folder, arguments.pairs)
        duckdb, check = found["DuckDB"], found["check"]
        most = TIMES * duckdb.seconds + MORE_S
        holds = check.seconds <= most
        broken += not holds
        for way, run in found.items():
            medians.setdefault((way, keys), []).append((rows, run))
        shown = "".join(f"{run.seconds:13.2f} s {run.megabytes:4.0f} MB" for run in found.values())
        word = "holds" if holds else "BROKEN"
        print(f"{keys:9}{case:12}{rows:>12,}  {shown}   {check.seconds / duckdb.seconds:.2f} (<= {most:.1f} s {word})")
        sys.stdout.flush()
    for (way, keys), runs in medians.items():
        for line in _growth(way, keys, runs):
            print(line)
            broken += "BROKEN" in line
    return 1 if broken else 0


def _ways() -> dict[str, list[str]]:
    """The command of each way."""
    check = ["-m", "evalguard", "check", "predictions.parquet", "labels.parquet", "--key", "id", "--json"]
    check += ["--progress", "none"]
    ways = {"DuckDB": ["-c", DUCKDB]}
    if importlib.util.find_spec("polars") is not None:
        ways["Polars"] = ["-c", POLARS]
    return {**ways, "check": check, "check, any order": [*check, "--order", "any"]}


def _in_turn(ways: dict[str, list[str]], folder: str, times: int) -> dict[str, Run]:
    """The median of each way; all of them must find the same."""
    runs: dict[str, list[Run]] = {way: [] for way in ways}
    for _ in range(times):
        counts = set()
        for way, command in ways.items():
            run, said = _run(command, folder)
            runs[way].append(run)
            found = json.loads(said)
            found = found.get("counts", found)
            counts.add((found["foreign"], found["missing"]))
        assert len(counts) == 1, counts
    return {way: Run(*(statistics.median(part) for part in _columns(of_way))) for way, of_way in runs.items()}


def _columns(runs: list[Run]) -> tuple[list[float], list[float]]:
    return [run.seconds for run in runs], [run.megabytes for run in runs]


def _run(command: list[str], folder: str) -> tuple[Run, str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    start = time.perf_counter()
    with subprocess.Popen([sys.executable, *command], cwd=folder, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = process.stdout.read().decode()
        # Of this process alone: `RUSAGE_CHILDREN` has the largest of all.
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in {0, 1}:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Run(time.perf_counter() - start, used.ru_maxrss * 1024 / 1e6), said


def _growth(way: str, keys: str, runs: list[tuple[int, Run]]) -> Iterator[str]:
    """The exponent of the seconds, and for ``check`` the memory of 10^8 rows."""
    least = min(rows for rows, _ in runs)
    start = min(run.seconds for rows, run in runs if rows == least)
    sizes = sorted({rows for rows, _ in runs if rows >= FITTED})
    if len(sizes) > 1 and least < FITTED:
        few, many = (statistics.median(run.seconds for rows, run in runs if rows == size) for size in sizes[-2:])
        exponent = math.log(max(many - start, 1e-3) / max(few - start, 1e-3)) / math.log(sizes[-1] / sizes[-2])
        yield f"{way}, {keys}: seconds grow with rows to the power of {exponent:.2f}"
    if way == "check" and len(sizes) > 1:
        few, many = (max(run.megabytes for rows, run in runs if rows == size) for size in sizes[-2:])
        gigabytes = (many + (many - few) / (sizes[-1] - sizes[-2]) * (10**8 - sizes[-1])) / 1e3
        word = "holds" if gigabytes <= BUDGET_GB else "BROKEN"
        yield f"{way}, {keys}: 10^8 rows would take {gigabytes:.1f} GB (<= {BUDGET_GB:.0f} GB {word})"


def _write(folder: str, keys: str, case: str, rows: int) -> None:
    """Two tables; in another process, as the memory of a child begins with that of its parent."""
    code = f"from benchmarks.tables import write; write({folder!r}, {keys!r}, {case!r}, {rows})"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


def write(folder: str, keys: str, case: str, rows: int) -> None:
    """Write ``labels.parquet``, in the order of the keys, and ``predictions.parquet``."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    rng = np.random.default_rng(0)
    numbers = np.arange(rows)
    delivered = numbers if case == "aligned" else rng.permutation(rows)
    if case == "1 % faulty":
        wrong = rng.choice(rows, rows // 100, replace=False)
        lost, again, foreign = np.array_split(wrong, 3)
        delivered[again] = delivered[(again + 1) % rows]
        delivered[foreign] += rows
        delivered = np.delete(delivered, lost)

    def column(part: Any) -> Any:
        return pa.array(part) if keys == "integers" else pa.array([f"images/{number:010d}.png" for number in part])

    for name, ids, what in (("labels", numbers, "label"), ("predictions", delivered, "prediction")):
        with parquet.ParquetWriter(Path(folder, f"{name}.parquet"), _schema(pa, keys, what)) as writer:
            for start in range(0, len(ids), CHUNK):
                part = ids[start : start + CHUNK]
                writer.write_table(pa.table({"id": column(part), what: pa.array((part % 10).astype(np.int8))}))


def _schema(pa: Any, keys: str, what: str) -> Any:
    return pa.schema([("id", pa.int64() if keys == "integers" else pa.string()), (what, pa.int8())])


if __name__ == "__main__":
    sys.exit(main())
