"""Explain why no row of the stream matches the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evalguard.core.plural import plural
from evalguard.core.shown_keys import shown_value
from evalguard.data import tree
from evalguard.data.fingerprint import row_fingerprints
from evalguard.data.row_layout import LeafSpec
from evalguard.labels.reference import Reference


def explain_mismatch(reference: Reference, fed: Any, fed_specs: Sequence[LeafSpec]) -> str:
    """The first difference in dtype, shape or values, as a sentence for the report.

    Args:
        reference: What the rows were compared with.
        fed: First row that the model received, as a tree of arrays with one row.
        fed_specs: Shapes and dtypes of the inputs that the model received.
    """
    first = next(iter(reference.chunks()), None)
    if first is None:
        return "no row of the stream is in the manifest, which was made from other inputs or with other preprocessing"
    _, specs = row_fingerprints(first)
    if len(specs) != len(fed_specs):
        return f"the model receives {plural(len(fed_specs), 'input')}, the reference has {len(specs):,}"
    for number, (ours, theirs) in enumerate(zip(specs, fed_specs, strict=True)):
        if ours.shape != theirs.shape:
            return f"input {number}: the model receives rows of {theirs}, the reference has rows of {ours}"
        if ours.dtype != theirs.dtype and "str" in {ours.dtype, theirs.dtype}:
            return f"input {number}: the model receives {theirs}, the reference is {ours}"
    again = next(iter(reference.chunks()))
    if not np.array_equal(row_fingerprints(first)[0], row_fingerprints(again)[0]):
        return "two readings of the reference differ: it is transformed at random, so rows cannot be matched with it"
    return _value_difference(first, fed, specs, fed_specs)


def _value_difference(first: Any, fed: Any, specs: Sequence[LeafSpec], fed_specs: Sequence[LeafSpec]) -> str:
    for number, (ours, theirs) in enumerate(zip(tree.leaves(first), tree.leaves(fed), strict=False)):
        try:
            mine, other = np.asarray(ours)[0].ravel(), np.asarray(theirs)[0].ravel()
            mine = mine.astype(other.dtype)
            # Two NaNs are equal here, as they are in fingerprints.
            differs = np.flatnonzero((mine != other) & ((mine == mine) | (other == other)))
        except (TypeError, ValueError, IndexError):
            continue
        if differs.size:
            at = int(differs[0])
            return (
                f"input {number}, row 0: {differs.size:,} of {other.size:,} values differ; the first, at {at:,}, is "
                f"{shown_value(other[at])} at the model ({fed_specs[number]}) and {shown_value(mine[at])} in the "
                f"reference ({specs[number]}). Two readings of the reference agree, so the preprocessing differs, "
                "or no row is at the index of its sample"
            )
    return "the first rows are equal, but no row of the stream is in the reference"
