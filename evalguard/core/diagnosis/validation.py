"""Why a later validation of one ``fit`` is scored on other samples than the first, by what is known of the source."""

from __future__ import annotations

from evalguard.core.diagnosis.catalogue import cause
from evalguard.core.diagnosis.view import View
from evalguard.core.findings import Cause
from evalguard.core.plural import plural, verb


def drift(view: View) -> Cause:
    """The cause that the facts about the source show; a cause that says "unknown" if they show none.

    Args:
        view: The first validation that differs, with its samples as rows of the first one.
    """
    for recognise in (leftover, generator, reshuffled):
        found = recognise(view)
        if found is not None:
            return found
    evidence = f"no known fact about {view.name} explains it"
    return cause(view, "validation_unknown", certain=False, evidence=evidence, steps=_steps(view))


def leftover(view: View) -> Cause | None:
    """A PyDataset with several workers is stopped early: its queue keeps what the previous epoch did not use."""
    steps, batches, workers = (view.fact(name) for name in ("steps", "num_batches", "workers"))
    if view.kind != "pydataset" or workers < 2 or not 0 < steps < batches:
        return None
    evidence = (
        f"each validation takes {steps:,} of {plural(batches, 'batch')}, workers={workers}: "
        "the queue keeps the batches made ahead, and the next validation begins with them"
    )
    return cause(view, "leftover", certain=False, evidence=evidence, fixes=("validation_leftover",), steps=_steps(view))


def generator(view: View) -> Cause | None:
    """All epochs read one generator object."""
    if view.kind != "generator":
        return None
    evidence = (
        f"all epochs read one generator {view.name}: each validation continues "
        "where the previous one stopped reading, prefetched batches included"
    )
    return cause(
        view, "not_at_start", certain=True, evidence=evidence, fixes=("validation_generator",), steps=_steps(view)
    )


def reshuffled(view: View) -> Cause | None:
    """A part of a dataset that is shuffled at each pass holds other samples each time."""
    each_pass, shuffles = view.facts.get("reshuffled_each_pass"), view.facts.get("shuffle")
    if not each_pass and not shuffles:
        return None
    steps = view.fact("steps")
    part = f"{plural(steps, 'step')} of it {verb(steps, 'is', 'are')}" if steps else "a part of it is"
    evidence = f"{view.name} is shuffled whenever it is read, and {part} another part each time"
    return cause(
        view,
        "reshuffled" if each_pass else "validation_shuffled",
        certain=True,
        evidence=evidence,
        fixes=("validation_reshuffled" if each_pass else "validation_shuffled",),
        steps=_steps(view),
    )


def _steps(view: View) -> str:
    """The argument of ``fit`` that limits a validation; empty if there is none."""
    steps = view.fact("steps")
    return f", validation_steps={steps}" if steps else ""
