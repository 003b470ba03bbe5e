"""Why a later validation of one ``fit`` is scored on other samples than the first, as the source shows it."""

from __future__ import annotations

from evalguard.core.diagnosis import remedies
from evalguard.core.diagnosis.orders import RESHUFFLED, SHUFFLED
from evalguard.core.diagnosis.starts import LEFTOVER, NOT_AT_START
from evalguard.core.diagnosis.unknown import UNKNOWN_CAUSE
from evalguard.core.diagnosis.view import View, cause
from evalguard.core.findings import Cause
from evalguard.core.plural import plural

CALL = "model.fit(..., validation_data={}{})"


def drift(view: View) -> Cause:
    """The cause that the facts about the source show; a cause that says "unknown" if they show none.

    Args:
        view: The first validation that differs, with its samples as rows of the first one.
    """
    for recognise in (leftover, generator, reshuffled):
        found = recognise(view)
        if found is not None:
            return found
    return cause(
        UNKNOWN_CAUSE + "later validations hold other samples than the first",
        certain=False,
        evidence=f"no known fact about {view.name} explains it",
        before=_fit(view, view.name),
        after=f"check what {view.name} returns when it is read again, or validate on arrays",
    )


def leftover(view: View) -> Cause | None:
    """A PyDataset with several workers is stopped early: its queue keeps what the previous epoch did not use."""
    steps, batches, workers = (view.fact(name) for name in ("steps", "num_batches", "workers"))
    if view.kind != "pydataset" or workers < 2 or not 0 < steps < batches:
        return None
    return cause(
        LEFTOVER,
        certain=False,
        evidence=f"each validation takes {steps} of {plural(batches, 'batch')}, workers={workers}: "
        "the queue keeps the batches made ahead, and the next validation begins with them",
        before=_fit(view, f"{view.name}(..., workers={workers})"),
        after=f"{_fit(view, f'{view.name}(..., workers=1)')}  # or no validation_steps: the whole set each time",
        reproduced="keras 3.15",
    )


def generator(view: View) -> Cause | None:
    """All epochs read one generator object."""
    if view.kind != "generator":
        return None
    return cause(
        NOT_AT_START,
        certain=True,
        evidence=f"all epochs read one generator {view.name}: each validation continues "
        "where the previous one stopped reading, prefetched batches included",
        before=_fit(view, f"{view.name}(...)"),
        after="model.fit(..., validation_data=dataset)  # arrays, tf.data and a PyDataset start again at each epoch",
        reproduced="keras 3.15, tf_keras 2.21",
    )


def reshuffled(view: View) -> Cause | None:
    """A part of a dataset that is shuffled at each pass holds other samples each time."""
    each_pass, shuffles = view.facts.get("reshuffled_each_pass"), view.facts.get("shuffle")
    if not each_pass and not shuffles:
        return None
    part = f"{view.fact('steps')} steps of it are" if view.fact("steps") else "a part of it is"
    fixed = "ds.take(n)" if each_pass else f"{remedies.factory(view)}(..., shuffle=False)"
    return cause(
        RESHUFFLED if each_pass else SHUFFLED,
        certain=True,
        evidence=f"{view.name} is shuffled whenever it is read, and {part} another part each time",
        before=_fit(view, "ds.shuffle(...).take(n)" if each_pass else f"{remedies.factory(view)}(..., shuffle=True)"),
        after=f"{_fit(view, fixed)}  # no shuffle: the order does not change any metric",
        reproduced="keras 3.15" if each_pass else "",
    )


def _fit(view: View, source: str) -> str:
    steps = view.fact("steps")
    return CALL.format(source, f", validation_steps={steps}" if steps else "")
