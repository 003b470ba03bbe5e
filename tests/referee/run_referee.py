"""Keras' own tests as a referee: the same outcomes inside a guard as without one.

    python tests/referee/run_referee.py [FILE ...] [--skip FILE ...] [-k EXPRESSION] [--jobs 2] [--list]

Reads the installed Keras and takes each of its test files that calls ``predict``,
``evaluate``, ``predict_on_batch``, ``test_on_batch`` or a model. Runs each file
twice, once as it is and once with a guard around each test, and compares which
tests passed, failed or were skipped, and with what words. A test that cannot run
here (no torch, no network) fails in the same way in both runs.

Exit status: 0 if nothing differs and evalguard itself was never in trouble, 1 if
something differs or it was, 2 if there is nothing to compare.
"""

from __future__ import annotations

import argparse
import ast
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
METHODS = frozenset({"predict", "evaluate", "predict_on_batch", "test_on_batch"})
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": "-1"}


@dataclass(slots=True)
class Totals:
    """What all files together gave.

    Attributes:
        tests: Outcomes that were compared.
        different: Names of tests whose outcomes differ.
        bare: Outcomes of the bare runs, counted.
        guarded: Outcomes of the guarded runs, counted.
        methods: Guarded calls, by method.
        verdicts: Verdicts of these calls.
        trouble: Messages that say that evalguard itself failed.
        broken: Files of which a run gave no outcomes.
    """

    tests: int = 0
    different: list[str] = field(default_factory=list)
    bare: Counter[str] = field(default_factory=Counter)
    guarded: Counter[str] = field(default_factory=Counter)
    methods: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    trouble: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)


def main() -> int:
    """Run each file bare and guarded, print what differs and a summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", metavar="FILE", help="only files whose path contains this (default: all)")
    parser.add_argument("--skip", nargs="*", default=[], metavar="FILE", help="no files whose path contains this")
    parser.add_argument("-k", default="", metavar="EXPRESSION", help="only tests that match, as for pytest")
    parser.add_argument("--jobs", type=int, default=2, help="2 (default) runs both at the same time")
    parser.add_argument("--timeout", type=int, default=3600, help="seconds for one run of one file (default 3600)")
    parser.add_argument("--list", action="store_true", help="print the files and stop")
    arguments = parser.parse_args()
    root = folder_of_keras()
    files = chosen(test_files(root), root, arguments.files, arguments.skip)
    if not files:
        wanted = " or ".join(arguments.files) or "*_test.py"
        print(f"referee: expected test files ({wanted}) under {root}, found none; Keras 3.15 has them in its wheel")
        return 2
    if arguments.list:
        print("\n".join(str(file.relative_to(root)) for file in files))
        return 0
    print(f"keras {importlib.metadata.version('keras')}: {len(files)} test files, bare and in a guard", flush=True)
    totals, start = Totals(), time.monotonic()
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for number, file in enumerate(files, 1):
            name, began = file.relative_to(root).as_posix(), time.monotonic()
            print(f"[{number:2}/{len(files)}] {name}: ", end="", flush=True)
            runs = [pool.submit(run, file, arguments.k, arguments.timeout, guard=guard) for guard in (False, True)]
            bare, guarded = (each.result() for each in runs)
            compare(name, bare, guarded, totals, time.monotonic() - began)
    return closing(totals, time.monotonic() - start)


def folder_of_keras() -> Path:
    """Where Keras' sources are, without importing it."""
    spec = importlib.util.find_spec("keras")
    return Path("keras/src") if spec is None or spec.origin is None else Path(spec.origin).parent / "src"


def test_files(root: Path) -> list[Path]:
    """Test files that call what a guard guards, sorted by path."""
    return [file for file in sorted(root.rglob("*_test.py")) if calls_a_model(file.read_text(encoding="utf-8"))]


def calls_a_model(source: str) -> bool:
    """Whether a program calls one of ``METHODS``, or a variable whose name says that it is a model."""
    nodes = list(ast.walk(ast.parse(source)))
    calls = [node.func for node in nodes if isinstance(node, ast.Call)]
    if any(isinstance(call, ast.Attribute) and call.attr in METHODS for call in calls):
        return True
    variables = {_name(target) for node in nodes if isinstance(node, ast.Assign) for target in node.targets}
    return any("model" in name and name in variables for name in map(_name, calls))


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def chosen(files: Sequence[Path], root: Path, parts: Sequence[str], skip: Sequence[str]) -> list[Path]:
    """The files whose path under ``root`` contains one of the parts (all without parts) and none of ``skip``."""

    def has(file: Path, wanted: Sequence[str]) -> bool:
        return any(part in file.relative_to(root).as_posix() for part in wanted)

    return [file for file in files if (not parts or has(file, parts)) and not has(file, skip)]


