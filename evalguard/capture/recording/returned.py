"""Compare the rows that the caller got with those that the model's compiled function returned."""

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
    """The result of the comparison.

    Attributes:
        unknown: Why rows cannot be compared one by one; empty if they can.
        digests: uint64, shape ``(2, n)``: digest of each row as computed and as
            returned; None if all are equal.
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
    except Exception as error:  # noqa: BLE001 - the call goes on with an output that cannot be read
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
    # Digests ignore differences that come from joining results: trailing axes of length one and a wider float type.
    return Returned() if np.array_equal(*digests) else Returned(digests=np.stack(digests))


def _all_equal(parts: Sequence[Any], result: Any) -> bool:
    ours, theirs = [tree.as_array(part) for part in parts], tree.as_array(result)
    if any(part.dtype != theirs.dtype or part.shape[1:] != theirs.shape[1:] for part in ours):
        return False
    ends = np.cumsum([len(part) for part in ours])
    if ends[-1] != len(theirs):
        return False
    pairs = zip(ours, np.split(theirs, ends[:-1]), strict=True)
    # The bytes are compared too, so that a NaN equals itself.
    return all(bool((part == same).all()) or part.tobytes() == same.tobytes() for part, same in pairs)
