"""``python -m benchmarks``: print what guarding costs, and which budgets hold."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main() -> int:
    """Print the tables; exit 0 if every budget holds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--pairs", type=int, default=15, help="alternating pairs for each row (default 15)")
    parser.add_argument("--quick", action="store_true", help="five pairs, transport and content only")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    arguments = parser.parse_args()
    pairs = 5 if arguments.quick else arguments.pairs
    rows = overhead_rows(pairs, quick=arguments.quick) + core_rows()
    rows += [] if arguments.quick else engine_rows(pairs) + alternative_rows(pairs)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")
    broken = [row for row in rows if row["holds"] is False]
    print(f"\n{sum(row['holds'] is True for row in rows)} budgets hold, {len(broken)} do not")
    return 1 if broken else 0


def overhead_rows(pairs: int, *, quick: bool) -> list[dict[str, Any]]:
    """Guarded over bare ``predict``."""
    from benchmarks import overhead

    print(f"guarded / bare predict, ratio of medians over {pairs} alternating pairs, quartiles of the pairs")
    print(
        f"{'model':10} {'source':10} {'proof':10} {'bare':>9} {'ratio':>7} {'quartiles':>13} {'per batch':>11}  budget"
    )
    rows = []
    for subject in (overhead.mlp(), overhead.conv()):
        batches = -(-len(subject.x) // overhead.BATCH)
        for kind, budget in subject.budgets.items():
            for proof in ("transport", "content") if quick else ("transport", "content", "labels"):
                if proof == "labels" and kind == "arrays":
                    continue
                ratio = overhead.measure(subject, kind, proof, pairs)
                limit = budget if proof == "transport" else None
                rows.append(show(subject.name, kind, proof, ratio, batches, limit))
        ratio = overhead.fingerprints_alone(subject, pairs)
        stretch = batches // overhead.STRETCHES
        rows.append(show(subject.name, "tf.data", "hash only", ratio, stretch, subject.content_budget))
    return rows


def engine_rows(pairs: int) -> list[dict[str, Any]]:
    """``evaluate``, and ``predict`` of tf_keras: the no-op model."""
    from benchmarks import engines, overhead

    print(f"\nguarded / bare evaluate, and predict of tf_keras, no-op MLP ({pairs} alternating pairs)")
    subject = overhead.mlp()
    batches = -(-len(subject.x) // overhead.BATCH)
    return [
        show(called, kind, "labels" if called == "evaluate" else "transport", ratio, batches, budget)
        for called, kind, ratio, budget in engines.figures(subject, pairs)
    ]


def show(model: str, kind: str, proof: str, ratio: Any, batches: int, budget: float | None) -> dict[str, Any]:
    """Print one row of the table; give it as data."""
    added = (ratio.second - ratio.first) / batches * 1e6
    holds = None if budget is None else ratio.ratio <= budget
    verdict = "" if budget is None else f"<= {budget:.2f} {'holds' if holds else 'BROKEN'}"
    print(
        f"{model:10} {kind:10} {proof:10} {ratio.first * 1e3:7.0f}ms {ratio.ratio:7.3f} "
        f"{ratio.low:6.3f}-{ratio.high:.3f} {added:+9.1f}us  {verdict}",
        flush=True,
    )
    return {
        "what": f"{model}, {kind}, {proof}",
        "ratio": ratio.ratio,
        "low": ratio.low,
        "high": ratio.high,
        "budget": budget,
        "holds": holds,
    }


def alternative_rows(pairs: int) -> list[dict[str, Any]]:
    """What people do today, beside the guard."""
    from benchmarks import alternatives, overhead

    print(f"\nto know which prediction is whose, over predict alone ({pairs} alternating pairs)")
    rows = []
    for subject in (overhead.mlp(), overhead.conv()):
        for way, ratio in alternatives.figures(subject, pairs):
            print(f"{subject.name:10} {way.name:40} {ratio.ratio:7.3f} {ratio.low:6.3f}-{ratio.high:.3f}  {way.shows}")
            what = f"{subject.name}, {way.name}"
            rows.append({"what": what, "ratio": ratio.ratio, "low": ratio.low, "high": ratio.high, "holds": None})
    return rows


def core_rows() -> list[dict[str, Any]]:
    """Manifest throughput, the import, and the record in MLflow."""
    from benchmarks import core, record

    print()
    rows = []
    for name, measured, unit, budget, at_least in itertools.chain(core.figures(), record.figures()):
        holds = measured >= budget if at_least else measured <= budget
        sign = ">=" if at_least else "<="
        print(f"{name:55} {measured:8.3f} {unit:5} {sign} {budget} {'holds' if holds else 'BROKEN'}", flush=True)
        rows.append({"what": name, "value": measured, "unit": unit, "budget": budget, "holds": holds})
    return rows


if __name__ == "__main__":
    started = time.perf_counter()
    status = main()
    print(f"({time.perf_counter() - started:.0f} s)")
    sys.exit(status)
