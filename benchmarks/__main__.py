"""``python -m benchmarks``: print what guarding costs, and which budgets hold."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import evalguard
from benchmarks import quiet

if TYPE_CHECKING:
    from benchmarks.alternatives import Way
    from benchmarks.overhead import Cost, Effort
    from benchmarks.pairs import Ratio

FOLDER = Path(__file__).parent
ABOUT = """\
ratio      guarded / bare, of medians over alternating pairs, with the quartiles of pairs: {pairs}{more};
           {fewer} where no budget is; on the conv net both calls of predict take turns step by step (lockstep.py)
proof      transport: tags alone; content: every row against a reference; labels: the stream's targets, which evaluate
           has always; hash only: fingerprints without a guard; one pass: one digest of each batch instead of them, the
           least that reading all of it takes
added by   to a batch of 32, to a row, and to the most that Python and NumPy had allocated at once (memory: a new
guarding   guard and its call, which is not timed)
aim        what each kind of source is to come down to one day"""


def main(argv: list[str] | None = None) -> int:
    """Print the tables; exit 0 if every budget holds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--pairs",
        type=int,
        help="alternating pairs (default 9, and four times as many for the conv net; 3 with --quick)",
    )
    less = parser.add_mutually_exclusive_group()
    less.add_argument("--budgets", action="store_true", help="as without options, but only what has a budget")
    less.add_argument("--quick", action="store_true", help="fewer pairs and rows, budgets of up to 10^7 rows only")
    parser.add_argument(
        "--json", type=Path, help="where the results go (default benchmarks/results[-quick, -budgets].json)"
    )
    arguments = parser.parse_args(argv)
    quiet.load_frameworks()
    from benchmarks import overhead

    pairs = arguments.pairs or (3 if arguments.quick else 9)
    effort = overhead.quick(pairs) if arguments.quick else overhead.full(pairs, everything=not arguments.budgets)
    rows = overhead_rows(effort) + core_rows(quick=arguments.quick)
    rows += alternative_rows(effort) if effort.everything else []
    name = "results-quick" if arguments.quick else "results-budgets" if arguments.budgets else "results"
    file = arguments.json or FOLDER / f"{name}.json"
    file.write_text(json.dumps({"measured_on": measured_on(), "rows": rows}, indent=2) + "\n")
    broken = [row for row in rows if row["holds"] is False]
    print(f"\n{sum(row['holds'] is True for row in rows)} budgets hold, {len(broken)} do not; results in {file}")
    return 1 if broken else 0


def measured_on() -> dict[str, Any]:
    """Versions and machine."""
    packages = ("keras", "tf_keras", "tensorflow", "numpy")
    versions = {name: metadata.version(name) for name in packages}
    versions = {"evalguard": evalguard.__version__, **versions}
    return {**versions, "python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}


def overhead_rows(effort: Effort) -> list[dict[str, Any]]:
    """Guarded over bare calls."""
    from benchmarks import overhead
    from benchmarks.pairs import MOST_TIMES

    told = ", ".join(f"{model} {pairs}" for model, pairs in effort.pairs.items())
    more = f", up to {MOST_TIMES} times as many where a budget is near" if effort.until_told else ""
    print(ABOUT.format(pairs=told, more=more, fewer=effort.fewer_pairs))
    print(
        f"{'engine':8} {'model':9} {'method':8} {'source':9} {'proof':9} {'bare':>8} {'ratio':>6} {'quartiles':>12} "
        f"{'a batch':>9} {'a row':>8} {'memory':>8}  budget, aim"
    )
    return [show(cost) for cost in overhead.costs(effort)]


def show(cost: Cost) -> dict[str, Any]:
    """Print one row of the table, and return it as data."""
    cell, ratio, holds = cost.cell, cost.ratio, cost.holds
    batch_us, row_us = cost.added / cost.batches * 1e6, cost.added / cost.rows * 1e6
    memory = "" if cost.memory is None else f"{cost.memory / 1e6:+.2f}MB"
    said = [] if cell.budget is None else [f"<= {cell.budget:.2f} {'holds' if holds else 'BROKEN'}"]
    if cell.aim is not None:
        said.append(f"aim {cell.aim:g} {'reached' if ratio.ratio <= cell.aim else 'not yet'}")
    print(
        f"{cell.engine:8} {cell.model:9} {cell.method:8} {cell.kind:9} {cell.proof:9} {ratio.first * 1e3:6.0f}ms "
        f"{ratio.ratio:6.3f} {ratio.low:6.3f}-{ratio.high:.3f} {batch_us:+7.1f}us {row_us:+6.2f}us {memory:>8}  "
        f"{', '.join(said)}",
        flush=True,
    )
    return {
        "what": f"{cell.engine}, {cell.model}, {cell.method}, {cell.kind}, {cell.proof}",
        "engine": cell.engine,
        "model": cell.model,
        "method": cell.method,
        "source": cell.kind,
        "proof": cell.proof,
        **spread(ratio),
        "rows": cost.rows,
        "batch_us": batch_us,
        "row_us": row_us,
        "memory_bytes": cost.memory,
        "budget": cell.budget,
        "aim": cell.aim,
        "holds": holds,
    }


def spread(ratio: Ratio) -> dict[str, Any]:
    """A ratio as data."""
    return {"bare_s": ratio.first, "ratio": ratio.ratio, "low": ratio.low, "high": ratio.high, "pairs": ratio.pairs}


def alternative_rows(effort: Effort) -> list[dict[str, Any]]:
    """What people do today, beside the guard."""
    from benchmarks import alternatives

    pairs, sizes = effort.fewer_pairs, effort.fewer_rows
    print(f"\nto know which sample each prediction is of, over predict alone ({pairs} alternating pairs)")
    rows = [show_way(*found) for found in alternatives.ratios(pairs, sizes)]
    lightning = [show_way(*found) for found in alternatives.lightning_ratios(pairs, sizes)]
    if not lightning:
        print("PyTorch Lightning is not installed here: make bench-lightning")
    return rows + lightning


def show_way(model: str, way: Way, ratio: Ratio) -> dict[str, Any]:
    """Print one way; give it as data."""
    print(
        f"{model:10} {way.name:40} {ratio.first * 1e3:6.0f}ms {ratio.ratio:7.3f} {ratio.low:6.3f}-{ratio.high:.3f}  "
        f"{way.shows}",
        flush=True,
    )
    return {"what": f"{model}, {way.name}", "model": model, "way": way.name, **spread(ratio), "holds": None}


def core_rows(*, quick: bool) -> list[dict[str, Any]]:
    """Manifest throughput, the import, and the record in MLflow."""
    from benchmarks import core, record

    print()
    measured = core.few_measurements(repeat=1) if quick else core.measurements()
    return [show_measurement(*found) for found in chain(measured, record.measurements(times=5 if quick else 20))]


def show_measurement(name: str, measured: float, unit: str, budget: float, at_least: bool) -> dict[str, Any]:
    """Print a result that is no ratio, and return it as data."""
    holds = measured >= budget if at_least else measured <= budget
    sign = ">=" if at_least else "<="
    print(f"{name:55} {measured:8.3f} {unit:5} {sign} {budget} {'holds' if holds else 'BROKEN'}", flush=True)
    return {"what": name, "value": measured, "unit": unit, "budget": budget, "holds": holds}


if __name__ == "__main__":
    started = time.perf_counter()
    status = main()
    print(f"({time.perf_counter() - started:.0f} s)")
    sys.exit(status)
