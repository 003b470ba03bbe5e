"""The rows are pieces of the labels' order: a part of it, partitions, files in turn, what was read again at the end."""

from __future__ import annotations

import numpy as np

from evalguard.core.columns.chunks import Ints, counts_up
from evalguard.core.diagnosis.catalogue import cause, read_labels
from evalguard.core.diagnosis.orders import batch_order
from evalguard.core.diagnosis.view import View, listed
from evalguard.core.findings import Cause
from evalguard.core.plural import plural, verb
from evalguard.core.trace import Int64

# If at least one sample in so many is missing, a part was chosen; if fewer are, single samples were left out.
LEAST_MISSING = 5
# In a random order of rows or batches, about two of them ascend. Pieces are longer, and the ranges of samples that they
# go through overlap.
BLOCKS_OF_A_PIECE, LEAST_SPAN = 4, 1.25
# At most one sample in so many is read again at the end.
MOST_AGAIN = 3
# Fewer rows may form pieces by chance.
PIECES_ROWS = 24
# Of a long order, so many rows show whether files may be read in turn: for at least this share of them, the next sample
# is among them.
MANY_ROWS, LEAST_NEXT = 5000, 0.5
# If several batches are loaded at a time, at most so many overtake another one.
OVERTAKING = 3
# So many rows, of so many different lengths, are not sorted by chance.
SORTED_ROWS, LENGTHS = 20, 3


# -- A part of the samples --------------------------------------------------------------------------------------------


def chosen(view: View) -> bool:
    """Whether so many samples are missing that they were left out on purpose."""
    return LEAST_MISSING * view.missing.size >= view.n


def subset(view: View) -> Cause | None:
    """Only some of the samples were predicted, each once."""
    if view.samples is None or not view.missing.size or view.duplicates or view.foreign or view.unnamed:
        return None
    # A number of steps also leaves the first samples; it is another cause.
    if not view.n_rows or ("steps" in view.facts and view.missing[0] == view.n_rows and not view.ended):
        return None
    if view.moved and (view.facts.get("shuffle") or "shuffle_buffer" in view.facts):
        return None
    taken = [f"`{name}({view.facts[name]})`" for name in ("skip", "take") if name in view.facts]
    taken += [f"`shard({view.facts['shards']}, …)`"] if "shards" in view.facts else []
    if not taken and (view.facts.get("drop_remainder") or not chosen(view)):
        return None
    taken += [str(view.facts["leaves_out"])] if "leaves_out" in view.facts else []
    which, rows = _chosen_rows(view)
    evidence = f"{view.n_rows:,} of {plural(view.n, 'labelled sample')} were predicted: {which}"
    evidence += f"; the pipeline has {' and '.join(taken)}" if taken else ""
    part = f"{read_labels(view)}{rows}"
    return cause(view, "subset", certain=False, evidence=evidence, part=part, rows_n=view.n_rows)


def _chosen_rows(view: View) -> tuple[str, str]:
    """The samples in words, and as an index of the labels."""
    rows = view.rows
    first, last = int(rows[0]), int(rows[-1])
    if counts_up(rows, first):
        return f"samples {first:,} to {last:,}", f"[{first}:{last + 1}]"
    step = int(rows[1]) - first
    if step > 1 and first < step and last + step >= view.n and (np.diff(rows) == step).all():
        return f"samples {listed(rows, 3)}, one in {step:,}", f"[{first}::{step}]"
    order = f", in {'another' if view.moved else 'label'} order" * view.trace.ordered
    return f"{listed(rows)}{order}", "[chosen]"


# -- Pieces that ascend -----------------------------------------------------------------------------------------------


def _starts(order: Ints) -> Int64:
    """Where each ascending stretch begins."""
    return np.flatnonzero(np.concatenate([[True], order[1:] < order[:-1]]))


def once(view: View) -> Ints | None:
    """The order of the samples, where each came once and they are not in label order; None otherwise."""
    whole = len(view.arrived) == view.n == view.n_rows
    return view.arrived if whole and view.moved > 2 else None


def _pieces(order: Ints) -> int:
    """Number of ascending stretches whose ranges of samples overlap; 0 if the order has no such pieces."""
    starts = _starts(order)
    ends = np.concatenate([starts[1:], [len(order)]]) - 1
    spans = order[ends].astype(np.int64) - order[starts]
    # Consecutive samples, such as those of a batch, moved together.
    blocks = int(np.count_nonzero(np.diff(order) != 1)) + 1
    few = len(order) >= PIECES_ROWS and len(starts) * BLOCKS_OF_A_PIECE <= blocks
    return len(starts) if len(starts) > 1 and few and spans.sum() >= LEAST_SPAN * len(order) else 0


