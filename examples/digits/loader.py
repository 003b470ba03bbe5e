"""The digits as a stream of image batches.

The stream carries no labels: those stay in a CSV, ``file,label``, one row for
each image. Whether row i of the predictions answers row i of that CSV is what
evalguard is asked to prove, and ``Digits.sample_indices`` is how it knows.
"""

import csv
import math
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from PIL import Image

WORK = Path(__file__).resolve().parent / "work"


class Digits(keras.utils.PyDataset):
    """Batches of PNG files, decoded by several workers at once.

    Args:
        files: The images, in the order of the label file.
        batch_size: Rows of a batch; the last one may be shorter.
        shuffle: Draw a new order of the files for each pass, seeded. Harmless
            in training, where the labels ride along; fatal where they do not.
        seed: Seed of the orders drawn.
        workers: Threads that decode batches ahead of the model.
    """

    def __init__(
        self, files: list[Path], *, batch_size: int = 32, shuffle: bool = False, seed: int = 0, workers: int = 4
    ) -> None:
        super().__init__(workers=workers)
        self._files = files
        self._batch_size = batch_size
        self._shuffle = shuffle
        self._random = np.random.default_rng(seed)
        self._order = np.arange(len(files), dtype=np.int64)
        self._reorder()

    def __len__(self) -> int:
        """Number of batches in a pass."""
        return math.ceil(len(self._files) / self._batch_size)

    def __getitem__(self, index: int) -> npt.NDArray[np.float32]:
        """Decode a batch: float32, shape ``(rows, 8, 8, 1)``, values 0 to 1."""
        return decode([self._files[i] for i in self.sample_indices(index)])

    def sample_indices(self, batch_index: int) -> npt.NDArray[np.int64]:
        """Label row of each image of a batch, in this pass: int64, shape ``(rows,)``.

        This is evalguard's hook: it only repeats what ``__getitem__`` is about to do.
        """
        start = batch_index * self._batch_size
        return self._order[start : start + self._batch_size]

    def on_epoch_end(self) -> None:
        """Draw the order of the next pass.

        Not in ``on_epoch_begin``: Keras 3.15 starts the workers before it calls
        that, and the first batches would still come in the old order.
        """
        self._reorder()

    def _reorder(self) -> None:
        if self._shuffle:
            self._order = self._random.permutation(len(self._files)).astype(np.int64)


def decode(files: list[Path]) -> npt.NDArray[np.float32]:
    """Read 8×8 grey PNG files: float32, shape ``(len(files), 8, 8, 1)``, values 0 to 1."""
    pixels = np.stack([np.asarray(Image.open(file), dtype=np.float32) for file in files])
    return pixels[..., np.newaxis] / np.float32(255)


def read_labels(path: Path) -> tuple[list[Path], npt.NDArray[np.int64]]:
    """Read a label file: its images, and int64 labels of shape ``(rows,)``, in the file's order."""
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    files = [path.parent / row["file"] for row in rows]
    return files, np.array([int(row["label"]) for row in rows], dtype=np.int64)


def test_images(*, shuffle: bool = False, workers: int = 4, batch_size: int = 32, work: str | None = None) -> Digits:
    """The test part, as ``configs/digits.yaml`` asks for it.

    Args:
        shuffle: Whether each pass has a different order.
        workers: Threads that decode.
        batch_size: Rows of a batch.
        work: Folder that ``prepare`` filled; beside this file unless given.
    """
    files, _ = read_labels((Path(work) if work else WORK) / "labels_test.csv")
    return Digits(files, batch_size=batch_size, shuffle=shuffle, workers=workers)
