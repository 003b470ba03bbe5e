"""What the caller got, compared with what the model's compiled function gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.own_errors import swallow
from evalguard.core.plural import plural
from evalguard.data import tree
from evalguard.data.fingerprint import row_fingerprints


@dataclass(frozen=True, slots=True, eq=False)
class Returned:
    """How what was returned compares with what was computed.

    Attributes:
        unknown: Why the two cannot be compared row by row; empty if they can.
        digests: uint64, shape ``(2, n)``: each row as computed and as returned;
            None where all are equal.
    """

    unknown: str = ""
    digests: NDArray[np.uint64] | None = None


def compare_returned(computed: Sequence[Any], returned: Any) -> Returned:
    """Compare the outputs of all executions with what the caller got.

    Args:
        computed: Outputs of each execution, each a tree of tensors.
        returned: A tree of arrays or tensors.
    """
    try:
        return _compare(computed, returned)
    except Exception as error:  # noqa: BLE001 - an output that cannot be read must not cost the user the predictions
        return Returned(f"outputs could not be compared: {swallow(error)}")


def _compare(computed: Sequence[Any], returned: Any) -> Returned:
    steps = [tree.leaves(outputs) for outputs in computed]
    results = tree.leaves(returned)
    if not steps or any(len(outputs) != len(results) for outputs in steps):
        return Returned("the number of outputs differs from what the model computed")
    columns = zip(zip(*steps, strict=True), results, strict=True)
    dense = all(type(leaf).__name__ in tree.ARRAYS for outputs in (*steps, results) for leaf in outputs)
    if dense and all(_all_equal(parts, result) for parts, result in columns):
        return Returned()
    parts = [row_fingerprints(outputs, float64=True)[0] for outputs in steps]
    digests = np.concatenate(parts), row_fingerprints(results, float64=True)[0]
    if len(digests[0]) != len(digests[1]):
        computed_rows, returned_rows = (len(part) for part in digests)
        return Returned(f"the model computed {plural(computed_rows, 'row')}, and {returned_rows:,} were returned")
    # Digests ignore the padding and the precision in which a result was put together.
    return Returned() if np.array_equal(*digests) else Returned(digests=np.stack(digests))


def _all_equal(parts: Sequence[Any], result: Any) -> bool:
    ours, theirs = [tree.as_array(part) for part in parts], tree.as_array(result)
    if any(part.dtype != theirs.dtype or part.shape[1:] != theirs.shape[1:] for part in ours):
        return False
    ends = np.cumsum([len(part) for part in ours])
    if ends[-1] != len(theirs):
        return False
    pairs = zip(ours, np.split(theirs, ends[:-1]), strict=True)
    # Bytes, where a NaN must equal itself.
    return all(bool((part == same).all()) or part.tobytes() == same.tobytes() for part, same in pairs)
