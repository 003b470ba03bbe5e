"""Write the digits as PNG files with label files, and train a small model on a part of them.

The 1,797 handwritten digits of the UCI repository ship inside scikit-learn, so
nothing is downloaded. Run it from the project's root, as often as you like:

    python -m examples.digits.prepare

It fills ``examples/digits/work/``: ``images/0000.png`` and so on, ``labels.csv``,
``labels_train.csv``, ``labels_test.csv``, ``model.keras``, and last of all
``prepared.json``, which says the folder is complete.
"""

import argparse
import csv
import json
import os
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

# Before TensorFlow is loaded: an example need not show its start-up messages.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

WORK = Path(__file__).resolve().parent / "work"
N_TEST = 359  # a prime: no batch size divides it, the last batch is always a short one
SEED = 20240607


def recipe() -> dict[str, object]:
    """What the folder's content depends on; a folder made by another recipe is made again."""
    return {
        "recipe": 1,
        "n_test": N_TEST,
        "seed": SEED,
        "keras": version("keras"),
        "scikit-learn": version("scikit-learn"),
    }


def prepare(work: Path = WORK) -> bool:
    """Fill ``work``, unless it is complete already.

    Args:
        work: Folder to fill; made where it is missing.

    Returns:
        Whether there was anything to do.
    """
    stamp = work / "prepared.json"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == _stamp_text():
        return False
    (work / "images").mkdir(parents=True, exist_ok=True)
    write_images(work)
    train(work)
    stamp.write_text(_stamp_text(), encoding="utf-8")
    return True


def write_images(work: Path) -> None:
    """Write the PNG files and the three label files."""
    # Imported here, as in `train`: a second run needs none of it and is done at once.
    from PIL import Image
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)  # pixels are 0 to 16
    rows = []
    for i, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        name = f"images/{i:04d}.png"
        Image.fromarray((image.reshape(8, 8) * 15).astype("uint8")).save(work / name)
        rows.append((name, int(label)))
    train_rows, test_rows = train_test_split(rows, test_size=N_TEST, random_state=SEED, stratify=labels)
    _write_labels(work / "labels.csv", rows)
    _write_labels(work / "labels_train.csv", sorted(train_rows))
    _write_labels(work / "labels_test.csv", sorted(test_rows))


def train(work: Path) -> None:
    """Train a small CNN on the train part and save it."""
    import keras

    from examples.digits.loader import decode, read_labels

    keras.utils.set_random_seed(SEED)
    files, labels = read_labels(work / "labels_train.csv")
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(0.003), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(decode(files), labels, batch_size=64, epochs=12, verbose=0)
    model.save(work / "model.keras")


def _write_labels(path: Path, rows: Iterable[tuple[str, int]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "label"])
        writer.writerows(rows)


def _stamp_text() -> str:
    return json.dumps(recipe(), indent=2, sort_keys=True) + "\n"


def main() -> None:
    """Prepare the folder and say so."""
    parser = argparse.ArgumentParser(description="Write the digits as PNG files and train a small model on them.")
    parser.add_argument("--work", type=Path, default=WORK, help="folder to fill (default: %(default)s)")
    work = parser.parse_args().work
    done = prepare(work)
    print(f"digits: {'prepared' if done else 'already there'} in {os.path.relpath(work)}")


if __name__ == "__main__":
    main()
