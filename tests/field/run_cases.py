"""Run folders of field cases through the guard, each in its own process, and print the results.

A case is a script with ``build()``, which returns a dict: "call" (what the user did), "labels",
"truth" (aligned or misaligned) and "why". Its ``check(case)`` says whether the rows that "call" returns
are aligned; it gets those of the guarded call, because some faults are races that do not happen in each
run. The folder's ``adapters.py`` says what that user had at hand, as options of ``evalguard.guard``, and
whose result is confirmed (``CONFIRMED``); the table in its ``README.md`` names verdicts and causes.
Nothing here knows a case.

    python tests/field/run_cases.py DIR [DIR ...] [--only 01,112] [--skip 38] [--jobs 2] [--json FILE]

Exit status: 0 if every case is right.
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
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULT = "EVALGUARD_CASE "
WORST = ("FAIL", "UNPROVEN", "REPAIRED", "PASS")
PROOFS = ("identity", "labels", "declared", "transport", "count")
COLUMNS = ("case", "the user also has", "verdict, proof", "cause named")
# What is known of a case that gave no answer.
NOTHING = {"truth": "?", "observed": "?", "verdict": "none", "proof": "", "cause": ""}
TIMEOUT_S = 300
# Share of the misaligned cases whose first cause should be that of the table.
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


def number_of(case: str) -> str:
    """The number that the name of a case begins with."""
    return case.partition("_")[0]


def judge_case(path: Path) -> dict[str, Any]:
    """Run one case under the guard, in this process."""
    import evalguard

    warnings.simplefilter("ignore")
    number = number_of(path.stem)
    adapters = load(path.parent / "adapters.py", "adapters")
    module = load(path, "case_under_test")
    case = module.build()
    result: dict[str, Any] = {**NOTHING, "case": path.stem, "truth": case["truth"]}
    done: Future[Any] = Future()
    options = adapters.options(number, case)
    try:
        g: Any = evalguard.guard(on_failure="record", on_unproven="record", mlflow=False, **options)
        with g:
            done.set_result(case["call"]())
            if number in getattr(adapters, "CONFIRMED", ()):
                g.confirm(done.result())
    except Exception as error:  # noqa: BLE001 - the table shows what happened
        result["verdict"] = f"{type(error).__name__}: {error}"[:300]
        if not done.done():
            done.set_exception(error)
    # The same rows, or the same error, and not those of another call.
    case["call"] = done.result
    result["observed"] = module.check(case)["observed"]
    if result["verdict"] != "none":
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
    result: dict[str, Any] = {**NOTHING, "case": path.stem}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment, check=False)
    except subprocess.TimeoutExpired:
        return {**result, "verdict": f"no answer in {TIMEOUT_S} s"}
    for line in done.stdout.splitlines():
        if line.startswith(RESULT):
            return dict(json.loads(line.removeprefix(RESULT)))
    return {**result, "verdict": f"exit {done.returncode}: {done.stderr.strip()[-200:]}"}


@dataclass(frozen=True)
class Expected:
    """What a folder's table says of a case.

    Attributes:
        verdicts: Each of them is right.
        proof: The proof that it must have; empty: any.
        cause: How the first cause must begin; "-": none is asked for.
    """

    verdicts: tuple[str, ...]
    proof: str = ""
    cause: str = "-"


def table_of(folder: Path) -> dict[str, Expected]:
    """Case number → what the table in the folder's README says; a row may list several cases."""
    table = folder / "README.md"
    lines = table.read_text(encoding="utf-8").splitlines() if table.is_file() else []
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines if line.startswith("| ")]
    found: dict[str, Expected] = {}
    for row in cells:
        numbers = re.match(r"\d+(, \d+)*", row[0])
        if len(row) == len(COLUMNS) and numbers is not None:
            found |= dict.fromkeys(numbers[0].split(", "), _expected(row[2], row[3]))
    return found


def _expected(verdict: str, cause: str) -> Expected:
    """From ``FAIL, identity``, ``PASS or UNPROVEN, never FAIL``, ``never PASS``, …: what follows is for the reader."""
    if verdict.startswith("never PASS"):
        return Expected(("FAIL", "UNPROVEN"), cause=cause)
    said = re.match(rf"({'|'.join(WORST)})(?: or ({'|'.join(WORST)}))?(?:, ({'|'.join(PROOFS)})\b)?", verdict)
    if said is None:
        msg = f"expected a verdict in the table, found {verdict!r}"
        raise ValueError(msg)
    return Expected(tuple(filter(None, said.groups()[:2])), said[3] or "", cause)


