"""Many programs in several processes, each a block of them; the same programs for the same seed."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

# Before a framework is imported; the worker processes import this module first.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("EVALGUARD_STRICT", "1")

BLOCK = 100
# Programs between two collections of garbage.
BETWEEN = 20
Line = dict[str, Any]


def written(seed: int, n: int) -> list[Line]:
    """Write and run ``n`` programs.

    They are the same for the same seed in a fresh process: Hypothesis also draws constants that it finds in whatever
    modules of the project are imported.
    """
    from tests.soundness import trial

    lines: list[Line] = []
    write(seed, n, lambda program: lines.append(line_of(trial.run(program))))
    return lines


def write(seed: int, n: int, work: Callable[[Any], None]) -> None:
    """Call ``work`` with ``n`` random programs."""
    from hypothesis import HealthCheck, Phase, settings
    from hypothesis import seed as seeded
    from hypothesis.stateful import run_state_machine_as_test

    from tests.soundness.machine import STEPS, Evaluations
    from tests.soundness.programs import Program

    seen: set[Program] = set()

    def once(program: Program) -> None:
        # Hypothesis varies choices that change nothing.
        if program not in seen and len(seen) < n:
            seen.add(program)
            work(program)
            _tidy(len(seen))

    run_state_machine_as_test(
        seeded(seed)(type("Machine", (Evaluations,), {"work": staticmethod(once)})),
        settings=settings(
            # Some examples come to the same program.
            max_examples=n + n // 4,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize=False,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def again(lines: list[Line]) -> list[Line]:
    """Run recorded programs."""
    from tests.soundness import trial
    from tests.soundness.programs import Program

    found = []
    for number, line in enumerate(lines, 1):
        found.append(line_of(trial.run(Program.from_json(json.dumps(line["program"])))))
        _tidy(number)
    return found


def _tidy(n_run: int) -> None:
    """Collect garbage between programs, and never while one runs."""
    from tests.soundness.trial import collect_garbage

    gc.disable()
    if n_run == 1:
        # What the frameworks keep for ever need not be searched.
        gc.freeze()
    if n_run % BETWEEN == 0:
        collect_garbage()


def line_of(done: Any) -> Line:
    """A program that has run, as data."""
    from tests.soundness.scripts import script

    breaches = [
        {"law": breach.law, "what": breach.what, "script": script(done.program, breach.what)}
        for breach in done.breaches
    ]
    return {"program": json.loads(done.program.to_json()), "observed": done.observed(), "breaches": breaches}


def in_blocks(
    jobs: int, work: Callable[..., list[Line]], blocks: Sequence[tuple[Any, ...]], total: int
) -> Iterator[Line]:
    """The lines of all blocks, in their order, with a progress bar on a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    for lines in track(_done(jobs, work, blocks), f"{total:,} programs", total=len(blocks), console=console):
        yield from lines


def _done(jobs: int, work: Callable[..., list[Line]], blocks: Sequence[tuple[Any, ...]]) -> Iterator[list[Line]]:
    # Fresh processes every few blocks: models and compiled functions of thousands of programs would fill the memory.
    # Not by `max_tasks_per_child`: a pool waits for ever once all of its workers end together (CPython 3.11).
    for start in range(0, len(blocks), 10 * jobs):
        some = blocks[start : start + 10 * jobs]
        with ProcessPoolExecutor(min(jobs, len(some)), mp_context=get_context("spawn")) as pool:
            yield from pool.map(work, *zip(*some, strict=True))
