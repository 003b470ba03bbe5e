"""The classes of one evaluation: how the model, the labels and the stream number them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.checks import first_cases
from evalguard.core.class_names import (
    NO_NAME,
    NUMBER,
    ClassNames,
    class_numbers_in,
    distinct_names,
    is_numbers,
    is_text,
    missing_names,
    numbered_otherwise,
    numbers_of,
    numbers_present,
    otherwise_text,
)
from evalguard.core.findings import Finding, Reason
from evalguard.core.label_table import LabelTable
from evalguard.core.target_comparison import compare_labels
from evalguard.data import kinds, tree
from evalguard.errors import ConfigError, LabelsError
from evalguard.guards.other_numbers import UNKNOWN, columns_of

ASSUMED = "the names in the labels in sorted order, as no numbers were given"
SEVERAL = (
    "the sources of these calls number their classes differently, so the numbers in their targets are not compared; "
    "use one guard for each source, with the labels of that source"
)
# Rows per class at least: texts that are all different are not classes.
ROWS_PER_CLASS = 2
FROM_ONE = "from 1 to"
# Numbers that a hazard names.
MAX_SHOWN = 3


@dataclass(frozen=True, slots=True, eq=False)
class ClassNumbers:
    """What is known of the classes.

    Attributes:
        given: How the model numbers them, by output; under ``""`` where there is one.
        names: How the labels do.
        values: The labels as numbers, by output, where they are names.
        stream: How the source does, in its ``y``.
        findings: Where model and labels number the classes differently.
        hazards: What may be wrong.
        doubt: Why the numbers in the streams are not known.
    """

    given: Mapping[str, ClassNames] = field(default_factory=dict)
    names: Mapping[str, ClassNames] = field(default_factory=dict)
    values: Mapping[str, NDArray[np.int32]] = field(default_factory=dict)
    stream: ClassNames | None = None
    findings: tuple[Finding, ...] = ()
    hazards: tuple[str, ...] = ()
    doubt: str = ""

    @property
    def assumed(self) -> bool:
        """Whether evalguard chose an order of names itself; such an order contradicts nothing."""
        return any(names.assumed for names in self.names.values())

    @property
    def stream_differs(self) -> bool:
        """Whether the stream names its numbers otherwise than the labels do."""
        names = self.names.get("")
        return self.stream is not None and names is not None and self.stream.names != names.names

    @property
    def of_columns(self) -> Mapping[str, ClassNames]:
        """Names of the output's columns, by output, as far as somebody said them."""
        said = {output: names for output, names in self.names.items() if not names.assumed}
        return {**said, **self.given}

    def as_numbers(self, labels: LabelTable) -> LabelTable:
        """The labels as class numbers, where they are names."""
        if not self.values:
            return labels
        values = labels.values
        return labels.in_form({**values, **self.values} if isinstance(values, Mapping) else self.values[""])

    def as_scored(self, y_true: Any, labels: LabelTable) -> LabelTable:
        """The labels in the form of the labels that are scored: class numbers or names."""
        names = self.names.get("")
        if names is not None and not names.assumed and is_text(y_true) and is_numbers(labels.values):
            numbers = class_numbers_in(labels.values)
            named = numbers is not None and set(numbers_present(numbers)) <= set(range(len(names.names)))
            known = named and numbers is not None and numbers.min() >= 0
            return labels.in_form(np.asarray(names.names)[numbers]) if known else labels
        if not self.values or not holds_numbers(y_true):
            return labels
        table = self.as_numbers(labels)
        return labels if self.assumed and compare_labels(y_true, table.values).rows.size else table


def of_calls(
    given: Mapping[str, ClassNames], labels: LabelTable | None, sources: Sequence[Any], predictions: Any
) -> ClassNumbers:
    """How the classes of calls that are judged together are numbered; see ``class_numbers``."""
    found = class_numbers(given, labels, sources[0], predictions)
    named = [names.names for source in sources if (names := kinds.class_names(source)) is not None]
    return replace(found, doubt=SEVERAL) if len(set(named)) > 1 else found


def class_numbers(
    given: Mapping[str, ClassNames], labels: LabelTable | None, source: Any = None, predictions: Any = None
) -> ClassNumbers:
    """How the classes are numbered.

    Args:
        given: The option ``classes``, by output.
        labels: The labels, as given.
        source: What was predicted.
        predictions: What the model returned for it.

    Raises:
        ConfigError: There are several outputs, and the names are not by output; or the other way round.
        LabelsError: A label is a name that ``classes`` lacks.
    """
    if labels is None or labels.values is None:
        return ClassNumbers(given)
    if isinstance(labels.values, Mapping):
        if "" in given:
            outputs = ", ".join(map(repr, list(labels.values)[:5]))
            msg = f"classes: expected a mapping from each output ({outputs}) to its names, found one list"
            raise ConfigError(msg)
        return _joined(
            given,
            {
                output: _named_output(output, values, given.get(output), labels.name, predictions)
                for output, values in labels.values.items()
            },
        )
    if len(given) > 1:
        msg = f"classes: expected one list of names, because the labels have one output; found {len(given):,} lists"
        raise ConfigError(msg)
    model, stream = next(iter(given.values()), None), None if source is None else kinds.class_names(source)
    # Labels may be the very numbers that an image iterator lists, file by file.
    listed: Any = getattr(source, "classes", None) if kinds.is_image_iterator(source) else None
    own = stream if labels.classes is None and np.array_equal(listed, labels.values) else labels.classes
    found = _of_output(labels.values, own, model, stream, labels.name)
    if model is not None:
        found = _without_background(found, model, predictions)
    return replace(_joined({} if model is None else {"": model}, {"": found}), stream=stream)


