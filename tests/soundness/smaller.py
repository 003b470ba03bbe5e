"""A failing program made smaller, so that its script is short."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.soundness import trial
from tests.soundness.programs import Call, Program


def smallest(program: Program, breach: trial.Breach) -> tuple[Program, trial.Breach]:
    """A simpler program that breaks the same law, and how; found in a few dozen runs."""
    for simpler in _simpler(program):
        left = [each for each in trial.run(simpler).breaches if each.law == breach.law]
        if left:
            return smallest(simpler, left[0])
    return program, breach


def _simpler(program: Program) -> Iterator[Program]:
    """Programs that differ in one thing that is left out or usual, the largest difference first."""
    if len(program.calls) > 1:
        if not program.confirms:
            yield from (
                replace(program, together=False, entries=((call,),)) for call in program.calls if not call.again
            )
        for at, entry in enumerate(program.entries if len(program.entries) > 1 else ()):
            confirms = (program.confirms_of(at),) if program.confirms_of(at) else ()
            yield replace(program, entries=(entry,), confirms=confirms)
    if any(confirms[1:] for confirms in program.confirms):
        yield replace(program, confirms=tuple(confirms[:1] for confirms in program.confirms))
    for name, usually in (("form", "same"), ("y_true", "none"), ("where", "inside")):
        simpler = tuple(tuple(replace(each, **{name: usually}) for each in entry) for entry in program.confirms)
        if simpler != program.confirms:
            yield replace(program, confirms=simpler)
    usual = Program()
    for name in ("used_as", "scope", "on_failure", "require", "values", "targets", "engine"):
        if getattr(program, name) != getattr(usual, name):
            yield replace(program, **{name: getattr(usual, name)})
    if len(program.calls) == 1:
        (call,), plain = program.calls, Call()
        for name in ("thread", "scale", "dtype", "reused"):
            if getattr(call, name) != getattr(plain, name):
                yield replace(program, entries=((replace(call, **{name: getattr(plain, name)}),),))
