"""Image iterators (``ImageDataGenerator.flow*`` of both Kerases): each row is identified by its file.

An iterator shuffles by default and numbers the files in its own list, which need
not be in the order of the labels. Its rows therefore carry both the number in
that list and the file name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from evalguard.capture.contract import BatchTag, Stream
from evalguard.capture.probes.pydataset import PyDatasetProbe, SequenceProbe
from evalguard.data.kinds import file_names


class ImageIteratorProbe(PyDatasetProbe):
    """For iterators of Keras 3."""

    def __init__(self, source: Any, call: dict[str, Any]) -> None:
        super().__init__(source, call)
        files = file_names(source)
        # Iterators of arrays have no files: their samples are rows of the array.
        if files is not None:
            self.index_source = "listed"
            # As objects, so that a batch refers to the names instead of copying them.
            self.stream = FilesOfRows(self.stream, files.astype(object))

    def indices_of(self, source: Any) -> Callable[[int], Any] | None:
        """A function from an item number to the samples of the item."""
        return super().indices_of(source) or IndexSlices(source)


class ImageSequenceProbe(ImageIteratorProbe, SequenceProbe):
    """For iterators of tf_keras."""


class FilesOfRows:
    """A stream whose rows have the file of each sample as their key.

    The files are looked up when batches arrive: a worker process has a copy of
    the iterator and sends only the numbers.

    Args:
        stream: Identifies the batches and their samples.
        files: The file name of each sample, shape ``(n,)``.
    """

    def __init__(self, stream: Stream, files: NDArray[Any]) -> None:
        self._stream, self._files = stream, files
        self.without_tag, self.hold, self.intact = stream.without_tag, stream.hold, stream.intact

    def identify(self, data: Any) -> tuple[Any, BatchTag]:
        """Return a delivered batch, and its tag with the file names as keys."""
        batch, tag = self._stream.identify(data)
        samples = tag.samples
        if samples is None:
            return batch, tag
        # With a number outside the list the rows are not identified; `files[-1]` would be a wrong name.
        if samples.min() < 0 or samples.max() >= len(self._files):
            return batch, replace(tag, samples=None)
        return batch, replace(tag, keys=self._files[samples])


@dataclass(frozen=True, slots=True)
class IndexSlices:
    """A function from an item number to its samples, read from the array that the iterator's ``__getitem__`` reads."""

    # A class, because a local function could not be pickled for a worker process.
    inner: Any

    def __call__(self, index: int) -> Any:
        """The samples of this item."""
        # keras 3.15, legacy/preprocessing/image.py:69. Called after `__getitem__`, which creates the array (:67).
        size = self.inner.batch_size
        return self.inner.index_array[size * index : size * (index + 1)]
