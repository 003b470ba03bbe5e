"""Too many rows or too few: dropped tails, streams that start again, copies, samples left out.

Longer than 300 lines because many faults change the number of rows.
"""

from __future__ import annotations

import numpy as np

from evalguard.core import arrivals
from evalguard.core.columns.chunks import counts_up
from evalguard.core.diagnosis.catalogue import DROPPING, cause, is_image_iterator
from evalguard.core.diagnosis.pieces import subset
from evalguard.core.diagnosis.repeats import repeated, run_twice
from evalguard.core.diagnosis.view import MAX_KEY, View, listed, named
from evalguard.core.findings import Cause
from evalguard.core.matching import occurrence
from evalguard.core.plural import plural, verb
from evalguard.core.shown_keys import shown_key
from evalguard.core.trace import Int64

MAX_REPLICAS = 1024
# One in so many patterns may be chance; fewer where the pipeline drops batches.
CHANCES, FEWER_CHANCES = 256, 16


# -- Too many rows ----------------------------------------------------------------------------------------------------


def full_batches(view: View) -> Cause | None:
    """0..K-1, 0..K-1: the rows of the last, partial batch of a pass are never emitted."""
    if not view.batch or not view.n % view.batch:
        return None
    full = view.n - view.n % view.batch
    if view.n_rows <= full or not full or not view.wraps_after(full):
        return None
    evidence = (
        f"after sample {full - 1:,} comes sample 0 again: {full:,} = {view.n:,} - {view.n:,} mod {view.batch:,}, "
        f"so the last {plural(view.n - full, 'sample')} {verb(view.n - full, 'is', 'are')} never emitted"
    )
    return cause(view, "full_batches", certain=True, evidence=evidence, fixes=("full_batches", "dropped"))


def _wraps(view: View) -> int:
    """Number of rows after the last label, if the stream is in order and starts again; else 0."""
    extra = view.n_rows - view.n
    return extra if extra > 0 and view.wraps_after(view.n) else 0


def wrapped(view: View) -> Cause | None:
    """The stream ends with samples 0..r again."""
    extra = view.n_rows - view.n
    if extra <= 0 or repeated(view) is not None or run_twice(view) is not None:
        return None
    steps = view.fact("steps")
    counted = bool(steps and view.batch) and steps * view.batch >= view.n_rows > (steps - 1) * view.batch
    again = _wraps(view)
    # With samples unknown or shuffled, only a number of steps that explains the rows is evidence for this cause.
    if not again and (not counted or view.foreign or (view.samples is not None and view.missing.size)):
        return None
    evidence = f"{plural(view.n_rows, 'row')} for {plural(view.n, 'label')}"
    if again:
        evidence += f": after sample {view.n - 1:,} come samples 0 to {(again - 1) % view.n:,} again"
    if counted:
        evidence += f"; {plural(steps, 'step')} of {plural(view.batch, 'row')}"
    return cause(view, "wrapped", certain=bool(again) and counted, evidence=evidence)


def padded(view: View) -> Cause | None:
    """The rows after the last label are copies of one sample, or declared dummies."""
    extra, ordered = view.n_rows - view.n, view.trace.ordered
    if (
        extra <= 0
        or view.samples is None
        or not (counts_up(view.rows[: view.n]) if ordered else len(view.again) == extra)
    ):
        return None
    tail = view.rows[view.n :] if ordered else view.again
    declared = view.trace.padding is not None and bool(view.trace.padding[view.n : view.n_rows].all())
    one = bool((tail == tail[0]).all()) and 0 <= tail[0] < view.n
    # One copy of sample 0 may also be the start of a second pass.
    if not declared and (not one or (tail[0] == 0 and extra == 1 and view.kind != "arrays")):
        return None
    whole = bool(view.batch) and view.n_rows % view.batch == 0
    copies = f"copies of sample {int(tail[0]):,}" if one else "declared dummies"
    fill = f", which fill up the last batch of {view.batch:,}" if whole else ""
    certain = declared or (one and extra > 1 and whole and extra < view.batch)
    which = "after the last label" if ordered else "that are too many"
    evidence = f"the {plural(extra, 'row')} {which} are {copies}{fill}"
    return cause(view, "padded", certain=certain, evidence=evidence)


def sampler(view: View) -> Cause | None:
    """The stream ends with the first samples again, so that W replicas get the same number of batches."""
    extra = _wraps(view)
    if not extra or not view.batch or extra >= view.n:
        return None
    replicas = view.fact("replicas")
    if replicas < 2:
        # A number of steps that is rounded up gives less than a batch too many.
        if "steps" in view.facts or extra < view.batch:
            return None
        fits = [w for w in range(2, MAX_REPLICAS) if -view.n % (w * view.batch) == extra]
        replicas = fits[0] if fits else 0
    if replicas < 2 or -view.n % (replicas * view.batch) != extra:
        return None
    evidence = (
        f"the last {plural(extra, 'row')} are the first samples again: {extra:,} = (-{view.n:,}) mod "
        f"({replicas:,} replicas × {view.batch:,})"
    )
    return cause(view, "sampler", certain=view.fact("replicas") > 1 and extra >= view.batch, evidence=evidence)


