"""The digits in every form a step file can name, made once for all tests of the step."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_digits

N = 75  # no batch size of the tests divides it

LOADING = """
import keras, numpy as np, pathlib
X = np.load(pathlib.Path(__file__).with_name("pixels.npy"))
Y = np.load(pathlib.Path(__file__).with_name("labels.npy"))

class Digits(keras.utils.PyDataset):
    def __init__(self, order, named=True, targets=False, broken=False):
        super().__init__()
        self.order, self.targets, self.broken = order, targets, broken
        if named:
            self.sample_indices = self.rows

    def rows(self, number):
        return self.order[number * 16 : number * 16 + 16]

    def __len__(self):
        return -(-len(self.order) // 16)

    def __getitem__(self, number):
        if self.broken and number == 3:
            raise RuntimeError("the disk is gone")
        rows = self.rows(number)
        return (X[rows], Y[rows]) if self.targets else (X[rows],)

def digits(swapped=False, **options):
    order = np.arange(len(X))
    if swapped:
        order[[3, 50]] = order[[50, 3]]
    return Digits(order, **options)

def batches(swapped=False):
    dataset = digits(swapped)
    return (dataset[number] for number in range(len(dataset)))

def shuffled(seed=0):
    import tensorflow as tf
    return tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(75).batch(16)

def model(units=10):
    return keras.Sequential([keras.Input((64,)), keras.layers.Dense(units, activation="softmax")])

def halves():
    left, right = keras.Input((32,), name="left"), keras.Input((32,), name="right")
    both = keras.ops.concatenate([left, right], axis=1)
    return keras.Model({"left": left, "right": right}, keras.layers.Dense(10)(both))

def slow(seconds=0.2):
    import time
    class Slow(Digits):
        def __getitem__(self, number):
            (pathlib.Path(__file__).parent / "predicting").touch()
            time.sleep(seconds)
            return super().__getitem__(number)
    return Slow(np.arange(len(X)))

def first(x):
    return x
"""


def write(folder: Path) -> Path:
    """All forms of data, labels and models in one folder."""
    pixels, labels = load_digits(return_X_y=True)
    pixels, labels = (pixels[:N] / 16).astype("float32"), labels[:N].astype("int64")
    names = [f"images/{labels[row]}/{row:03d}.png" for row in range(N)]
    (folder / "loading.py").write_text(LOADING)
    _write_images(folder, pixels, names)
    np.save(folder / "pixels.npy", pixels)
    np.save(folder / "labels.npy", labels)
    np.savez(folder / "pixels.npz", x=pixels, y=labels, id=np.array(names))
    np.savez(folder / "halves.npz", left=pixels[:, :32], right=pixels[:, 32:])
    table = pa.table({"id": names, **{f"p{column}": pixels[:, column] for column in range(64)}, "label": labels})
    pyarrow.csv.write_csv(table, folder / "pixels.csv")
    pyarrow.parquet.write_table(table, folder / "pixels.parquet")
    (folder / "pixels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    write_labels(folder, "labels", names, labels)
    _write_records(folder / "digits.tfrecord", pixels, names, labels)
    rewrite_records(folder / "digits.tfrecord", folder / "zipped.tfrecord", compression="GZIP")
    _write_models(folder)
    return folder


def write_labels(folder: Path, stem: str, names: list[str], labels: np.ndarray) -> None:
    """The labels as CSV, Parquet and JSONL."""
    table = pa.table({"file": names, "label": labels})
    pyarrow.csv.write_csv(table, folder / f"{stem}.csv")
    pyarrow.parquet.write_table(table, folder / f"{stem}.parquet")
    (folder / f"{stem}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))


def _write_images(folder: Path, pixels: np.ndarray, names: list[str]) -> None:
    for row, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels[row].reshape(8, 8) * 255).astype("uint8")).save(folder / name)


def _write_records(path: Path, pixels: np.ndarray, names: list[str], labels: np.ndarray) -> None:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row, name in enumerate(names):
            features = {
                "id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[name.encode()])),
                "pixels": tf.train.Feature(float_list=tf.train.FloatList(value=pixels[row])),
                "png": tf.train.Feature(bytes_list=tf.train.BytesList(value=[(path.parent / name).read_bytes()])),
                "raw": tf.train.Feature(bytes_list=tf.train.BytesList(value=[pixels[row].tobytes()])),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[labels[row]])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def rewrite_records(path: Path, to: Path, order: list[int] | None = None, compression: str = "") -> None:
    """The same records, some of them, or in another order."""
    records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    with tf.io.TFRecordWriter(str(to), compression) as writer:
        for row in range(len(records)) if order is None else order:
            writer.write(records[row])


def _write_models(folder: Path) -> None:
    flat = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10, activation="softmax")])
    flat.save(folder / "model.keras")
    flat.save(folder / "model.h5")
    flat.export(folder / "saved", verbose=False)
    square = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
    square.save(folder / "square.keras")


def copied(folder: Path, to: Path) -> Path:
    """A copy to break."""
    shutil.copytree(folder, to, dirs_exist_ok=True)
    return to