@dataclass(frozen=True, slots=True, eq=False)
class _OfOutput:
    names: ClassNames | None = None
    values: NDArray[np.int32] | None = None
    findings: tuple[Finding, ...] = ()
    hazards: tuple[str, ...] = ()


def _named_output(
    output: str, values: NDArray[Any], model: ClassNames | None, where: str, predictions: Any
) -> _OfOutput:
    found = _of_output(values, None, model, None, f"{where}, output {output!r}")
    own = predictions.get(output) if isinstance(predictions, Mapping) else predictions
    return found if model is None else _without_background(found, model, own)


def _without_background(found: _OfOutput, model: ClassNames, predictions: Any) -> _OfOutput:
    """Numbers from 1 on are right if the first column is of no class and the names are those of the other columns."""
    from_one = [finding for finding in found.findings if FROM_ONE in finding.message]
    columns = set(map(columns_of, tree.leaves(predictions)))
    kept = tuple(finding for finding in found.findings if finding not in from_one)
    if len(model.names) + 1 in columns:
        return replace(found, findings=kept)
    if columns and UNKNOWN not in columns:
        return found
    # The columns are not known: metrics, or the entry of a guard.
    return replace(found, findings=kept, hazards=(*found.hazards, *(finding.message for finding in from_one)))


def _joined(given: Mapping[str, ClassNames], parts: Mapping[str, _OfOutput]) -> ClassNumbers:
    return ClassNumbers(
        given,
        {output: part.names for output, part in parts.items() if part.names is not None},
        {output: part.values for output, part in parts.items() if part.values is not None},
        None,
        tuple(finding for part in parts.values() for finding in part.findings),
        tuple(hazard for part in parts.values() for hazard in part.hazards),
    )


def _of_output(
    values: NDArray[Any], own: ClassNames | None, model: ClassNames | None, stream: ClassNames | None, where: str
) -> _OfOutput:
    """How the labels of one output are numbered: text by class names, numbers by the names that came with them."""
    if is_text(values):
        return _of_text(values, model, stream, where)
    if model is None and (own is not None or stream is None):
        return _OfOutput(own)
    numbers = class_numbers_in(values)
    present = [] if numbers is None else numbers_present(numbers)
    if model is None or numbers is None:
        fits = stream is not None and present and present[-1] < len(stream.names)
        return _OfOutput(model or (stream if fits else None))
    if own is not None and not own.certain and not set(own.names) & set(model.names):
        # These are names of folders, or numbers as text.
        own = None
    if own is None or present[-1:] >= [len(own.names)]:
        return _by_number(numbers, present, model)
    missing = [own.names[number] for number in present if own.names[number] not in model.number_of]
    if missing and own.certain:
        raise LabelsError(missing_names(missing, model, own.names, where))
    if missing:
        return _OfOutput(model, hazards=(missing_names(missing, model, own.names, where),))
    differ = numbered_otherwise(own, model, present)
    if not differ:
        return _OfOutput(model)
    rows = np.flatnonzero(np.isin(numbers, differ))
    message = otherwise_text("the labels", own, model, differ)
    return _OfOutput(own, findings=(Finding(Reason.CLASSES, len(rows), message, first_cases(rows)),))


def _of_text(values: NDArray[Any], model: ClassNames | None, stream: ClassNames | None, where: str) -> _OfOutput:
    if model is not None:
        numbers = numbers_of(values, model)
        if (numbers == NO_NAME).any():
            others = distinct_names(values) or ["…"]
            # If there are more distinct ones than any model has classes, they are not names of classes.
            missing = [name for name in others if name not in model.number_of]
            raise LabelsError(missing_names(missing, model, others, where))
        return _OfOutput(model, numbers)
    if stream is not None:
        numbers = numbers_of(values, stream)
        if not (numbers == NO_NAME).any():
            return _OfOutput(stream, numbers)
    distinct = distinct_names(values)
    if distinct is None or len(distinct) * ROWS_PER_CLASS > len(values):
        return _OfOutput()
    assumed = ClassNames(tuple(distinct), ASSUMED, assumed=True)
    return _OfOutput(assumed, numbers_of(values, assumed))


def _by_number(numbers: NDArray[np.integer[Any]], present: list[int], model: ClassNames) -> _OfOutput:
    """The classes of labels that are numbers, if only the model has names."""
    beyond = [number for number in present if number >= len(model.names)]
    if not beyond:
        return _OfOutput(model)
    if present[:1] == [1] and beyond == [len(model.names)]:
        message = (
            f"the labels {NUMBER} {FROM_ONE} {len(model.names):,}, and {model.source} numbers them from 0 to "
            f"{len(model.names) - 1:,}: each label is 1 more than its class"
        )
        rows = np.flatnonzero(numbers >= 0)
        return _OfOutput(findings=(Finding(Reason.CLASSES, len(rows), message, first_cases(rows)),))
    listed = ", ".join(map(str, beyond[:MAX_SHOWN])) + ", …" * (len(beyond) > MAX_SHOWN)
    return _OfOutput(model, hazards=(f"the labels contain class numbers without a name in {model.source}: {listed}",))


def holds_numbers(structure: Any) -> bool:
    """Whether labels or targets, of one output or of several, are numbers."""
    if isinstance(structure, Mapping):
        structure = list(structure.values())
    return all(map(is_numbers, structure if isinstance(structure, (list, tuple)) else [structure]))