def retried(view: View) -> Cause | None:
    """Some samples are missing where they belong and come at the end, in order."""
    order = once(view)
    if order is None:
        return None
    starts = _starts(order).tolist()
    if len(starts) != 2 or MOST_AGAIN * (len(order) - starts[1]) > len(order):
        return None
    again = order[starts[1] :]
    # If samples 0 to k - 1 come last, the source began at sample k.
    if counts_up(np.asarray(again)):
        return None
    # A batch at the end that a few others overtook was late; it was not read again.
    if batch_order(view) is not None and int(again.max()) >= len(order) - len(again) - OVERTAKING * view.batch:
        return None
    come = verb(len(again), "comes", "come")
    evidence = f"{plural(len(again), 'sample')} {come} last, behind all others: {listed(np.asarray(again))}"
    return cause(view, "retried", certain=False, evidence=evidence)


def called(view: View) -> Cause | None:
    """Each of several calls holds consecutive samples, and the calls have another order than the labels."""
    order, calls = once(view), view.trace.calls
    # Of a loop over batches, the source has the order.
    if order is None or len(calls) < 2 or sum(calls) != len(order) or view.is_loop:
        return None
    starts = np.cumsum((0, *calls))[:-1]
    if not np.isin(np.flatnonzero(np.diff(order) != 1) + 1, starts).all():
        return None
    evidence = (
        f"each of {plural(len(calls), 'call')} holds consecutive samples; they begin with samples "
        f"{listed(np.asarray(order)[starts], 8)}"
    )
    return cause(view, "parts_in_another_order", certain=False, evidence=evidence, fixes=("calls_in_another_order",))


def partitions(view: View) -> Cause | None:
    """The rows are a few stretches that each ascend, through the samples of the others."""
    order = once(view)
    if order is None or not (pieces := _pieces(order)) or _fewer_files(order, pieces):
        return None
    first = [listed(order[start:], 3) for start in _starts(order)[:2].tolist()]
    evidence = f"{plural(pieces, 'stretch')} of rows, each in label order: samples {first[0]}, then {first[1]}"
    return cause(view, "partitions", certain=False, evidence=evidence, parts=pieces)


def in_turn(view: View) -> Cause | None:
    """Consecutive samples are some rows apart: several files are read in turn."""
    order = once(view)
    if order is None:
        return None
    # If files are read in turn, the next sample of each file comes soon.
    head = order[:MANY_ROWS]
    if len(order) > MANY_ROWS and np.isin(head + 1, head).mean() < LEAST_NEXT:
        return None
    inverse = _inverse(order)
    files, pieces = _pieces(inverse), _pieces(order)
    certain = view.facts.get("interleaves") is True
    if not files or (0 < pieces <= files and not certain):
        return None
    first = ", ".join(f"{int(start):,}" for start in _starts(inverse)[:4])
    evidence = f"samples {listed(order)} follow one another: {files:,} files, which begin at samples {first}"
    evidence += "; the pipeline has `interleave`" if certain else ""
    return cause(view, "interleaved", certain=certain, evidence=evidence, files=files)


def _fewer_files(order: Ints, pieces: int) -> bool:
    return 0 < _pieces(_inverse(order)) < pieces


def _inverse(order: Ints) -> Int64:
    """Where each sample comes."""
    inverse = np.empty(len(order), dtype=np.int64)
    inverse[order] = np.arange(len(order))
    return inverse


def by_length(view: View) -> Cause | None:
    """The rows are sorted by their length."""
    order = once(view)
    if order is None or view.labels.origin.row_lengths is None or len(order) < SORTED_ROWS:
        return None
    # Some rows are checked first, as most streams are not sorted.
    few = view.labels.origin.row_lengths(np.asarray(order[:: max(1, len(order) // 500)]))
    if few is None or not _monotone(few) or len(set(few.tolist())) < LENGTHS:
        return None
    lengths = view.labels.origin.row_lengths(np.arange(view.n))
    if lengths is None or not _monotone(lengths[order]) or _monotone(lengths):
        return None
    shortest, longest = int(lengths.min()), int(lengths.max())
    way = "shortest" if lengths[order[0]] == shortest else "longest"
    evidence = f"the rows come in the order of their length, the {way} first ({shortest:,} to {longest:,} steps)"
    return cause(view, "by_length", certain=True, evidence=evidence, sign="" if way == "shortest" else "-")


def _monotone(values: Int64) -> bool:
    steps = np.diff(values)
    return bool((steps >= 0).all() or (steps <= 0).all())
