"""What predictions show of the classes: names that do not fit, other numbers that fit better, the name of each row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.class_names import ClassNames, class_numbers_in, is_text
from evalguard.core.label_table import LabelTable
from evalguard.core.plural import plural
from evalguard.guards.class_numbers import ClassNumbers
from evalguard.guards.metric_impact import labelled_outputs
from evalguard.guards.other_numbers import OtherNumbers, columns_of, confusion, other_numbers, predicted_numbers

# Classes that a hazard names.
MAX_SHOWN = 3
SEEM = "classes seem to be numbered otherwise"


def hazards_of(classes: ClassNumbers, predictions: Any, samples: Any, labels: LabelTable) -> tuple[str, ...]:
    """Names that do not fit the outputs, and classes that seem to be numbered otherwise.

    Args:
        classes: How the classes are numbered.
        predictions: What the model returned.
        samples: The label of each row, int64; a ``range`` where they are in order; None where that is not known.
        labels: As they were given.
    """
    found, outputs = [], list(labelled_outputs(labels.values, predictions))
    for output, values, predicted in outputs:
        about = f"output {output!r}: " if output else ""
        if output in classes.given and (wrong := _unfit(classes.given[output], predicted)):
            found.append(f"{about}{wrong}")
        numbers = classes.values.get(output)
        labelled = values if numbers is None else numbers
        found += _numbered_otherwise(about, labelled, predicted, samples, classes.names.get(output))
    unknown = classes.given.keys() - {output for output, _, _ in outputs}
    if unknown and isinstance(labels.values, Mapping):
        expected, listed = (", ".join(map(repr, sorted(some))) for some in (labels.values, unknown))
        found.append(f"classes: expected outputs that have labels ({expected}), found {listed}")
    return tuple(found)


def _unfit(names: ClassNames, predicted: Any) -> str:
    """Why these cannot be the names of the columns of an output; empty if they can."""
    columns = columns_of(predicted)
    if columns < 2 or columns == len(names.names):
        return ""
    return (
        f"{names.source}: expected a name for each of the {columns:,} output columns, found "
        f"{plural(len(names.names), 'name')}; columns were not named"
    )


def _numbered_otherwise(
    about: str, values: Any, predicted: Any, samples: Any, names: ClassNames | None
) -> Iterator[str]:
    """The hazard that another assignment of classes explains the labels far better, if one does."""
    numbers = class_numbers_in(values)
    if numbers is None or samples is None:
        return
    if numbers.min() == -1 and numbers.max() == 1 and not (numbers == 0).any():
        # -1 and +1 are two classes.
        numbers = (numbers + 1) // 2
    output = predicted_numbers(predicted, int(numbers.max()) + 1)
    if output is None:
        return
    if isinstance(samples, range) and len(samples) == len(numbers) <= len(output):
        output = output[: len(numbers)]
    else:
        rows = np.asarray(samples)[: len(output)]
        known = (rows >= 0) & (rows < len(numbers))
        output, numbers = output[: len(rows)][known], numbers[rows[known]]
    counts = confusion(output, numbers)
    found = None if counts is None else other_numbers(counts)
    if found is not None:
        yield f"{about}{_seem(found, columns_of(predicted), names)}"


def names_of_rows(values: Any, names: ClassNames) -> NDArray[np.object_] | None:
    """The name of each row's class, masked rows and numbers without a name as None; None where there is none to give.

    Args:
        values: Labels, as names or numbers or one-hot; or an output.
        names: Names by number.
    """
    if is_text(np.asarray(values)):
        texts = np.ma.asarray(values).reshape(-1)
        found = np.array(texts.data, object)
        found[np.ma.getmaskarray(texts)] = None
        return found
    values = np.ma.asarray(values)
    columns, data = columns_of(values), values.data
    if (columns != 1 and columns != len(names.names)) or not len(data):
        return None
    numbers = predicted_numbers(data, len(names.names))
    if numbers is None:
        return None
    every = np.asarray([*names.names, None], object)
    known = (numbers < len(names.names)) & ~np.ma.getmaskarray(values).reshape(len(data), -1).any(axis=1)
    return every[np.where(known, numbers, -1)]


def _seem(found: OtherNumbers, columns: int, names: ClassNames | None) -> str:
    number = "column {}" if columns > 1 else "output {}"
    pairs = sorted(found.class_of.items())
    shown = ", ".join(f"{number.format(n)} is {_named(label, names)}" for n, label in pairs[:MAX_SHOWN])
    more = ", …" * (len(pairs) > MAX_SHOWN)
    # Two classes that are exchanged are no offset.
    offset = f"; the labels are {abs(found.offset)} {'more' if found.offset > 0 else 'less'} than the model's numbers"
    origin = f", by {names.source}" if names is not None else ""
    return (
        f"{SEEM}: accuracy {found.accuracy:.2f}, and {found.better:.2f} if {shown}{more}{origin}"
        f"{offset if found.offset else ''} (chosen on one half of the rows, tested on the other). "
        "Number the labels as the model does, or pass labels that are names, and classes=[...] in the model's order"
    )


def _named(label: int, names: ClassNames | None) -> str:
    return f"class {label}" if names is None or label >= len(names.names) else names.name(label)
