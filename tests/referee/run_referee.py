"""Keras' own training tests as a referee: the same outcomes inside a guard as without one.

    python tests/referee/run_referee.py [-k EXPRESSION] [--jobs 2]

Runs ``keras/src/trainers/trainer_test.py`` of the installed Keras twice, once as
it is and once with a guard around each test, so that every ``predict``,
``evaluate``, ``predict_on_batch`` and ``test_on_batch`` in it is guarded, and
compares: which tests passed, failed or were skipped, and with what words.

Exit status: 0 if nothing differs, 1 if something does, 2 if there is nothing to compare.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TESTS = Path("src/trainers/trainer_test.py")
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": "-1"}


def main() -> int:
    """Run both, print what differs and a summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", default="", metavar="EXPRESSION", help="only tests that match, as for pytest")
    parser.add_argument("--jobs", type=int, default=2, help="2 (default) runs both at the same time")
    arguments = parser.parse_args()
    tests = tests_of_keras()
    if not tests.exists():
        print(
            f"referee: expected {TESTS} in the installed Keras, found none; take a release whose wheel holds it (3.15)"
        )
        return 2
    print(f"keras {importlib.metadata.version('keras')}, {TESTS}: bare, and in a guard ...", flush=True)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        bare, guarded = pool.map(lambda guard: run(tests, arguments.k, guard=guard), (False, True))
    return compare(bare, guarded)


def tests_of_keras() -> Path:
    """Where they would be."""
    spec = importlib.util.find_spec("keras")
    if spec is None or spec.origin is None:
        return TESTS
    return Path(spec.origin).parent / TESTS


def run(tests: Path, expression: str, *, guard: bool) -> dict[str, Any]:
    """One run of pytest, from an empty folder and without this project's settings."""
    with tempfile.TemporaryDirectory() as folder:
        outcomes = Path(folder) / "outcomes.json"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "in_a_guard", "-p", "no:cacheprovider"]
        command += ["-c", os.devnull, "--rootdir", folder, "--outcomes", str(outcomes), str(tests)]
        command += ["--guarded"] if guard else []
        command += ["-k", expression] if expression else []
        paths = os.pathsep.join([str(ROOT / "tests" / "referee"), str(ROOT)])
        environment = {**os.environ, **QUIET, "PYTHONPATH": paths, "KERAS_BACKEND": "tensorflow"}
        start = time.monotonic()
        process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if not outcomes.exists():
            return {"outcomes": {}, "output": process.stdout[-3000:] + process.stderr[-3000:]}
        return {**json.loads(outcomes.read_text(encoding="utf-8")), "seconds": time.monotonic() - start}


def compare(bare: dict[str, Any], guarded: dict[str, Any]) -> int:
    """Print the differences, and what was compared."""
    without, within = bare["outcomes"], guarded["outcomes"]
    for side in (bare, guarded):
        if "output" in side:
            print(side["output"])
    different = [name for name in {**without, **within} if without.get(name) != within.get(name)]
    for name in different:
        print(f"\n{name}\n  bare:    {in_short(without.get(name))}\n  guarded: {in_short(within.get(name))}")
    for title, side in (("bare", bare), ("guarded", guarded)):
        print(f"{title:8} {counted(Counter(outcome for outcome, _ in side['outcomes'].values()))}")
    print(f"calls    {counted(Counter(guarded.get('methods', {})))}")
    # The labels fit nothing, so that all of the judging is gone through; what counts here is the outcome of the test.
    print(f"verdicts {counted(Counter(guarded.get('verdicts', {})))}")
    for why, times in guarded.get("unobserved", {}).items():
        print(f"  {times} times: {why}")
    if not without or not guarded.get("methods"):
        print("nothing was compared")
        return 2
    print(f"{len(different)} of {len(without)} outcomes differ" if different else f"all {len(without)} outcomes agree")
    return 1 if different else 0


def in_short(outcome: list[str] | None) -> str:
    """Outcome and the beginning of its reason."""
    return " ".join(" ".join(outcome).split())[:200] if outcome else "not run"


def counted(counter: Counter[str]) -> str:
    """``159 passed, 8 skipped``."""
    return ", ".join(f"{count} {name}" for name, count in sorted(counter.items())) or "-"


if __name__ == "__main__":
    sys.exit(main())
