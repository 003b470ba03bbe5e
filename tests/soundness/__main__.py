"""The long run: ``make soundness N=20000 SEED=1``, and two versions compared: ``RECORD=file``, ``COMPARE=file``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from multiprocessing import active_children
from pathlib import Path

from tests.soundness.blocks import BLOCK, Line, again, in_blocks, written


def main() -> int:
    """Run from a command line; 1: a law is broken, or something is judged otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.soundness", description=__doc__)
    parser.add_argument("-n", type=int, default=2000, help="how many programs (2000)")
    parser.add_argument("--seed", type=int, default=1, help="another number writes other programs (1)")
    parser.add_argument("--skip", type=int, default=0, help="leave out so many programs of an earlier run (0)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (one for each core)")
    parser.add_argument("--record", type=Path, help="write every program and its reports to this file")
    parser.add_argument(
        "--compare", type=Path, help="run the programs of such a file and show what is judged otherwise"
    )
    parser.add_argument("--first", action="store_true", help="stop at the first breach")
    options = parser.parse_args()
    if options.compare:
        return compare(options.compare, options.jobs)
    sizes = [min(BLOCK, options.n - start) for start in range(0, options.n, BLOCK)]
    blocks = [(options.seed * 100_000 + number, size) for number, size in enumerate(sizes)][options.skip // BLOCK :]
    breaches: dict[tuple[str, str], list[Line]] = {}
    verdicts: Counter[str] = Counter()
    n_run = 0
    with options.record.open("w") if options.record else open(os.devnull, "w") as file:
        for line in in_blocks(options.jobs, written, blocks, sum(size for _, size in blocks)):
            n_run += 1
            file.write(json.dumps(line) + "\n")
            verdicts.update(report["verdict"] for report in line["observed"])
            for breach in line["breaches"]:
                if options.first:
                    print(
                        f"after {n_run:,} programs, law {breach['law']}: {breach['what']}".splitlines()[0], flush=True
                    )
                    # The blocks that still run are not worth their time, and would keep the output open.
                    for worker in active_children():
                        worker.kill()
                    os._exit(1)
                breaches.setdefault((breach["law"], breach["what"][:24]), []).append(breach)
    print(
        f"{n_run:,} programs, seed {options.seed}: " + ", ".join(f"{n:,} {word}" for word, n in verdicts.most_common())
    )
    for (law, _), found in sorted(breaches.items(), key=lambda item: -len(item[1])):
        # The shortest of its kind is the easiest to understand.
        shortest = min(found, key=lambda breach: len(breach["script"]))
        print(f"\nBROKEN  {len(found):,} times, law {law}: {shortest['what']}\n{shortest['script']}")
    return 1 if breaches else 0


def compare(file: Path, jobs: int) -> int:
    """Run recorded programs again and print what is judged otherwise."""
    before = [json.loads(line) for line in file.read_text().splitlines()]
    blocks = [(before[start : start + BLOCK],) for start in range(0, len(before), BLOCK)]
    differing = []
    for old, new in zip(before, in_blocks(jobs, again, blocks, len(before)), strict=True):
        if old["observed"] != new["observed"] or len(old["breaches"]) != len(new["breaches"]):
            differing.append((old, new))
    # Where threads race, two runs of one version differ as well: what comes out either way is no difference.
    races = 0
    kinds: dict[str, list[tuple[Line, Line]]] = {}
    for old, new in differing:
        if any(old["observed"] == more["observed"] for more in again([new] * 5)):
            races += 1
            continue
        kinds.setdefault(_difference(old, new), []).append((old, new))
    print(f"{len(before):,} programs: {len(differing) - races:,} are judged otherwise, {races:,} as a race has it")
    for kind, pairs in sorted(kinds.items(), key=lambda item: -len(item[1])):
        print(f"  {len(pairs):5,}  {kind}\n         {json.dumps(pairs[0][1]['program'])}")
    return 1 if kinds else 0


def _difference(old: Line, new: Line) -> str:
    for one, other in zip(old["observed"], new["observed"], strict=False):
        for name in ("verdict", "proof", "findings", "counts"):
            if one[name] != other[name]:
                return f"{name}: {one[name]} before, {other[name]} now"[:200]
    told = [f"{len(line['observed'])} reports, {[breach['law'] for breach in line['breaches']]}" for line in (old, new)]
    return f"{told[0]} before, {told[1]} now"


if __name__ == "__main__":
    sys.exit(main())
