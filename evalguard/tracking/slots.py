"""Slots: the tags of each evaluation in an MLflow run, and the run's own tags that follow from them.

Each evaluation has a separate slot in its run, ``evalguard.<slot>.<field>``. The
run's tags, metrics and note are functions of the slots: every writer computes the
same values, and a gate can compute them again. A run that was created for one
evaluation has no slot: its own tags are those of the evaluation, and
``evalguard.evaluation`` names it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from evalguard.core.epochs import SCORED

FOLDER = "evalguard"
PENDING, ERROR = "PENDING", "ERROR"
GOOD = frozenset({"PASS", "REPAIRED"})
# Worst first: a run shows its worst evaluation. Neither PENDING nor ERROR is a verdict; both are worse than UNPROVEN.
RANK = ("FAIL", ERROR, PENDING, "UNPROVEN", "REPAIRED", "PASS")
# A tag's column shows about nine characters; longer values are for search. No JSON in a tag: mlflow 3.17 cuts a value
# at 8,000 characters without an error (utils/validation.py, `_validate_length_limit`), and cut JSON cannot be parsed.
MAX_TAG = 250
# A signed record is one tag as well, so that one search brings those of all runs. mlflow 3.17, utils/validation.py,
# MAX_TAG_VAL_LENGTH.
MAX_ENVELOPE = 8000
# A key has 250 characters at most (MAX_ENTITY_KEY_LENGTH there). This leaves space for the folder, a suffix and the
# field.
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
    "envelope",
)
# Fields of the worst evaluation that the run shows; the other fields are only in its slot.
RUN_FIELDS = ("verdict", "proof", "cause", "reason", "labels", "record", "checked_at_ms")
# Tag with the name of the evaluation in a run that has no slot.
EVALUATION = f"{FOLDER}.evaluation"


@dataclass(frozen=True, slots=True)
class Slot:
    """The fields of one evaluation, as the tags of its run hold them.

    Attributes:
        name: The slot's name.
        fields: Value by field; a missing field is empty.
    """

    name: str
    fields: Mapping[str, str]

    def __getitem__(self, field: str) -> str:
        """The value of a field; empty if it is missing."""
        return self.fields.get(field, "")

    @property
    def rank(self) -> int:
        """Position in ``RANK``; any other word, such as that of an edited tag, is as bad as a FAIL."""
        return RANK.index(self["verdict"]) if self["verdict"] in RANK else 0

    @property
    def is_validation(self) -> bool:
        """Whether it covers only the validation inside ``fit``, which is no evidence for an evaluation."""
        return self["labels_name"].startswith(SCORED)

    @property
    def began_at_ms(self) -> int:
        """When the evaluation began, milliseconds since the epoch; 0 if it is not known."""
        return number(self["began_at_ms"])

    @property
    def checked_at_ms(self) -> int:
        """When it was judged, milliseconds since the epoch; while it is PENDING, when it began."""
        return number(self["checked_at_ms"])

    @property
    def counts(self) -> dict[str, int]:
        """Counts by name; counts that are not known are missing."""
        pairs = [item.partition("=") for item in self["counts"].split()]
        return {name: number(value) for name, _, value in pairs}

    def to_tags(self) -> dict[str, str]:
        """The run tags of this slot, with all fields, so that no value of an earlier evaluation remains."""
        return {f"{FOLDER}.{self.name}.{field}": self.tag(field) for field in FIELDS}

    def tag(self, field: str) -> str:
        """The value of a field, as a tag holds it."""
        return self[field][: MAX_ENVELOPE if field == "envelope" else MAX_TAG]


def slots(tags: Mapping[str, str]) -> dict[str, Slot]:
    """The evaluations in a run's tags, by slot, in the order of their names."""
    found = _with_slots(tags)
    only = tags.get(EVALUATION)
    if only and only not in found:
        found[only] = Slot(only, {field: tags.get(f"{FOLDER}.{field}", "") for field in FIELDS})
    return found


def _with_slots(tags: Mapping[str, str]) -> dict[str, Slot]:
    found: dict[str, dict[str, str]] = {}
    # A slot has no dot (see `slug`), so `evalguard.verdict` of the run itself is not taken for a slot.
    pattern = re.compile(rf"{FOLDER}\.([^.]+)\.({'|'.join(FIELDS)})")
    for key in sorted(tags):
        match = pattern.fullmatch(key)
        if match:
            found.setdefault(match[1], {})[match[2]] = tags[key]
    return {name: Slot(name, fields) for name, fields in found.items()}


def worst(present: Mapping[str, Slot]) -> Slot:
    """The evaluation that the run shows: the worst; of equally bad ones, the one judged last."""
    return min(present.values(), key=lambda slot: (slot.rank, -slot.checked_at_ms, slot.name))


def tags_of(own: Slot, tags: Mapping[str, str], *, alone: bool = False) -> dict[str, str]:
    """The tags to write for an evaluation.

    Args:
        own: The evaluation.
        tags: The present tags of its run or model.
        alone: Whether the run was created for this evaluation. In other runs another process may begin an evaluation
            at the same time, so each evaluation has a slot that no other one writes.
    """
    present = {**slots(tags), own.name: own}
    stored = _with_slots(tags)
    if alone and not stored and len(present) == 1:
        return {EVALUATION: own.name, **{f"{FOLDER}.{field}": own.tag(field) for field in FIELDS}}
    others = [slot for name, slot in present.items() if name not in stored and name != own.name]
    written = {key: value for slot in (*others, own) for key, value in slot.to_tags().items()}
    # The tags of a run that had a single evaluation are in a slot now.
    unused = (EVALUATION, *(f"{FOLDER}.{field}" for field in FIELDS if field not in RUN_FIELDS))
    return {**{name: "" for name in unused if tags.get(name)}, **written, **run_tags(present)}


def run_tags(present: Mapping[str, Slot]) -> dict[str, str]:
    """The tags that a run shows for its evaluations."""
    chosen = worst(present)
    tags = {f"{FOLDER}.{field}": chosen[field][:MAX_TAG] for field in RUN_FIELDS}
    models = sorted({slot["model"] for slot in present.values()} - {""})
    # The models of all evaluations in one tag: a search filter has no OR and no wildcard for keys, so the gate finds
    # the runs of a model by this tag only.
    return {**tags, f"{FOLDER}.model": ",".join(models)} if models else tags


def run_counts(present: Mapping[str, Slot]) -> dict[str, int]:
    """The counts of all judged evaluations of a run, added up.

    If one of the evaluations does not know a count, the sum of the others is a lower bound. A sum of zero is then left
    out.
    """
    judged = [slot.counts for slot in present.values() if slot["verdict"] not in {PENDING, ERROR}]
    names = dict.fromkeys(name for counts in judged for name in counts)
    totals = {name: sum(counts.get(name, 0) for counts in judged) for name in names}
    return {name: total for name, total in totals.items() if total or all(name in counts for counts in judged)}


def slug(name: str) -> str:
    """A name that MLflow accepts as part of a tag and of a path, without dots."""
    return re.sub(r"[^\w\-]+", "_", name, flags=re.ASCII).strip("_")[:MAX_SLOT] or "evaluation"


def number(text: str) -> int:
    """The integer in a tag; 0 for any other text, as users can edit tags."""
    return int(text) if re.fullmatch(r"\d{1,18}", text, re.ASCII) else 0
