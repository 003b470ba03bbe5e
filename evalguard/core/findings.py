"""The objects in a report: what is wrong, what caused it, and its effect on a metric."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from enum import StrEnum
from typing import Any, ClassVar, Self


class _DictSpelling(Mapping[str, Any]):
    """Deprecated access by key, ``finding["reason"]``: these objects were dicts. The next release removes it."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        raise NotImplementedError

    def __getitem__(self, name: str) -> Any:
        # Not `getattr`: a metric value that was not computed had no key.
        value = self.to_dict()[name]
        kind = type(self).__name__
        msg = f"{kind}[{name!r}] is deprecated and goes away with the next release: use the attribute {kind}.{name}"
        warnings.warn(msg, DeprecationWarning, stacklevel=2)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_dict())

    def __len__(self) -> int:
        return len(self.to_dict())


class _Part(_DictSpelling):
    """A dataclass that is written to ``report.json`` and read back."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    # Attribute → function that converts its JSON value, for those that need one.
    _from_json: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}

    def to_dict(self) -> dict[str, Any]:
        """The object in the form of JSON, without the attributes that are None."""
        found = ((item.name, getattr(self, item.name)) for item in fields(self))
        return {name: list(value) if isinstance(value, tuple) else value for name, value in found if value is not None}

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """The object that ``to_dict`` gave.

        Raises:
            ValueError: A name is missing or unknown, or a value is not one of the allowed words.
        """
        names = [item.name for item in fields(cls)]
        needed = {item.name for item in fields(cls) if item.default is MISSING}
        if not isinstance(data, Mapping) or not needed <= data.keys() <= set(names):
            found = ", ".join(map(str, data)) if isinstance(data, Mapping) else type(data).__name__
            msg = f"{cls.__name__}: expected an object with the names {', '.join(names)}; found {found[:200]!r}"
            raise ValueError(msg)
        return cls(**{name: cls._from_json.get(name, _unchanged)(value) for name, value in data.items()})


def _unchanged(value: Any) -> Any:
    return value


def _number(value: Any) -> Any:
    # JSON has null for a value that is not finite; None would mean that it was not computed.
    return math.nan if value is None else value


class Reason(StrEnum):
    """Why predictions are not one-to-one with the labels. Stable codes."""

    COUNT = "count"
    FOREIGN = "foreign"
    MISSING = "missing"
    DUPLICATE = "duplicate"
    REORDERED = "reordered"
    LABELS = "label_disagreement"
    CLASSES = "classes"
    TRANSPORT = "transport"
    REUSED = "source_reused"
    IDENTITIES = "identities_disagree"
    ALTERED = "altered"
    # A row computed again, in another order, was the output of another row.
    COMPUTED = "rows_moved_in_model"
    # Rows moved between the model's compiled function and the caller.
    RETURNED = "rows_moved_after_model"
    # The labels or weights that are scored are not those of the guard.
    SCORED = "scored_with_others"
    DRIFT = "validation_drift"
    # Only in records made before 0.2, see `Proof.SAMPLE`.
    SAMPLED = "sampled_content"


@dataclass(frozen=True, slots=True)
class Finding(_Part):
    """One way in which predictions and labels are not one-to-one.

    Attributes:
        reason: Stable code, used in reports and in MLflow tags.
        count: Rows (for ``missing``: samples) affected, never capped.
        message: One sentence, with numbers.
        rows: The first delivered rows concerned, at most 20.
        samples: The samples at these rows, or the first missing ones.
    """

    reason: Reason
    count: int
    message: str
    rows: tuple[int, ...] = ()
    samples: tuple[int, ...] = ()

    _from_json: ClassVar = {"reason": Reason, "rows": tuple, "samples": tuple}


class Status(StrEnum):
    """What is known of a link."""

    PROVEN = "proven"
    DECLARED = "declared"
    NOT_SEEN = "not seen"
    NOT_APPLICABLE = "not applicable"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Link(_Part):
    """One link of the chain.

    Attributes:
        link: ``labels``, ``fed``, ``computed``, ``returned`` or ``confirmed``.
        status: What is known of it.
        basis: What that rests on, or why it is not known; one sentence.
    """

    link: str
    status: Status
    basis: str

    _from_json: ClassVar = {"status": Status}


@dataclass(frozen=True, slots=True)
class Cause(_Part):
    """A likely cause of what was found.

    Attributes:
        cause: Short stable name, e.g. ``shuffled anew at each pass``.
        certain: The fact that confirms the cause was observed; a matching
            pattern alone is not enough.
        evidence: The numbers that show it, one sentence.
        remedy: The fix, as the line before and after.
        reproduced: Versions on which a test reproduces the cause.
    """

    cause: str
    certain: bool
    evidence: str
    remedy: str
    reproduced: str = ""


# Values of a `MetricImpact` in reading order.
VALUES = ("as_scored", "realigned", "with_own_targets", "difference", "of_those_predicted", "at_least", "at_most")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricImpact(_Part):
    """One metric as it would have been scored and as it is. A value that was not computed is None.

    Attributes:
        as_scored: Prediction i against label i.
        realigned: Each sample's own prediction against its label.
        difference: ``as_scored`` minus ``realigned``.
        of_those_predicted: As ``realigned``, over the samples that have exactly one prediction.
        at_least: Lower bound over all samples, for any value of the missing predictions.
        at_most: Upper bound over all samples.
        with_own_targets: The predictions, scored with the stream's own labels.
        note: What the values leave out, in words.
        error: Why there is no value, in words.
    """

    as_scored: float | None = None
    realigned: float | None = None
    difference: float | None = None
    of_those_predicted: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    with_own_targets: float | None = None
    note: str | None = None
    error: str | None = None

    _from_json: ClassVar = dict.fromkeys(VALUES, _number)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.to_dict().items())})"