def copied(view: View) -> Cause | None:
    """Several readers each read the whole source: every sample comes once from each of them."""
    if view.samples is None or not view.duplicates or view.foreign or view.unnamed:
        return None
    factor = int(arrivals.arrival_counts(view.rows, view.n).max())
    if not _copies(view, factor):
        return None
    if repeated(view) is not None or run_twice(view) is not None:
        return None
    workers = max(view.fact("workers"), view.fact("replicas"))
    steps = view.fact("steps") * view.batch
    # A second complete pass that `steps` asks for is a stream that starts again.
    if _wraps(view) and (view.n_rows % view.n or steps >= view.n_rows):
        return None
    matches = workers == factor and (bool(view.facts.get("use_multiprocessing")) or view.fact("replicas") == factor)
    evidence = (
        f"{plural(view.duplicates, 'row')} {verb(view.duplicates, 'repeats', 'repeat')} a sample, each up to "
        f"{factor:,} times{' and each time in order' * view.trace.ordered}"
        + (f"; {workers:,} workers" if workers > 1 else "")
        + (f"; the last {plural(view.missing.size, 'sample')} never arrived" if view.missing.size else "")
    )
    return cause(
        view,
        "copied",
        certain=matches and not _wraps(view),
        evidence=evidence,
        factor=workers or factor,
        parallel=view.call(view.name, workers=workers or factor, use_multiprocessing=True),
    )


