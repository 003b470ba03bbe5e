"""What a trace and labels show together, before anything is decided."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from evalguard.core import arrivals, checks, target_comparison
from evalguard.core.columns.chunks import counts_up, equal
from evalguard.core.columns.run_length import RunLengthColumn
from evalguard.core.findings import Finding
from evalguard.core.label_table import KeyColumn, LabelTable
from evalguard.core.matching import Match, all_matches, index_identity, repeated_rows
from evalguard.core.plural import plural
from evalguard.core.policy import Policy
from evalguard.core.scored_weights import compare_weights
from evalguard.core.shifts import shift_of_samples
from evalguard.core.target_comparison import LabelComparison
from evalguard.core.trace import FIT, UNKNOWN, Int64, Trace

_NONE: Int64 = np.zeros(0, dtype=np.int64)
ANY_ORDER = (
    "the targets are the labels in another order, which does not change any metric; "
    "nothing shows which sample each row is"
)
RENUMBERED = (
    "the targets are the labels in another order, or each class has the number of another one; nothing shows which "
    "sample each row is"
)
VERSION = (
    "at {} the stream's own target differs from the label, and at the others they are equal: another version of the "
    "labels"
)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What was established before the verdict.

    Attributes:
        trace: What was observed, in the order of the rows that the caller got.
        labels: The external labels.
        matches: What each identity shows, strongest first.
        used: The match that decides, or None.
        samples: The sample of each row, a ``range`` if all are in position; None if not known.
        order: Findings about ``samples``.
        comparison: The stream's own targets against the labels.
        repeated: Rows with the inputs of an earlier one, where no identity tells them from repetitions.
        padding: Rows at the end that may be removed.
        weights: The finding on the sample weights that ``evaluate`` used, and why they are declared.
        asked: Content or a key was asked to say which sample a row is. Position and targets do not stand in for it.
    """

    trace: Trace
    labels: LabelTable
    matches: tuple[Match, ...]
    used: Match | None
    samples: Int64 | range | None
    order: tuple[Finding, ...]
    comparison: LabelComparison
    repeated: Int64
    padding: int
    asked: bool
    weights: tuple[Finding | None, str] = (None, "")

    @property
    def samples_array(self) -> Int64 | None:
        """The samples as an array."""
        return None if self.samples is None else np.asarray(self.samples)

    @property
    def n_rows(self) -> int:
        """Rows that are judged: those delivered, less padding."""
        return self.trace.n_rows - self.padding

    @property
    def observed(self) -> bool:
        """Whether an observed identity names every row."""
        complete = self.used is not None and self.used.complete and self.samples is not None
        return complete and self.used is not None and self.used.observed and self.trace.method != "check"

    @property
    def doubt(self) -> str:
        """Why the rows may be right or wrong although nothing contradicts them; empty if there is no such reason."""
        trace, comparison = self.trace, self.comparison
        if self.labels.by_index is not None and self.labels.by_index.doubt:
            return self.labels.by_index.doubt
        scored = trace.method != FIT and (not trace.ordered or trace.scored is not None)
        if comparison.version and (scored or not self.observed):
            return f"{VERSION.format(plural(comparison.rows.size, 'row'))}, or rows were exchanged"
        both = (trace.targets is not None or trace.scored_targets is not None) and self.labels.values is not None
        if scored and both and not comparison.comparable and comparison.why_not != ANY_ORDER:
            return f"the model scored the stream's own targets, not the labels: {comparison.why_not}"
        return ""


