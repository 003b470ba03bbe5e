"""What an attestation names by SHA-256: files, arrays as they would be saved, and the columns of a data frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from evalguard.core.own_errors import swallow
from evalguard.core.policy import Verdict
from evalguard.data import digests, tree
from evalguard.guards.calls import ROW_METHODS

if TYPE_CHECKING:
    from evalguard.guards.outcome import Outcome

# Columns of one array that are named: the mask of an image would have one for each pixel.
MAX_COLUMNS = 4096
# Bytes of what is copied for this: labels, weights and keys in the order of the rows, and the predictions of several
# calls, which are joined. Labels in a mapped file may not fit into memory.
MAX_COPIED = 1 << 28


def subjects(files: Mapping[str, str], outcome: Outcome) -> dict[str, str]:
    """Name of each file and array that was judged → SHA-256.

    Args:
        files: Name of each file → its SHA-256.
        outcome: Holds the arrays.
    """
    arrays: dict[str, str] = {}
    labels, trace = outcome.labels, outcome.trace
    # Labels read from a file are named by the file's own digest.
    if labels is not None and not (labels.origin.path and labels.name in files):
        arrays |= digests.tree_sha256("labels", [labels.values])
    if trace is not None and trace.method in ROW_METHODS:
        given = outcome.predictions if outcome.n_calls > 1 else [outcome.predictions]
        arrays |= digests.tree_sha256("predictions", given)
    # A file that has the name of an array is not replaced by it.
    return {name if name not in arrays else f"./{name}": digest for name, digest in files.items()} | arrays


def rows(outcome: Outcome) -> dict[str, dict[str, Any]]:
    """What a data frame of the rows (``Guard.to_frame``) holds beside the subjects.

    Empty if the outcome is neither PASS nor REPAIRED, because no file of another verdict is accepted.

    Returns:
        ``columns``: name of each array → SHA-256 of its columns, as of labels
        and keys. Of predictions, only the names of their columns are hashed, and
        only if they are those of classes: the values are a subject.
        ``row_shapes``: name of each array whose rows have several axes → shape
        of a row, which a table does not show.
    """
    if outcome.report.verdict not in {Verdict.PASS, Verdict.REPAIRED} or not _is_table(outcome):
        return {}
    # Here, because `results` needs `outcome`, which calls this.
    from evalguard.guards.results import arrays_of_frame

    try:
        frame = arrays_of_frame(outcome, MAX_COLUMNS)
        if frame is None:
            return {}
        found = {
            name: digests.columns_sha256(columns, names_only=_is_prediction(name))
            for name, columns in frame.columns
            if name != "row" and not (_is_prediction(name) and _numbered(columns))
        }
    except Exception as error:  # noqa: BLE001 - a table that cannot be made is not attested; the verdict stands
        swallow(error)
        return {}
    columns = {name: digest for name, digest in found.items() if digest is not None}
    return {"columns": columns, **({"row_shapes": frame.row_shapes} if frame.row_shapes else {})}


def _is_table(outcome: Outcome) -> bool:
    """Whether the rows make a table, and one that is not too large to be copied."""
    if outcome.predictions is None or outcome.trace is None or outcome.trace.method not in ROW_METHODS:
        return False
    labels, joined = outcome.labels, outcome.predictions if outcome.n_calls > 1 else None
    copied = [joined] if labels is None else [joined, labels.values, labels.weights, labels.keys]
    n_bytes = sum(getattr(leaf, "nbytes", 0) for each in copied for leaf in tree.leaves(each))
    return n_bytes <= MAX_COPIED and outcome.trace.n_rows * 8 <= MAX_COPIED


def _is_prediction(name: str) -> bool:
    return name.partition(".")[0] == "prediction"


def _numbered(columns: Mapping[str, object]) -> bool:
    return len(columns) == 1 or [name.rpartition("_")[2] for name in columns] == [*map(str, range(len(columns)))]
