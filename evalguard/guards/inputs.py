"""Labels and reference of a guard: read once, shared by its entries and its variants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from evalguard.core.label_changes import ArrayWatch
from evalguard.core.label_table import LabelTable
from evalguard.data.digests import files_sha256
from evalguard.errors import LabelsError
from evalguard.guards.class_numbers import class_numbers
from evalguard.guards.options import GuardOptions
from evalguard.labels.labels import Labels
from evalguard.labels.reference import KnownReference, Reference


class GuardInputs:
    """What a guard compares with.

    Args:
        options: Those in ``options.OF_INPUTS`` decide.

    Attributes:
        late: Labels that were set after the guard was made, or None.
        late_watch: Whether they have been changed since.
        fingerprinted: Labels with the fingerprints of their reference, by the specs of the inputs.
    """

    def __init__(self, options: GuardOptions) -> None:
        self._options = options
        self._reference = options.reference
        self._table: Labels | None = None
        self.late: Any = None
        self.late_watch = ArrayWatch(None)
        self._reference_watch: ArrayWatch | None = None
        self._came_late = False
        self.fingerprinted: dict[Any, LabelTable] = {}
        self._digests: dict[tuple[str | Path, ...], dict[str, str]] = {}

    @property
    def labels(self) -> Any:
        """The labels, where they have been read, else as they were set."""
        return self._table if self._table is not None else self.late

    def set_late(self, labels: Any) -> None:
        """Set labels after the guard was made."""
        self.late, self._table = labels, None
        # They are read when the entry ends.
        self.late_watch = ArrayWatch(labels)

    def read(self, given: Any) -> Labels | None:
        """The labels that are given at an entry; None where they come later."""
        if self._is_set:
            # Where they were set inside an entry, they may be set again inside this one.
            if self._came_late:
                return None
            self._table = self._of(self.late) if self._table is None else self._table
            return self._table
        if given is None or (callable(given) and not isinstance(given, LabelTable)):
            return self._table
        # The argument of a decorated function: new labels at each call, so they are not kept.
        if given is not self._options.labels:
            return self._of(given)
        if self._table is None:
            self._table = self._of(given)
        return self._table

    def finder(self, given: Any, table: Labels | None) -> Callable[[bool], LabelTable | None]:
        """A function that returns the labels once they are known: set on the guard, or from a callable at the end."""
        options = self._options

        def find(last: bool) -> LabelTable | None:
            nonlocal table
            # They also replace other labels: those of an earlier entry, or of the options.
            if self._is_set and self._table is None:
                table = self._table = self._of(self.late)
                self._came_late = True
            if self._came_late and last:
                table = self._table
            if table is None and last and callable(given):
                table = self._of(given())
            if table is None and last and options.sample_weight is not None and options.reference is not None:
                msg = (
                    "sample_weight: expected labels that the weights belong to, found a reference only; give labels=..."
                )
                raise LabelsError(msg)
            return table

        return find

    @property
    def _is_set(self) -> bool:
        # Labels set on the guard must not replace those of the decorated function's argument.
        return self.late is not None and self._options.labels_argument is None

    def _of(self, labels: Any) -> Labels:
        options = self._options
        found = Labels.of(
            labels, label=options.label_column, key=options.key_column, sample_weight=options.sample_weight
        )
        if options.class_names:
            # Names that the classes lack are an error before anything is predicted.
            class_numbers(options.class_names, found)
        return found

    def of_source(self, source: Any) -> Labels | None:
        """The labels that a source of predictions holds itself; None where it holds none."""
        labels = Labels.of_source(source)
        return None if labels is None else self._of(labels)

    def reference(self, table: LabelTable | None) -> Reference | None:
        """The inputs in label order, or None.

        Raises:
            LabelsError: A manifest or labels without fingerprints.
        """
        options = self._options
        if self._reference is None:
            return None
        if isinstance(self._reference, (str, Path)):
            self._reference = Labels.load(self._reference)
        if isinstance(self._reference, LabelTable):
            return KnownReference(self._reference)
        # Its rows are read after the first call, in the dtype that the model was fed.
        self._reference_watch = self._reference_watch or ArrayWatch(self._reference)
        return Reference(
            self._reference,
            None if table is None else len(table),
            part=options.fingerprint,
            pad_value=options.pad_value,
            drop=options.key if isinstance(options.key, str) else None,
            watch=self._reference_watch,
        )

    def file_digests(self, given: Any, attest_files: Sequence[str | Path]) -> dict[str, str]:
        """The files that are judged, as they are at the first entry: name → SHA-256."""
        paths = (*attest_files, *((given,) if isinstance(given, (str, Path)) else ()))
        # Hashed once per guard: a guard in a loop would read a large model file at each entry.
        if paths not in self._digests:
            self._digests[paths] = files_sha256(paths)
        return self._digests[paths]