def gather(trace: Trace, labels: LabelTable, policy: Policy) -> Evidence:
    """What each identity says, which one is used, and how the stream's targets compare."""
    keyed = trace.keys is not None and labels.keys is not None
    asked = trace.method != FIT and (labels.fingerprints is not None or keyed or trace.key_asked)
    in_position = _all_in_position(trace, labels)
    by_place = not asked
    if in_position and (by_place or in_position[0].observed):
        positions = range(len(labels))
        comparison = _compare(trace, labels, positions)
        # Pairs give the same metric in any order: targets that contradict a declared position leave it open.
        by_place = trace.ordered or trace.method == FIT or not comparison.rows.size
        if by_place or in_position[0].observed:
            repeated = _repeated(trace, trace.n_rows, in_position[0], comparison)
            weights = compare_weights(trace, labels, positions, comparison)
            found = (positions, (), comparison, repeated, 0, asked, weights)
            return Evidence(trace, labels, in_position, in_position[0], *found)
    matches = all_matches(trace, labels)
    comparable = [match for match in matches if match.comparable and (by_place or match.observed)]
    # A part that different inputs share leaves rows open; a key or an index that the source states may name them all.
    stated = (match for match in comparable if match.complete and match.observed)
    used = next(stated, comparable[0] if comparable else None)
    samples = used.samples if used is not None and (used.samples != UNKNOWN).any() else None
    # A metric that was computed with the padding cannot be trimmed.
    trims = policy.padding == "trim" and trace.ordered and trace.scored is None
    padding = padding_rows(trace, samples, len(labels)) if trims else 0
    if padding:
        samples = samples[: trace.n_rows - padding] if samples is not None else None
    comparison = _compare(trace, labels, samples)
    weights = compare_weights(trace, labels, samples, comparison)
    if samples is not None and trace.scored is not None:
        samples = in_any_order(samples, trace.scored, len(labels))
    order = () if samples is None else order_findings(samples, len(labels), ordered=trace.ordered)
    repeated = _repeated(trace, trace.n_rows - padding, used if samples is not None else None, comparison)
    return Evidence(trace, labels, matches, used, samples, order, comparison, repeated, padding, asked, weights)


def _repeated(trace: Trace, n_rows: int, used: Match | None, comparison: LabelComparison) -> Int64:
    """Rows whose inputs an earlier row had; none where an observed identity knows repetitions, or nothing asks."""
    if trace.fingerprints is None or (used is not None and (used.observed or not comparison.comparable)):
        return _NONE
    return repeated_rows(trace.fingerprints[:n_rows])


def _all_in_position(trace: Trace, labels: LabelTable) -> tuple[Match, ...]:
    """The match of each identity, strongest first, if all of them say that row ``i`` is sample ``i``; else empty.

    Works in chunks: neither a trace in order nor memory-mapped labels are loaded as a whole.
    """
    n_labels = len(labels)
    if trace.n_rows != n_labels or (labels.ambiguous and trace.fingerprints is not None):
        return ()
    agreement: list[tuple[str, bool]] = []
    if trace.index is not None:
        index = trace.index
        whole = index.is_range(n_labels) if isinstance(index, RunLengthColumn) else counts_up(index)
        agreement.append((index_identity(trace), whole))
    for name, ours, theirs in (("key", trace.keys, labels.keys), ("content", trace.fingerprints, labels.fingerprints)):
        if ours is not None and theirs is not None and all(same for _, same in agreement):
            if isinstance(ours, KeyColumn):
                agreement.append((name, ours.equals(theirs)))
            else:
                agreement.append((name, ours.dtype.kind == theirs.dtype.kind and equal(ours, theirs)))
    if not all(same for _, same in agreement):
        return ()
    return tuple(Match(name, _NONE, complete=True) for name, _ in reversed(agreement))


def order_findings(samples: Int64, n_labels: int, *, ordered: bool) -> tuple[Finding, ...]:
    """Findings about which samples arrived, and in which order if the order matters."""
    if ordered:
        found = checks.order_findings(samples, n_labels)
        shift = shift_of_samples(samples, n_labels) if found else 0
        if not shift:
            return found
        by = f"row i is sample i {'+' if shift > 0 else '-'} {abs(shift):,}"
        return (replace(found[0], message=f"{found[0].message}: {by}"), *found[1:])
    # Nothing is out of order then, and row numbers are dropped as they mean nothing.
    arranged = in_any_order(samples, np.arange(len(samples)), n_labels)
    return tuple(replace(finding, rows=()) for finding in checks.order_findings(arranged, n_labels, ordered=False))


def in_any_order(samples: Int64, rows: Int64, n_labels: int) -> Int64:
    """The samples with those of ``rows`` sorted, as their order does not matter.

    An unidentified row stands where a sample of these rows has not been seen, foreign ones stand last.
    """
    part = samples[rows]
    known = arrivals.known(part, n_labels)
    foreign = part[~known & (part != UNKNOWN)]
    n_unknown = len(part) - len(foreign) - int(np.count_nonzero(known))
    unseen = np.setdiff1d(rows[rows < n_labels], part[known])[:n_unknown] if n_unknown else _NONE
    arranged = np.sort(np.concatenate([part[known], unseen]))
    arranged[np.searchsorted(arranged, unseen)] = UNKNOWN
    result = samples.copy()
    result[rows] = np.concatenate([arranged, np.full(n_unknown - len(unseen), UNKNOWN), foreign])
    return result