def _copies(view: View, factor: int) -> bool:
    """Whether the first, second, … arrivals of samples are each 0, 1, 2, …, and long enough to be copies."""
    if factor < 2 or factor > MAX_REPLICAS or view.duplicates <= max(view.batch, view.n_rows // 4):
        return False
    rank = occurrence(view.rows)
    arrivals = (view.rows[rank == number] for number in range(factor))
    return all(counts_up(samples) for samples in arrivals)


# -- Too few rows -----------------------------------------------------------------------------------------------------


def _short(view: View) -> int:
    """Number of samples missing because fewer rows arrived, each of them once; else 0."""
    short = view.n - view.n_rows
    if short <= 0 or (view.samples is not None and (view.duplicates or view.foreign or view.unnamed)):
        return 0
    return short


def _tail(view: View) -> bool:
    """Exactly the rows of a last, partial batch are missing, or as many rows if the order is lost as well."""
    short = _short(view)
    if not short or not view.batch or short != view.n % view.batch or view.n_rows % view.batch:
        return False
    return view.samples is None or view.in_order or bool(view.moved) or not view.trace.ordered


def _tail_evidence(view: View) -> str:
    rest = f"{_short(view):,} missing = {view.n:,} mod {view.batch:,}"
    evidence = f"{plural(view.n_rows, 'row')} for {plural(view.n, 'label')}: {rest}"
    return evidence + (f", samples {listed(view.missing)}" if view.samples is not None else "")


def floor_steps(view: View) -> Cause | None:
    """Less than a batch is missing, and the number of steps was rounded down."""
    if not _tail(view) or view.facts.get("drop_remainder"):
        return None
    declared = view.fact("steps") == view.n // view.batch
    if not declared and ("steps" in view.facts or not (view.one_shot and not view.source.exhausted)):
        return None
    evidence = _tail_evidence(view) + (f"; steps={view.fact('steps')}" if declared else "")
    return cause(
        view,
        "floor_steps",
        certain=declared and not view.moved and not view.ended,
        evidence=evidence,
        whole=view.n // view.batch,
        all=-(-view.n // view.batch),
    )


def floor_len(view: View) -> Cause | None:
    """`__len__` of a PyDataset is one batch too small."""
    # The iterators of Keras have a right one.
    if not _tail(view) or view.kind != "pydataset" or "steps" in view.facts or is_image_iterator(view):
        return None
    declared = view.fact("num_batches") == view.n // view.batch
    evidence = _tail_evidence(view) + (
        f"; `len` of {view.name} is {plural(view.fact('num_batches'), 'batch')}" if declared else ""
    )
    # A source of fewer samples, of which `len` is right, has as many batches.
    return cause(view, "floor_len", certain=False, evidence=evidence)


def dropped(view: View) -> Cause | None:
    """Less than a batch is missing, and no number of steps explains it."""
    # The whole pipeline is known, and nothing in it drops a partial batch.
    if view.facts.get("keeps_order") is True and not view.facts.get("drop_remainder"):
        return None
    if not _tail(view) or view.kind == "pydataset" or ("steps" in view.facts and not view.facts.get("drop_remainder")):
        return None
    # As many samples may have been left out elsewhere.
    certain = bool(view.facts.get("drop_remainder")) and (view.in_order or "leaves_out" not in view.facts)
    return cause(view, "dropped", certain=certain, evidence=_tail_evidence(view))


def dropped_in_each(view: View) -> Cause | None:
    """Behind whole batches, less than a batch is missing, several times: the rest of each file."""
    if view.samples is None or not view.missing.size or view.duplicates or view.unnamed or view.foreign or view.moved:
        return None
    if view.batch < 2 or not view.trace.ordered or "leaves_out" in view.facts:
        return None
    lost, kept = (_stretches(samples) for samples in (view.missing, view.rows))
    if len(kept) < 2 or lost.max() >= view.batch or (kept % view.batch).any():
        return None
    # Samples that are left out one by one may leave whole batches by chance.
    chances, declared = view.batch ** min(len(kept), CHANCES), bool(view.facts.get("drop_remainder"))
    if chances < (FEWER_CHANCES if declared else CHANCES):
        return None
    evidence = (
        f"{plural(view.missing.size, 'sample')} never arrived: {plural(len(lost), 'time')} fewer than "
        f"{view.batch:,}, each behind whole batches of {view.batch:,}: {listed(view.missing)}"
    )
    certain = declared and chances >= CHANCES
    return cause(view, "dropped", certain=certain, evidence=evidence, fixes=("dropped_in_each",))


def _stretches(samples: Int64) -> Int64:
    """Lengths of the stretches of consecutive samples."""
    starts = np.flatnonzero(np.diff(samples, prepend=samples[0] - 2) != 1)
    return np.diff(np.append(starts, len(samples)))


def few_steps(view: View) -> Cause | None:
    """A batch or more is missing at the end, and so are the steps."""
    steps, short = view.fact("steps"), _short(view)
    if not short or not steps or not view.batch or view.n_rows != steps * view.batch or _tail(view) or view.ended:
        return None
    # Too few steps leave the first samples. If others are there, samples were chosen or left out.
    if view.samples is not None and view.missing[0] != view.n_rows:
        return None
    taken = f"{plural(steps, 'step')} of {plural(view.batch, 'row')}"
    evidence = f"{taken} {verb(steps, 'is', 'are')} {view.n_rows:,} of {plural(view.n, 'label')}"
    return cause(view, "few_steps", certain=view.in_order and view.had_more, evidence=evidence)


def left_out(view: View) -> Cause | None:
    """Single samples are missing, the others are in order."""
    if view.samples is None or not view.missing.size or view.duplicates or view.unnamed or view.moved:
        return None
    if subset(view) is not None or dropped_in_each(view) is not None:
        return None
    if view.facts.get("drop_remainder") and _tail(view):
        return None
    # Of a table in any order, no row is the last one.
    last = view.n if view.trace.joined else int(view.arrived[-1]) if view.arrived.size else -1
    inside = view.missing[view.missing < last]
    if not inside.size or _whole_batches(view, inside):
        return None
    keys = view.labels.keys
    keyed = f" ({', '.join(shown_key(keys[sample], MAX_KEY) for sample in inside[:3])})" if keys is not None else ""
    evidence = f"{plural(view.missing.size, 'sample')} never arrived: {listed(view.missing)}{keyed}"
    leaves_out = str(view.facts.get("leaves_out", ""))
    evidence += f"; the pipeline has {leaves_out}" if leaves_out else ""
    certain = bool(leaves_out) and view.trace.transport_intact is True and not view.foreign
    dropping = "".join(f".{name}()" for name in ("filter", "ignore_errors") if name in leaves_out)
    dropping = dropping.replace("filter()", "filter(...)") or DROPPING
    return cause(view, "left_out", certain=certain, evidence=evidence, dropping=dropping)


def batch_left_out(view: View) -> Cause | None:
    """Whole batches are missing in the middle of a pipeline that ignores the errors of a batch."""
    if view.samples is None or not view.missing.size or view.duplicates or view.unnamed or view.moved:
        return None
    ignores = bool(view.facts.get("ignores_batches"))
    if not ignores or not _whole_batches(view, view.missing):
        return None
    evidence = (
        f"{plural(view.missing.size, 'sample')} never arrived: {listed(view.missing)}; the pipeline ignores errors of "
        f"whole batches of {view.batch:,}"
    )
    return cause(view, "batch_left_out", certain=True, evidence=evidence)


def _whole_batches(view: View, missing: Int64) -> bool:
    """Whether only whole batches are missing."""
    if not view.batch:
        return False
    lost = np.bincount(missing // view.batch)
    return bool(np.isin(lost, (0, view.batch)).all())


def others(view: View) -> Cause | None:
    """Some rows are not among the labelled samples."""
    if not view.foreign or view.foreign == view.n_rows:
        return None
    carried, rows = view.trace.keys, view.outside
    which = f" ({verb(view.foreign, 'row', 'rows')} {listed(rows)})"
    if not view.trace.ordered:
        which = "" if carried is None else f" ({named(carried, rows)})"
    evidence = (
        f"{plural(view.foreign, 'row')} {verb(view.foreign, 'is', 'are')} not among the labelled samples{which}"
        + (f", and {plural(view.missing.size, 'labelled sample')} never arrived" if view.missing.size else "")
    )
    return cause(view, "others", certain=False, evidence=evidence)