def run(tests: Path, expression: str, timeout: int, *, guard: bool) -> dict[str, Any]:
    """One run of pytest, from an empty folder and without this project's settings."""
    with tempfile.TemporaryDirectory() as folder:
        outcomes = Path(folder) / "outcomes.json"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "in_a_guard", "-p", "no:cacheprovider"]
        command += ["-c", os.devnull, "--rootdir", folder, "--outcomes", str(outcomes), str(tests)]
        command += ["--guarded"] if guard else []
        command += ["-k", expression] if expression else []
        paths = os.pathsep.join([str(ROOT / "tests" / "referee"), str(ROOT)])
        environment = {**os.environ, **QUIET, "PYTHONPATH": paths, "KERAS_BACKEND": "tensorflow"}
        try:
            process = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=timeout
            )
        except subprocess.TimeoutExpired:
            return {"output": f"not finished after {timeout} seconds"}
        if not outcomes.exists():
            return {"output": process.stdout[-3000:] + process.stderr[-3000:]}
        found: dict[str, Any] = json.loads(outcomes.read_text(encoding="utf-8"))
        return found


def compare(name: str, bare: dict[str, Any], guarded: dict[str, Any], totals: Totals, seconds: float) -> None:
    """Print what differs in one file, and add it to the totals."""
    for title, side in (("bare", bare), ("guarded", guarded)):
        if "output" in side:
            print(f"the {title} run gave no outcomes:\n{side['output']}")
    if "output" in bare or "output" in guarded:
        totals.broken.append(name)
        return
    without, within = bare["outcomes"], guarded["outcomes"]
    different = [test for test in {**without, **within} if without.get(test) != within.get(test)]
    trouble = Counter(guarded["trouble"])
    totals.tests += len({**without, **within})
    totals.different += [f"{name}::{test}" for test in different]
    totals.bare += Counter(outcome for outcome, _ in without.values())
    totals.guarded += Counter(outcome for outcome, _ in within.values())
    totals.methods += Counter(guarded["methods"])
    totals.verdicts += Counter(guarded["verdicts"])
    totals.trouble += trouble
    said = f"{len(different)} of {len(without)} differ" if different else f"{len(without)} agree"
    print(f"{said}; guarded calls: {counted(Counter(guarded['methods']))}; {seconds:.0f} s")
    for test in different:
        print(f"  {test}\n    bare:    {in_short(without.get(test))}\n    guarded: {in_short(within.get(test))}")
    for why, times in trouble.items():
        print(f"  own trouble, {times} times: {why}")
    sys.stdout.flush()


def closing(totals: Totals, seconds: float) -> int:
    """Print what was compared; the exit status."""
    print(f"bare     {counted(totals.bare)}")
    print(f"guarded  {counted(totals.guarded)}")
    print(f"calls    {counted(totals.methods)}")
    # The labels fit nothing, so that all of the judging is gone through; what counts here is the outcome of the test.
    print(f"verdicts {counted(totals.verdicts)}")
    for test in totals.different:
        print(f"differs: {test}")
    for name in totals.broken:
        print(f"no outcomes: {name}")
    for why, times in totals.trouble.most_common():
        print(f"own trouble, {times} times: {why}")
    minutes = f"in {seconds / 60:.0f} minutes"
    if not totals.methods:
        print(f"referee: nothing was compared {minutes}")
        return 2
    bad = totals.different or totals.trouble or totals.broken
    print(
        f"referee: {'DIFFERS' if bad else 'AGREES'}: {len(totals.different):,} of {totals.tests:,} outcomes differ, "
        f"evalguard was in trouble {totals.trouble.total():,} times, "
        f"{len(totals.broken)} files gave no outcomes, {minutes}"
    )
    return 1 if bad else 0


def in_short(outcome: list[str] | None) -> str:
    """Outcome and the beginning of its reason."""
    return " ".join(" ".join(outcome).split())[:300] if outcome else "not run"


def counted(counter: Counter[str]) -> str:
    """``159 passed, 8 skipped``."""
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counter.items())) or "-"


if __name__ == "__main__":
    sys.exit(main())
