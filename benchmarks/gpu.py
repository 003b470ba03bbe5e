"""``python -m benchmarks.gpu``: guarded against bare ``predict`` on the device and backend that Keras finds.

ResNet50 and a small conv net, by content, at batches of 32 and 256, from four
kinds of source. It stops after some six minutes; what there was no time for is
named. The aim on a real card: at most 1.02.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks import quiet
from benchmarks.pairs import Ratio, ratio_of

MODELS = ("ResNet50", "conv net")
BATCHES = (32, 256)
KINDS = ("pydataset", "generator", "arrays", "tf.data")
MOST_S = 360.0
# A call that is timed lasts at least so long, so that a batch more or less does not count.
CALL_S = 0.5
AIM = 1.02


def main(argv: list[str] | None = None) -> int:
    """Print a line for each model, batch and source."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--seconds", type=float, default=MOST_S, help=f"when to stop (default {MOST_S:.0f})")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    arguments = parser.parse_args(argv)
    ends = time.perf_counter() + arguments.seconds
    quiet.load_frameworks()
    # Keras warns about every generator: it has no length.
    warnings.filterwarnings("ignore", r"\s*Your input ran out of data", UserWarning)
    print(device())
    print(f"{'model':10}{'batch':>6}  {'source':10}{'bare':>10}{'ratio':>8}{'quartiles':>14}{'pairs':>7}")
    cells = list(itertools.product(arguments.models, arguments.batches, KINDS))
    model = name = None
    for number, (wanted, batch, kind) in enumerate(cells):
        left = ends - time.perf_counter()
        if left <= 0:
            print(f"no time for {', '.join(' '.join(map(str, cell)) for cell in cells[number:])}")
            break
        if wanted != name:
            model, name = built(wanted), wanted
        # Each has its share of what is left.
        found = measured(model, batch, kind, time.perf_counter() + left / (len(cells) - number))
        quartiles = f"{found.low:.3f}-{found.high:.3f}"
        reached = "" if found.ratio > AIM else f"  <= {AIM}"
        print(
            f"{name:10}{batch:>6}  {kind:10}{found.first * 1e3:8.0f}ms{found.ratio:8.3f}{quartiles:>14}{found.pairs:>7}"
            f"{reached}",
            flush=True,
        )
    return 0


def device() -> str:
    """The backend, and the card that it computes on."""
    import keras

    backend, names = keras.backend.backend(), list[str]()
    if backend == "tensorflow":
        import tensorflow as tf

        cards = tf.config.list_physical_devices("GPU")
        names = [str(tf.config.experimental.get_device_details(card).get("device_name", card.name)) for card in cards]
    elif backend == "jax":
        devices = importlib.import_module("jax").devices()
        names = [each.device_kind for each in devices if each.platform != "cpu"]
    elif backend == "torch":
        cuda = importlib.import_module("torch").cuda
        names = [cuda.get_device_name(number) for number in range(cuda.device_count())]
    return f"Keras {keras.__version__} on {backend}: {', '.join(names) or 'no card, the CPU'}"


def built(name: str) -> Any:
    """A model with random weights."""
    import keras

    if name == "ResNet50":
        return keras.applications.ResNet50(weights=None, classes=10)
    layers = [keras.layers.Conv2D(filters, 3, strides=2, activation="relu") for filters in (16, 32, 64)]
    layers += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10, activation="softmax")]
    return keras.Sequential([keras.Input((64, 64, 3)), *layers])


def measured(model: Any, batch: int, kind: str, ends: float) -> Ratio:
    """Guarded over bare, in turn, until a moment; at least one pair."""
    import evalguard

    rng = np.random.default_rng(0)
    x = rng.random((batch, *model.input_shape[1:]), dtype=np.float32)
    once = _seconds(lambda: model.predict(source(kind, x, batch), verbose=0, **_size(kind, batch)))
    once = min(once, _seconds(lambda: model.predict(source(kind, x, batch), verbose=0, **_size(kind, batch))))
    # So many batches as last for a while, and as fit a gigabyte.
    times = max(1, min(int(CALL_S / once), 10**9 // x.nbytes))
    x = np.concatenate([x] * times) + np.arange(times * batch, dtype=np.float32).reshape(-1, 1, 1, 1) / 1e3
    y = rng.integers(0, 10, len(x))
    # Once, as for any number of evaluations of the same data.
    labels = evalguard.Labels.collect(lambda: iter([(x, y)]))

    def bare() -> None:
        model.predict(source(kind, x, batch), verbose=0, **_size(kind, batch))

    def guarded() -> None:
        with evalguard.guard(labels=labels, require="identity", mlflow=False):
            bare()

    guarded()
    times_s: tuple[list[float], list[float]] = ([], [])
    while not times_s[0] or time.perf_counter() < ends:
        order = ((0, bare), (1, guarded))
        for which, way in order if len(times_s[0]) % 2 == 0 else order[::-1]:
            times_s[which].append(_seconds(way))
    return ratio_of(*times_s)


def _seconds(way: Callable[[], object]) -> float:
    start = time.perf_counter()
    way()
    return time.perf_counter() - start


def _size(kind: str, batch: int) -> dict[str, int]:
    return {"batch_size": batch} if kind == "arrays" else {}


def source(kind: str, x: Any, batch: int) -> Any:
    """The rows as a kind of source."""
    import keras

    starts = range(0, len(x), batch)
    if kind == "arrays":
        return x
    if kind == "tf.data":
        import tensorflow as tf

        return tf.data.Dataset.from_tensor_slices(x).batch(batch).prefetch(tf.data.AUTOTUNE)
    if kind == "generator":

        def batches() -> Iterator[Any]:
            for start in starts:
                yield (x[start : start + batch],)

        return batches()

    class Rows(keras.utils.PyDataset):
        def __len__(self) -> int:
            return len(starts)

        def __getitem__(self, index: int) -> Any:
            return (x[starts[index] : starts[index] + batch],)

    return Rows()


if __name__ == "__main__":
    sys.exit(main())