def _compare(trace: Trace, labels: LabelTable, samples: Int64 | range | None) -> LabelComparison:
    """The stream's targets, compared with the label that each row will be or has been scored against."""
    if trace.scored is not None and trace.scored_targets is not None:
        return _compare_scored(trace, labels, samples)
    answered: Int64 | None = None
    if not isinstance(samples, range) and (not trace.ordered or trace.scored is not None):
        scored = np.arange(trace.n_rows) if trace.scored is None else trace.scored
        if samples is not None:
            answered = np.arange(len(samples))
            answered[scored] = samples[scored]
        elif (in_place := target_comparison.compare_labels(trace.targets, labels.values)).rows.size:
            only_there = np.isin(in_place.rows, scored).all()
            if only_there and target_comparison.same_multiset(trace.targets, labels.values):
                renumbered = target_comparison.one_to_one(trace.targets, labels.values)
                return LabelComparison(False, _NONE, RENUMBERED if renumbered else ANY_ORDER)
    comparison = target_comparison.compare_labels(trace.targets, labels.values, answered)
    comparison = _of_equal_inputs(comparison, trace, labels, answered)
    if trace.method == FIT:
        return comparison
    return target_comparison.as_one_quantity(comparison, trace.targets, labels.values, answered)


def contradicted(trace: Trace, labels: LabelTable, samples: Int64) -> bool:
    """Whether the stream's targets contradict the labels of the samples that the rows are, wherever these stand."""
    comparison = target_comparison.compare_labels(trace.targets, labels.values, samples)
    comparison = _of_equal_inputs(comparison, trace, labels, samples)
    comparison = target_comparison.as_one_quantity(comparison, trace.targets, labels.values, samples)
    return comparison.comparable and bool(comparison.rows.size) and not comparison.version


def _compare_scored(trace: Trace, labels: LabelTable, samples: Int64 | range | None) -> LabelComparison:
    """The targets that ``evaluate`` scored in a session that predicted as well, compared with the labels."""
    answered = np.asarray(range(trace.n_rows) if samples is None else samples)[trace.scored]
    comparison = target_comparison.compare_labels(trace.scored_targets, labels.values, answered)
    comparison = target_comparison.as_one_quantity(comparison, trace.scored_targets, labels.values, answered)
    return replace(comparison, rows=np.asarray(trace.scored)[comparison.rows])


def _of_equal_inputs(
    comparison: LabelComparison, trace: Trace, labels: LabelTable, answered: Int64 | None = None
) -> LabelComparison:
    """The comparison, where targets of equal inputs may come in any order: their predictions are equal, too."""
    ours, theirs, rows = trace.fingerprints, labels.fingerprints, comparison.rows
    # Beside a key, content is the rest of the input: the model may read the key as well.
    if not rows.size or ours is None or theirs is None or labels.ambiguous or trace.keys is not None:
        return comparison
    samples = rows if answered is None else answered[rows]
    equal = ours[rows] == theirs[samples]
    alike = target_comparison.same_in_groups(
        trace.targets, labels.values, rows[equal], samples[equal], ours[rows[equal]]
    )
    left = np.ones(len(rows), dtype=bool)
    left[equal] = ~alike
    return replace(comparison, rows=rows[left])


def padding_rows(trace: Trace, samples: Int64 | None, n_labels: int) -> int:
    """Rows after the last label, if each is a known sample or a declared dummy."""
    extra = trace.n_rows - n_labels
    if extra <= 0:
        return 0
    declared = trace.padding[n_labels:] if trace.padding is not None else np.zeros(extra, dtype=bool)
    if samples is not None:
        copies = arrivals.known(samples, n_labels)[n_labels:]
    elif trace.fingerprints is not None:
        copies = np.isin(trace.fingerprints[n_labels:], trace.fingerprints[:n_labels])
    else:
        copies = np.zeros(extra, dtype=bool)
    return extra if (declared | copies).all() else 0
