"""Models, sources and guarded calls of ``fit`` in both Keras, shared by the tests of ``ValidationGuard``."""

import itertools
import warnings
from typing import Any

import keras
import numpy as np
import tf_keras

import evalguard

N, BATCH, STEPS, EPOCHS = 53, 8, 3, 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 3)).astype("float32")
Y = np.arange(N, dtype="float32")
ENGINES = {"keras3": keras, "tf_keras": tf_keras}
FORMS = ["with", "callback", "both", "decorator"]


def make_model(engine, rate=0.1, **options):
    kit = engine.keras
    kit.utils.set_random_seed(1)
    model = kit.Sequential([kit.Input((3,)), kit.layers.Dense(1)])
    model.compile(optimizer=kit.optimizers.SGD(rate), loss="mse", **options)
    return model


def rows(start):
    chosen = np.arange(start, min(N, start + BATCH))
    return X[chosen], Y[chosen]


STARTS = range(0, N, BATCH)


def dataset(engine, change=lambda x, _: x, **options):
    """Batches by number; ``change`` gets the number of items requested so far."""
    base: Any = keras.utils.PyDataset if engine.name == "keras3" else tf_keras.utils.Sequence
    asked = []

    class Batches(base):
        def __len__(self):
            return len(STARTS)

        def __getitem__(self, number):
            asked.append(number)
            x, y = rows(STARTS[number])
            return change(x, len(asked)), y

    return Batches(**options) if engine.name == "keras3" else Batches()


def endless():
    """No batch comes twice: how far Keras reads ahead depends on the machine's load, so a cycle may happen to fit."""
    for count in itertools.count():
        x, y = rows(STARTS[count % len(STARTS)])
        yield (x, y) if count < len(STARTS) else (x + count, y + count)


def fit(model, engine, validation, workers=1, **options):
    call = {"epochs": EPOCHS, "verbose": 0, "validation_data": validation, **options}
    if engine.name == "tf_keras":
        call["workers"] = workers
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Keras: super().__init__ of a dataset was not called
        return model.fit(X[:16], Y[:16], batch_size=BATCH, **call)


def guarded(form, model, engine, validation, given=None, **options):
    """Train under a guard in one of its forms; the guard and the history."""
    g = evalguard.ValidationGuard(mlflow=False, **{"on_failure": "record", "on_unproven": "record", **(given or {})})
    if form in {"callback", "both"}:
        options["callbacks"] = [*options.get("callbacks", []), g.callback()]
    if form == "callback":
        return g, fit(model, engine, validation, **options)
    if form == "decorator":
        return g, g(fit)(model, engine, validation, **options)
    with g:
        history = fit(model, engine, validation, **options)
    return g, history
