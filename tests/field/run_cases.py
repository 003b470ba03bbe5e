"""Run a folder of field cases through the guard, each in its own process, and print the results.

A case is a script with ``build()``, which returns a dict: "call" (what the user did),
"labels", "truth" (aligned or misaligned) and "why"; the folder's ``adapters.py`` says what that
user had at hand, as options of ``evalguard.guard``. Nothing here knows a case.

    python tests/field/run_cases.py DIR [--only 01,12] [--skip 38] [--jobs 2] [--json FILE]

Exit status: 0 if every misaligned case is a FAIL and no aligned one is.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

RESULT = "EVALGUARD_CASE "
WORST = ("FAIL", "UNPROVEN", "REPAIRED", "PASS")
TIMEOUT_S = 300
# Share of the misaligned cases whose first cause must be that of the table.
LEAST_NAMED = 0.9


def load(path: Path, name: str) -> Any:
    """A module from a file, whatever its name looks like."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        msg = f"cannot load {path}"
        raise ImportError(msg)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def judge_case(path: Path) -> dict[str, Any]:
    """Run one case under the guard, in this process."""
    import evalguard

    warnings.simplefilter("ignore")
    number = path.name.partition("_")[0]
    adapters = load(path.parent / "adapters.py", "adapters")
    case = load(path, "case_under_test").build()
    options = adapters.options(number, case)
    result: dict[str, Any] = {"case": path.stem, "truth": case["truth"], "verdict": "none", "proof": "", "cause": ""}
    try:
        with evalguard.guard(on_failure="record", on_unproven="record", mlflow=False, **options) as g:
            case["call"]()
    except Exception as error:  # noqa: BLE001 - the table shows what happened
        result["verdict"] = f"{type(error).__name__}: {error}"[:300]
        return result
    # The last of the worst: a call that followed others is what the report is about.
    report = min(reversed(g.reports), key=lambda item: WORST.index(item.verdict.value))
    result.update(
        verdict=report.verdict.value,
        proof=report.proof,
        counts=dict(report.counts),
        causes=[item.cause for item in report.diagnosis],
        certain=[item.certain for item in report.diagnosis],
        not_proven=list(report.not_proven),
        findings=[finding.message for finding in report.findings],
    )
    result["cause"] = result["causes"][0] if result["causes"] else ""
    return result


def run_case(path: Path) -> dict[str, Any]:
    """One case in a separate process."""
    command = [sys.executable, __file__, "--one", str(path)]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": "-1"}
    environment = {**os.environ, **quiet}
    result: dict[str, Any] = {"case": path.stem, "truth": "?", "verdict": "none", "proof": "", "cause": ""}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment, check=False)
    except subprocess.TimeoutExpired:
        return {**result, "verdict": f"no answer in {TIMEOUT_S} s"}
    for line in done.stdout.splitlines():
        if line.startswith(RESULT):
            return dict(json.loads(line.removeprefix(RESULT)))
    return {**result, "verdict": f"exit {done.returncode}: {done.stderr.strip()[-200:]}"}


def run_twice(path: Path) -> dict[str, Any]:
    """One case, and once more where a wrong row was not seen: some faults are races, and may not happen."""
    first = run_case(path)
    if first["truth"] != "misaligned" or first["verdict"] != "PASS":
        return first
    return {**run_case(path), "first": "PASS"}


def right(result: dict[str, Any]) -> bool:
    """A misaligned case must FAIL; an aligned one must PASS."""
    return bool(result["verdict"] == ("FAIL" if result["truth"] == "misaligned" else "PASS"))


def causes_named(folder: Path, results: list[dict[str, Any]]) -> tuple[int, int]:
    """How many first causes are those of the table in the folder's README, and how many it names."""
    table = folder / "README.md"
    lines = table.read_text(encoding="utf-8").splitlines() if table.is_file() else []
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines if line.startswith("| ")]
    wanted = {number: row[3] for row in cells if len(row) == 4 for number in re.findall(r"\b\d\d\b", row[0])}
    told = [(wanted.get(result["case"].partition("_")[0], "-"), result["cause"]) for result in results]
    told = [(cause, first) for cause, first in told if cause != "-"]
    return sum(first.startswith(cause) for cause, first in told), len(told)


def main() -> int:
    """Run the folder and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--only", default="", help="comma-separated case numbers")
    parser.add_argument("--skip", default="", help="comma-separated case numbers to leave out")
    parser.add_argument("--jobs", type=int, default=2, help="cases at a time")
    parser.add_argument("--json", type=Path, help="write the results to this file as well")
    arguments = parser.parse_args()
    if arguments.one:
        print(RESULT + json.dumps(judge_case(arguments.one)))
        return 0
    if arguments.folder is None or not (arguments.folder / "adapters.py").is_file():
        parser.error("expected a folder with case scripts and adapters.py")
    only = {number for number in arguments.only.split(",") if number}
    paths = sorted(arguments.folder.resolve().glob("[0-9]*_*.py"))
    paths = [path for path in paths if not only or path.name.partition("_")[0] in only]
    skip = set(arguments.skip.split(","))
    paths = [path for path in paths if path.name.partition("_")[0] not in skip]
    results = []
    print(f"{'case':48} {'truth':10} {'verdict':10} {'proof':9} cause", flush=True)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for result in pool.map(run_twice, paths):
            results.append(result)
            mark = " " if right(result) else "*"
            shown = (f"{result[name]:{width}}" for name, width in (("truth", 10), ("verdict", 10), ("proof", 9)))
            again = "  (PASS at first: did the fault happen?)" if "first" in result else ""
            print(f"{mark}{result['case']:47} {' '.join(shown)} {result['cause']}{again}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")
    false_fail = sum(result["truth"] == "aligned" and result["verdict"] == "FAIL" for result in results)
    missed = sum(result["truth"] != "aligned" and result["verdict"] != "FAIL" for result in results)
    unproven = sum(result["truth"] == "aligned" and result["verdict"] not in {"PASS", "FAIL"} for result in results)
    named, all_named = causes_named(arguments.folder, results)
    if all_named:
        share = named / all_named
        verdict = f"{share:.0%}, at least {LEAST_NAMED:.0%}: {'holds' if share >= LEAST_NAMED else 'BROKEN'}"
        print(f"{named} of {all_named} causes named as in the folder's table ({verdict})")
    print(f"{sum(map(right, results))} of {len(results)} right, {false_fail} false FAIL, {unproven} aligned not proven")
    return 1 if missed or false_fail else 0


if __name__ == "__main__":
    sys.exit(main())
