"""Compare a labels file at hand with the labels of an evaluation, by the columns that the evaluation was given."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from evalguard.errors import ConfigError, LabelsError
from evalguard.labels.labels import Labels

# What an evaluation says of its labels: `name`, `path`, `column` and `key`, as far as they are known.
Stated = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LabelsAsked:
    """The labels that count.

    Attributes:
        digests: Their digests.
        files: Files of labels.
        label: Column of the files with the labels; None: that of the evaluation.
        key: Column of the files with the keys; None: that of the evaluation.
        notes: What was taken from the evaluation because nothing else says it; filled while evaluations are assessed.
    """

    digests: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    label: str | None = None
    key: str | None = None
    notes: list[str] = field(default_factory=list)
    _read: dict[str, tuple[str, str]] = field(default_factory=dict)

    def each(self) -> dict[str, LabelsAsked]:
        """Each of them alone, by digest or path."""
        digests = {digest: replace(self, digests=(digest,), files=()) for digest in self.digests}
        return digests | {str(path): replace(self, digests=(), files=(path,)) for path in self.files}

    def digests_of(self, path: Path, label: Any, key: Any) -> tuple[str, str]:
        """The digest of the labels in a file, and that of their values alone; it is read once with the same columns.

        Raises:
            LabelsError: It does not have these columns.
        """
        columns = repr((path, label, key))
        if columns not in self._read:
            labels = Labels.read(path, label=label, key=key)
            self._read[columns] = (labels.digest, labels.values_digest)
        return self._read[columns]


def labels_asked(
    digests: Sequence[str], files: str | Path | Sequence[str | Path], label: str | None, key: str | None
) -> LabelsAsked:
    """The labels that the caller of the gate asked for.

    Raises:
        ConfigError: There is no such file.
        LabelsError: A file does not have the columns that are named.
    """
    paths = tuple(map(Path, [files] if isinstance(files, (str, Path)) else files))
    for path in paths:
        if not path.is_file():
            msg = f"labels: expected a file of labels at {path}, found none there"
            raise ConfigError(msg)
        if label is not None or key is not None:
            Labels.read(path, label=label, key=key)
    return LabelsAsked(tuple(digests), paths, label, key)


def other_labels(asked: LabelsAsked, found: str, stated: Stated) -> list[str]:
    """Why the labels of an evaluation are none of those that were asked for; empty if they are, or none were.

    Args:
        asked: The labels that count.
        found: Digest of its labels.
        stated: What it says of its labels.
    """
    if found in asked.digests or not (asked.digests or asked.files):
        return []
    expected = list(asked.digests)
    for path in asked.files:
        key = asked.key or _column(stated.get("key"))
        usual = _usual_column(path) if asked.label is None else ""
        label = asked.label or _label(usual, _column(stated.get("column")))
        try:
            digest, values = asked.digests_of(path, label, key)
        except LabelsError as error:
            expected.append(f"of {path}, which could not be read with {_columns(label, key)}: {error}")
            continue
        if digest == found and (in_order := stated.get("values_digest") or values) != values:
            return [f"{path} has the labels in another order, and no key identified the rows ({in_order}, {values})"]
        if digest == found:
            if usual is None:
                asked.notes.append(
                    f"{path} was read as evaluated: {_columns(label, key)}; --label can name another column"
                )
            return []
        expected.append(f"{digest} (of {path} with {_columns(label, key)})")
    why = f"expected labels {' or '.join(expected)}, found {found or 'unknown'}"
    if not asked.files:
        return [why]
    had = _columns(_column(stated.get("column")), _column(stated.get("key")))
    return [f"{why}; the evaluation had {_name(stated)} with {had}; name the columns of the file by --label and --key"]


def _usual_column(path: Path) -> Any:
    """The column of labels that a file shows by itself; empty if it has no columns, None if several may be it."""
    try:
        # Without the key of the evaluation, which may be the column that holds the labels.
        return Labels.read(path).origin.column
    except LabelsError:
        return None


def _label(usual: Any, stated: Any) -> Any:
    """The column to read: that of the evaluation, but not instead of the one that the file shows by itself.

    Anyone can evaluate against another column of the same file, such as one of predictions.
    """
    if not usual:
        return stated
    columns = stated.values() if isinstance(stated, Mapping) else [stated]
    return stated if usual in columns else usual


def stated_in_report(path: Path) -> Stated:
    """What a report says of its labels; empty if there is no such report."""
    try:
        return labels_of(json.loads(path.read_text(encoding="utf-8")))
    except (LookupError, OSError, ValueError, TypeError):
        return {}


def labels_of(about: Any) -> Stated:
    """The part ``labels`` of a report, or of what a record is about."""
    labels = about.get("labels") if isinstance(about, Mapping) else None
    return labels if isinstance(labels, Mapping) else {}


def _column(named: Any) -> Any:
    """The column that a record names, or a mapping of columns for several outputs; else None, as anyone may edit it."""
    if isinstance(named, Mapping) and all(isinstance(item, str) for pair in named.items() for item in pair):
        return dict(named) or None
    return named if isinstance(named, str) and named else None


def _columns(label: Any, key: Any) -> str:
    return f"label={label!r} and key={key!r}"


def _name(stated: Stated) -> str:
    # The end of a long path tells files apart.
    return str(stated.get("path") or stated.get("name") or "labels")[-80:]
