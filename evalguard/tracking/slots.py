"""The words of the record in MLflow: tags, their order of badness, and what follows from them.

Each evaluation has a slot of its own in its run, ``evalguard.<slot>.<field>``.
The run's tags, metrics and note are functions of the slots, so whoever writes
last writes the same, and a gate can work them out again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from evalguard.core.epochs import SCORED

FOLDER = "evalguard"
PENDING, ERROR = "PENDING", "ERROR"
# Worst first: one bad evaluation marks its run. Neither PENDING nor ERROR is a verdict; both are worse than UNPROVEN.
RANK = ("FAIL", ERROR, PENDING, "UNPROVEN", "REPAIRED", "PASS")
# A tag's column shows about nine characters; longer values are for search. Tags have no JSON: it is cut silently.
MAX_TAG = 250
MAX_SLOT = 80

FIELDS = (
    "verdict",
    "proof",
    "cause",
    "reason",
    "counts",
    "labels",
    "labels_name",
    "model",
    "record",
    "began_at_ms",
    "checked_at_ms",
)
# What the run shows of its worst evaluation. The others are told in its slot only.
RUN_FIELDS = ("verdict", "proof", "cause", "reason", "labels", "record", "checked_at_ms")

Tags = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Slot:
    """What the tags of a run say of one evaluation.

    Attributes:
        name: The slot's name.
        fields: Value by field; a field that is not there is empty.
    """

    name: str
    fields: Mapping[str, str]

    def __getitem__(self, field: str) -> str:
        """The value of a field, empty where it has none."""
        return self.fields.get(field, "")

    @property
    def rank(self) -> int:
        """Place in ``RANK``; what is no word of ours (an edited tag) is as bad as a FAIL."""
        return RANK.index(self["verdict"]) if self["verdict"] in RANK else 0

    @property
    def is_validation(self) -> bool:
        """Whether it speaks of the validation inside ``fit`` alone: no evidence of any evaluation against labels."""
        return self["labels_name"].startswith(SCORED)

    @property
    def began_at_ms(self) -> int:
        """When the evaluation began."""
        return number(self["began_at_ms"])

    @property
    def checked_at_ms(self) -> int:
        """When it was judged; when it began, as long as it is PENDING."""
        return number(self["checked_at_ms"])

    @property
    def counts(self) -> dict[str, int]:
        """Counts by name."""
        pairs = [item.partition("=") for item in self["counts"].split()]
        return {name: number(value) for name, _, value in pairs}

    def to_tags(self) -> dict[str, str]:
        """The run tags that hold it; all fields, so that nothing of an earlier evaluation stays."""
        return {f"{FOLDER}.{self.name}.{field}": self[field][:MAX_TAG] for field in FIELDS}


def slots(tags: Tags) -> dict[str, Slot]:
    """The evaluations that a run's tags speak of, by slot, in the order of their names."""
    found: dict[str, dict[str, str]] = {}
    pattern = re.compile(rf"{FOLDER}\.([^.]+)\.({'|'.join(FIELDS)})")
    for key in sorted(tags):
        match = pattern.fullmatch(key)
        if match:
            found.setdefault(match[1], {})[match[2]] = tags[key]
    return {name: Slot(name, fields) for name, fields in found.items()}


def worst(present: Mapping[str, Slot]) -> Slot:
    """The evaluation that the run stands for: the worst; of several, the one judged last."""
    return min(present.values(), key=lambda slot: (slot.rank, -slot.checked_at_ms, slot.name))


def run_tags(present: Mapping[str, Slot]) -> dict[str, str]:
    """The tags that a run shows for its evaluations."""
    chosen = worst(present)
    tags = {f"{FOLDER}.{field}": chosen[field][:MAX_TAG] for field in RUN_FIELDS}
    models = sorted({slot["model"] for slot in present.values()} - {""})
    # All of them: a gate looks for the runs that speak of a model.
    return {**tags, f"{FOLDER}.model": ",".join(models)} if models else tags


def run_counts(present: Mapping[str, Slot]) -> dict[str, int]:
    """The counts of all judged evaluations of a run, added up."""
    totals: dict[str, int] = {}
    for slot in present.values():
        for name, value in slot.counts.items():
            totals[name] = totals.get(name, 0) + value
    return totals


def slug(name: str) -> str:
    """A name that MLflow takes as part of a tag and of a path, without dots."""
    return re.sub(r"[^\w\-]+", "_", name, flags=re.ASCII).strip("_")[:MAX_SLOT] or "evaluation"


def number(text: str) -> int:
    """An integer of a tag; 0 where somebody wrote something else."""
    return int(text) if re.fullmatch(r"\d{1,18}", text, re.ASCII) else 0
