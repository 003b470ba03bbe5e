"""Who watches the watchman: the product is broken on purpose, one line at a time, and the machine has to notice.

    python -m tests.soundness.watchman [-n 2000] [--seed 1] [NUMBER ...]

Each line is changed in a copy of the package. Exit status 1: one of the changes was not noticed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Broken:
    """A line that is changed.

    Attributes:
        file: Its module, below ``evalguard/``.
        line: A part of the line, which occurs once.
        changed: What stands there instead.
        what: What is then wrong.
    """

    file: str
    line: str
    changed: str
    what: str


BROKEN = (
    Broken(
        "core/checks.py",
        "if len(samples) == n_labels and counts_up(samples):",
        "if len(samples) == n_labels:",
        "any order of the right number of rows is in order",
    ),
    Broken(
        "core/matching.py",
        "np.flatnonzero(rows[:common] == reference[:common])",
        "np.flatnonzero(rows[:common] == rows[:common])",
        "every row is the sample of its position, whatever it contains",
    ),
    Broken("core/judge.py", "    if findings:\n", "    if len(findings) > 1:\n", "a single finding is no FAIL"),
    Broken(
        "core/judge.py",
        "if observed and proof >= policy.required_proof and",
        "if observed and",
        "any proof is enough",
    ),
    Broken(
        "core/repair.py",
        "take[samples[::-1]] = np.arange(len(samples))[::-1]",
        "take[: len(samples)] = samples[:n_labels]",
        "rows are put back with the order itself, not with its inverse",
    ),
    Broken(
        "core/chain.py",
        "distinct = trace.fingerprints is not None and not evidence.repeated.size",
        "distinct = True",
        "a repeated input does not weaken a proof by targets",
    ),
    Broken(
        "core/evidence.py",
        "order = () if samples is None else order_findings(samples, len(labels), ordered=trace.ordered)",
        "order = () if samples is None else order_findings(samples, len(labels), ordered=False)",
        "the order of predictions does not matter",
    ),
    Broken(
        "guards/joining.py",
        "trace = join_traces(traces)",
        "trace = join_traces(traces[-1:])",
        "of a session only the last call is judged",
    ),
    Broken(
        "capture/probes/tagged_items.py",
        "batch = self._inner[index]",
        "batch = self._inner[index], self._inner[index]; batch = batch[1]",
        "each item is requested twice",
    ),
    Broken(
        "guards/calls.py",
        "result = original(*bound.args, **bound.kwargs)",
        "result = (__import__('random').random(), original(*bound.args, **bound.kwargs))[1]",
        "a guarded call draws a random number",
    ),
    Broken(
        "capture/tags.py",
        "stated = np.array(index).reshape(-1)",
        "stated = np.asarray(index).reshape(-1)",
        "stated indices are kept without a copy",
    ),
    Broken(
        "core/checks.py",
        "    if not comparison.comparable or comparison.version or rows.size == 0:\n",
        "    if True:\n",
        "targets that contradict the labels are no finding",
    ),
    Broken(
        "core/evidence.py",
        "if match.comparable and (by_place or match.observed)]",
        "if match.comparable]",
        "an array's positions stand in for content that recognises nothing",
    ),
    Broken(
        "capture/recording/returned.py",
        "        return Returned()\n    parts =",
        "        return Returned()\n    return Returned()\n    parts =",
        "what is returned is never compared with what was computed",
    ),
    Broken(
        "guards/joining.py",
        "    if len(set(map(_maker, calls))) > 1:\n        return True\n",
        "",
        "calls of several threads have the order in which they began",
    ),
    Broken(
        "core/evidence.py",
        "return target_comparison.as_one_quantity(comparison, trace.targets, labels.values, answered)",
        "return comparison",
        "targets of another quantity contradict the labels",
    ),
    Broken(
        "guards/missing_rows.py",
        "if not all(_are_equal(*known[identity], at, samples) for identity in used & known.keys()):",
        "if False:",
        "rows that are predicted again are not matched",
    ),
    Broken(
        "guards/calls.py",
        "float64=computes_in_float64(model),\n",
        "float64=False,\n",
        "rows of a float64 model are compared in float32",
    ),
    Broken(
        "capture/engines/own_function.py",
        "if stateful != [PULL] or not pulls",
        "if not pulls",
        "a tf_keras function that draws at random is copied",
    ),
    Broken(
        "capture/overwriting.py",
        "return [all(array.tobytes() == copy.tobytes() for array, copy in copied) for copied in fed]",
        "return [True for copied in fed]",
        "memory that is overwritten while the model computes is not compared again",
    ),
    Broken(
        "core/evidence.py",
        "comparison.version and (scored or not self.observed)",
        "False",
        "another version of the labels raises no doubt",
    ),
    Broken(
        "core/confirmed.py",
        "source, why = _source(scored.returned, scored.rows, samples)",
        "source, why = _source(scored.returned, scored.rows, None)",
        "of equal rows that are scored the first one counts, whatever sample it is of",
    ),
    Broken(
        "core/judge.py",
        "unseen = trace.unobserved or trace.not_confirmed or trace.stopped",
        "unseen = trace.unobserved or trace.stopped",
        "rows that no call returned are scored, and a PASS counts those that were",
    ),
    Broken(
        "guards/confirming.py",
        'return "", _other_rows(what, comparison.rows, comparison.shift)',
        'return "", None',
        "the labels that are scored are not compared",
    ),
    Broken(
        "guards/confirming.py",
        'for what, given in (("label", self.y_true), ("weight", self.weights))',
        'for what, given in (("label", self.y_true),)',
        "the weights that are scored are not compared",
    ),
    Broken(
        "labels/collecting.py",
        "ended = len(batches) > 1 and batches[-2].at < last_call < batches[-1].at",
        "ended = len(batches) > 1",
        "the last batch that a loop is given is never scored",
    ),
    Broken(
        "labels/collect.py",
        'y = _owned(y, "labels")',
        "y = tree.map_leaves(np.asarray, y)",
        "targets that are collected are kept without a copy",
    ),
    Broken(
        "guards/by_index.py",
        "    labels = keyed(labels, found)\n",
        "",
        "a pandas index on both sides is not compared",
    ),
    Broken(
        "guards/class_numbers.py",
        "return _OfOutput(model, numbers)",
        "return _OfOutput(model)",
        "labels that are names are not compared as numbers",
    ),
    Broken(
        "guards/class_numbers.py",
        "        if (numbers == NO_NAME).any():\n            others",
        "        if False:\n            others",
        "labels may be names that the names of the classes lack",
    ),
    Broken(
        "guards/class_numbers.py",
        "if present[:1] == [1] and beyond == [len(model.names)]:",
        "if False:",
        "class numbers that begin at 1 are taken for those that begin at 0",
    ),
    Broken(
        "core/row_names.py",
        "    if offset:\n        return IndexComparison(of, hazard",
        "    if False:\n        return IndexComparison(of, hazard",
        "names that differ by one offset are other samples",
    ),
)


def noticed(broken: Broken, n: int, seed: int) -> str:
    """What the machine says first of the broken product; empty if it finds nothing."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        shutil.copytree(ROOT / "evalguard", place / "evalguard", ignore=shutil.ignore_patterns("__pycache__"))
        (place / "tests").symlink_to(ROOT / "tests")
        file = place / "evalguard" / broken.file
        text = file.read_text()
        if text.count(broken.line) != 1:
            msg = f"{broken.file}: expected the line once, found it {text.count(broken.line)} times: {broken.line}"
            raise ValueError(msg)
        file.write_text(text.replace(broken.line, broken.changed))
        command = [sys.executable, "-m", "tests.soundness", "-n", str(n), "--seed", str(seed), "--first"]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        return done.stdout.splitlines()[-1] if done.returncode == 1 else ""


def main() -> int:
    """Run from a command line; 1: a change was not noticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.soundness.watchman", description=__doc__.splitlines()[0])
    parser.add_argument("numbers", nargs="*", type=int, help="only these lines, counted from 1")
    parser.add_argument("-n", type=int, default=2000, help="how many programs each (2000)")
    parser.add_argument("--seed", type=int, default=1, help="another number writes other programs (1)")
    options = parser.parse_args()
    missed = 0
    for number, broken in enumerate(BROKEN, 1):
        if options.numbers and number not in options.numbers:
            continue
        told = noticed(broken, options.n, options.seed)
        missed += not told
        print(f"{number:2} {'noticed' if told else 'NOT NOTICED'}  {broken.file}: {broken.what}\n   {told}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