def right(result: dict[str, Any], expected: Expected | None) -> bool:
    """Whether the verdict is that of the table, or else FAIL for what is misaligned and PASS for what is aligned."""
    observed, verdict = result["observed"], result["verdict"]
    # A race that did not happen is an aligned run: nothing in it can be proven wrong.
    if observed == "aligned" != result["truth"]:
        return verdict in WORST and verdict != "FAIL"
    if observed == result["truth"] and expected is not None:
        return verdict in expected.verdicts and expected.proof in {"", result["proof"]}
    return bool(verdict == {"aligned": "PASS", "misaligned": "FAIL"}.get(observed))


def causes_named(results: list[dict[str, Any]], table: dict[str, Expected]) -> tuple[int, int]:
    """How many first causes are those of the table, and how many it names for what went wrong in this run."""
    wrong = [result for result in results if result["observed"] == "misaligned"]
    told = [(table[number].cause, item["cause"]) for item in wrong if (number := number_of(item["case"])) in table]
    told = [(cause, first) for cause, first in told if cause != "-"]
    return sum(first.startswith(cause) for cause, first in told), len(told)


def main(given: Sequence[str] | None = None) -> int:
    """Run the folders and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--only", default="", help="comma-separated case numbers")
    parser.add_argument("--skip", default="", help="comma-separated case numbers to leave out")
    parser.add_argument("--jobs", type=int, default=2, help="cases at a time")
    parser.add_argument("--json", type=Path, help="write the results to this file as well")
    arguments = parser.parse_args(given)
    if arguments.one:
        print(RESULT + json.dumps(judge_case(arguments.one)))
        return 0
    if not arguments.folders or not all((folder / "adapters.py").is_file() for folder in arguments.folders):
        parser.error("expected folders with case scripts and adapters.py")
    table = {number: row for folder in arguments.folders for number, row in table_of(folder).items()}
    paths = [path for folder in arguments.folders for path in sorted(folder.resolve().glob("[0-9]*_*.py"))]
    only, skip = ({number for number in text.split(",") if number} for text in (arguments.only, arguments.skip))
    paths = [path for path in paths if not only or number_of(path.name) in only]
    paths = [path for path in paths if number_of(path.name) not in skip]
    results = []
    print(f" {'case':47} {'returned':10} {'verdict':10} {'proof':9} cause", flush=True)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for result in pool.map(run_case, paths):
            results.append({**result, "right": right(result, table.get(number_of(result["case"])))})
            print(_line(results[-1], table.get(number_of(result["case"]))), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")
    false_fail = sum(result["observed"] == "aligned" and result["verdict"] == "FAIL" for result in results)
    missed = sum(result["observed"] == "misaligned" and not result["right"] for result in results)
    unproven = sum(result["observed"] == "aligned" and result["verdict"] not in {"PASS", "FAIL"} for result in results)
    named, all_named = causes_named(results, table)
    if all_named:
        share = named / all_named
        verdict = f"{share:.0%}, at least {LEAST_NAMED:.0%}: {'holds' if share >= LEAST_NAMED else 'BROKEN'}"
        print(f"{named} of {all_named} causes named as in the tables ({verdict})")
    done = sum(result["right"] for result in results)
    print(f"{done} of {len(results)} right, {missed} missed, {false_fail} false FAIL, {unproven} aligned not proven")
    return 0 if done == len(results) else 1


def _line(result: dict[str, Any], expected: Expected | None) -> str:
    shown = (f"{result[name]:{width}}" for name, width in (("observed", 10), ("verdict", 10), ("proof", 9)))
    text = f"{' ' if result['right'] else '*'}{result['case']:47} {' '.join(shown)} {result['cause']}"
    if result["observed"] != result["truth"]:
        return f"{text}  (the case is {result['truth']})"
    if result["right"] or expected is None:
        return text
    return f"{text}  (expected {' or '.join(expected.verdicts)}{expected.proof and f', {expected.proof}'})"


if __name__ == "__main__":
    sys.exit(main())
