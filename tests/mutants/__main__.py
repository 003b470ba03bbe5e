"""Mutation testing: a module is changed in one small way at a time, and its own tests have to fail.

Changed are `evalguard/core` and `evalguard/capture/recording`; for each module only the test file in the same place
runs. A change on which no test fails is a survivor. Then a test is missing, or the line is not needed, or the change
makes no difference, which `tests/mutants/equal.py` says with the reason.

    python -m tests.mutants                            everything; what is finished is not run again
    python -m tests.mutants core/checks core/trace     modules with this in their path
    python -m tests.mutants --sample 20                20 random mutants of each module, for a quick look
    python -m tests.mutants core/checks --survivors    what survived so far, nothing is run
    python -m tests.mutants core/checks --list         all mutants, nothing is run

Results are kept in .mutants/, a file for each module, which begins again when the module or its tests change. A change
of what these import is not noticed: remove the file. Exit status 1: less than 92 % are killed; 2: the tests of a module
fail without a change.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.equal import EQUAL
from tests.mutants.forks import Module, modules, outcomes, prepare
from tests.mutants.operators import Mutant, mutants

ENOUGH = 0.92


class TestsError(Exception):
    """The tests of a module say nothing about its mutants."""


@dataclass(frozen=True)
class Work:
    """A module and those of its mutants that are run; results are kept in a file."""

    module: Module
    mutants: list[Mutant]

    @property
    def record(self) -> Path:
        """A line for each mutant that has run, behind one with the version that they are of."""
        return self.module.root / ".mutants" / f"{self.module.name}.jsonl"

    def done(self) -> dict[str, bool]:
        """Whether a mutant was killed, for those that have run."""
        lines = self.record.read_text().splitlines() if self.record.is_file() else []
        if lines[:1] != [json.dumps({"version": self.module.version})]:
            return {}
        # A line that a run could not finish is run again.
        whole = (json.loads(line) for line in lines[1:] if line.startswith("{") and line.endswith("}"))
        return {line["mutant"]: line["killed"] for line in whole}

    def run(self, jobs: int) -> Iterator[None]:
        """Run what has not run, and yield after each."""
        done, source = self.done(), self.module.source
        waiting = {each.name: each.applied(source) for each in self.mutants if each.name not in done}
        if not waiting:
            return
        prepare(self.module)
        start = time.monotonic()
        for _, status, told in outcomes(self.module, {"unchanged": source}):
            if status != 0:
                msg = f"the tests of {self.module.file} fail without a change:\n{told}"
                raise TestsError(msg)
        seconds = max(20, 10 * (time.monotonic() - start))
        for _, status, _ in outcomes(self.module, {"absent": b"raise ImportError"}):
            if status == 0:
                msg = f"the tests of {self.module.file} pass without it: they import something else"
                raise TestsError(msg)
        self.record.parent.mkdir(exist_ok=True)
        with self.record.open("a" if done else "w", buffering=1) as file:
            if not done:
                file.write(json.dumps({"version": self.module.version}) + "\n")
            for name, status, _ in outcomes(self.module, waiting, jobs, seconds):
                by = "timeout" if status is None else "test" if status else None
                file.write(json.dumps({"mutant": name, "killed": by is not None, "by": by}) + "\n")
                yield

    def results(self) -> Iterator[tuple[Mutant, str, bool, bool]]:
        """For each mutant that has run: its line, whether it was killed, and whether it is listed as equal."""
        done, lines = self.done(), self.module.source.decode().splitlines()
        for mutant in self.mutants:
            if mutant.name in done:
                line = lines[mutant.line - 1].strip()
                equal = any(each.fits(self.module.file, line, mutant.change) for each in EQUAL)
                yield mutant, line, done[mutant.name], equal


def run(work: list[Work], jobs: int) -> None:
    """Run everything that has not run, with a progress bar on a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    total = sum(mutant.name not in each.done() for each in work for mutant in each.mutants)
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("", total=total)
        for each in work:
            progress.update(bar, description=each.module.name)
            for _ in each.run(jobs):
                progress.advance(bar)


def summary(work: list[Work]) -> int:
    """Print the results; 1: too many survive."""
    n_killed = n_judged = 0
    details = []
    for each in work:
        results = list(each.results())
        judged = [killed for _, _, killed, equal in results if not equal]
        n_killed, n_judged = n_killed + sum(judged), n_judged + len(judged)
        if results:
            also = f", and {len(results) - len(judged)} equal" if len(judged) < len(results) else ""
            share = sum(judged) / max(1, len(judged))
            print(f"{sum(judged):5} of {len(judged):4} killed {share:5.0%}  {each.module.file}{also}")
        for mutant, line, killed, equal in results:
            if killed == equal:
                unequal = ": listed as equal, but a test fails" if equal else ""
                details.append(f"{each.module.file}:{mutant.line}: {mutant.change}{unequal}\n    {line}")
    print(*details, f"{n_killed:,} of {n_judged:,} mutants killed ({n_killed / max(1, n_judged):.1%})", sep="\n")
    return 0 if n_killed >= ENOUGH * n_judged else 1


def main() -> int:
    """Run from a command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modules", nargs="*", help="only modules whose path contains one of these")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (one for each core)")
    parser.add_argument("--sample", type=int, metavar="N", help="N random mutants of each module, always the same")
    parser.add_argument("--survivors", action="store_true", help="show what survived so far and stop")
    parser.add_argument("--list", action="store_true", help="show the mutants and stop")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[2], help="another checkout (this one)")
    options = parser.parse_args()
    # As by Ctrl-C: a mutant that loops must not be left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    work = []
    for module in modules(options.root.resolve(), options.modules):
        found = mutants(module.source)
        if options.sample is not None:
            found = random.Random(1).sample(found, min(options.sample, len(found)))  # noqa: S311 - it keeps no secret
        work.append(Work(module, found))
    if not any(each.mutants for each in work):
        parser.error(f"no mutants in {options.modules}: expected parts of paths, such as core/checks")
    if options.list:
        print(*(f"{each.module.file}:{mutant.name}" for each in work for mutant in each.mutants), sep="\n")
        return 0
    try:
        if not options.survivors:
            run(work, options.jobs)
    except TestsError as why:
        print(why, file=sys.stderr)
        return 2
    return summary(work)


if __name__ == "__main__":
    sys.exit(main())
