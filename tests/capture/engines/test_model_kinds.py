"""Every kind of model on both Keras: same bits, same pulls, no new trace, no patch left, and the right verdict."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import evalguard
from evalguard import Verdict, testing
from tests.capture.engines import patching
from tests.versions import KERAS

ENGINES = {"keras3": keras, "tf_keras": tf_keras}
N, BATCH = 23, 5
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 6)).astype("float32")
SEQUENCES = RNG.normal(size=(4 * BATCH, 3, 2)).astype("float32")
WORDS = np.array([f"Wort {'ü' * (i % 7)} {i}" for i in range(N)], dtype=object)
TOKENS = tf.ragged.constant([list(range(i, 2 * i + 1)) for i in range(N)], dtype=tf.int64)
Y = np.arange(N) % 3
LOSS = "sparse_categorical_crossentropy"


# -- Models: each is given the library it shall be made of -------------------------------------------------------------


def softmax(lib, name=None, **options):
    return lib.layers.Dense(3, activation="softmax", name=name, **options)


def compiled(model, loss: Any = LOSS, **options):
    model.compile(loss=loss, **options)
    return model


def functional(lib, **options):
    inputs = lib.Input((6,))
    return compiled(lib.Model(inputs, softmax(lib)(inputs)), metrics=["accuracy"], **options)


def uncompiled(lib):
    inputs = lib.Input((6,))
    return lib.Model(inputs, softmax(lib)(inputs))


def subclass(lib) -> Any:
    """A class of models that are built when they are called first."""

    class OneLayer(lib.Model):
        def __init__(self):
            super().__init__()
            self.dense = softmax(lib)

        def call(self, x):
            return self.dense(x)

    return OneLayer


def own_steps(lib):
    base: Any = subclass(lib)

    class Doubling(base):
        def predict_step(self, data):
            return super().predict_step(data) * 2.0

        def test_step(self, data):
            return {**super().test_step(data), "own": tf.reduce_sum(data[0])}

    return compiled(Doubling())


def own_functions(lib):
    base: Any = subclass(lib)

    class Making(base):
        def make_predict_function(self, force=False):
            return super().make_predict_function(force=force)

        def make_test_function(self, force=False):
            return super().make_test_function(force=force)

    return compiled(Making())


def two_inputs(lib):
    inputs = {"a": lib.Input((6,), name="a"), "b": lib.Input((1,), name="b")}
    return compiled(lib.Model(inputs, softmax(lib)(lib.layers.Concatenate()([inputs["a"], inputs["b"]]))))


def a_tuple_of_inputs(lib):
    inputs = [lib.Input((6,)), lib.Input((1,))]
    return compiled(lib.Model(inputs, softmax(lib)(lib.layers.Concatenate()(inputs))))


def two_outputs(lib):
    inputs = lib.Input((6,))
    return compiled(lib.Model(inputs, [softmax(lib, "a")(inputs), softmax(lib, "b")(inputs)]), [LOSS, LOSS])


def named_outputs(lib):
    inputs = lib.Input((6,))
    outputs = {"a": softmax(lib, "a")(inputs), "b": softmax(lib, "b")(inputs)}
    return compiled(lib.Model(inputs, outputs), {"a": LOSS, "b": LOSS})


def of_words(lib):
    base: Any = subclass(lib)

    class Lengths(base):
        def call(self, x):
            lengths = tf.strings.length(tf.reshape(x, [-1, 1]), unit="UTF8_CHAR")
            return self.dense(tf.cast(lengths, tf.float32))

    return compiled(Lengths())


def of_ragged_rows(lib):
    base: Any = subclass(lib)

    class Sums(base):
        def call(self, x):
            return self.dense(tf.cast(tf.reduce_sum(x, axis=1, keepdims=True), tf.float32) / 100)

    return compiled(Sums())


def stateful(lib):
    inputs = lib.Input(batch_shape=(BATCH, 3, 2))
    return compiled(lib.Model(inputs, softmax(lib)(lib.layers.LSTM(4, stateful=True)(inputs))))


def mixed_precision(lib):
    inputs = lib.Input((6,))
    hidden = lib.layers.Dense(8, dtype="mixed_float16")(inputs)
    return compiled(lib.Model(inputs, softmax(lib, dtype="mixed_float16")(hidden)))


@dataclass(frozen=True)
class Kind:
    """A kind of model, and what it is fed.

    Attributes:
        make: Makes it of a library.
        x: Inputs of all samples.
        y: Targets of all samples.
        sources: Kinds of source that can deliver such inputs.
        methods: Methods that it has.
        traced: Whether its steps are compiled.
    """

    make: Callable[[Any], Any]
    x: Any = None
    y: Any = None
    sources: tuple[str, ...] = ("dataset", "tf.data", "generator", "arrays")
    methods: tuple[str, ...] = ("predict", "evaluate")
    traced: bool = True


TWO = {"a": X, "b": np.arange(N, dtype="float32")[:, None]}
KINDS = {
    "functional": Kind(functional),
    "sequential": Kind(lambda lib: compiled(lib.Sequential([lib.Input((6,)), softmax(lib)]))),
    "sequential-unbuilt": Kind(lambda lib: compiled(lib.Sequential([softmax(lib)]))),
    "subclassed-unbuilt": Kind(lambda lib: compiled(subclass(lib)())),
    "uncompiled": Kind(uncompiled, methods=("predict",)),
    "uncompiled-and-unbuilt": Kind(lambda lib: subclass(lib)(), methods=("predict",)),
    "custom-steps": Kind(own_steps),
    "custom-make-functions": Kind(own_functions),
    "jit_compile": Kind(lambda lib: functional(lib, jit_compile=True)),
    "run_eagerly": Kind(lambda lib: functional(lib, run_eagerly=True), traced=False),
    "steps_per_execution": Kind(lambda lib: functional(lib, steps_per_execution=3)),
    "dict-of-inputs": Kind(two_inputs, TWO),
    "tuple-of-inputs": Kind(a_tuple_of_inputs, (TWO["a"], TWO["b"])),
    "two-outputs": Kind(two_outputs, y=(Y, (Y + 1) % 3)),
    "dict-of-outputs": Kind(named_outputs, y={"a": Y, "b": (Y + 1) % 3}),
    "strings": Kind(of_words, WORDS, sources=("tf.data", "arrays")),
    "ragged": Kind(of_ragged_rows, TOKENS, sources=("tf.data", "arrays")),
    "stateful": Kind(stateful, SEQUENCES, np.arange(len(SEQUENCES)) % 3),
    "mixed-precision": Kind(mixed_precision),
}
# Each kind with one source for each method; every source with some kind, engine and method.
CASES = [
    pytest.param(
        engine, name, method, kind.sources[(number + turn) % len(kind.sources)], id=f"{engine}-{name}-{method}"
    )
    for engine in ENGINES
    for number, (name, kind) in enumerate(KINDS.items())
    for turn, method in enumerate(kind.methods)
]
# What a fault must break: order is nothing to evaluate.
FAULT = {"predict": "shuffled", "evaluate": "skipped_batch"}


# -- One call ---------------------------------------------------------------------------------------------------------


def rows(nest, ids):
    if isinstance(nest, dict):
        return {name: rows(part, ids) for name, part in nest.items()}
    if isinstance(nest, tuple):
        return tuple(rows(part, ids) for part in nest)
    return tf.gather(nest, ids) if isinstance(nest, tf.RaggedTensor) else nest[ids]


class Watched:
    """A model of one kind, with a count of its traces and of what was asked of its source."""

    def __init__(self, engine, name):
        kind = KINDS[name]
        self.engine, self.x = engine, X if kind.x is None else kind.x
        self.y = Y if kind.y is None else kind.y
        self.n = len(tf.nest.flatten(self.y)[0])
        ENGINES[engine].utils.set_random_seed(1)
        self.model = kind.make(ENGINES[engine])
        self.traces = 0
        self.pulls: list[int] = []
        for step in ("predict_step", "test_step"):
            self._count(step)

    def _count(self, step):
        original = getattr(self.model, step)

        def counted(data):
            self.traces += 1
            return original(data)

        setattr(self.model, step, counted)

    def source(self, kind, batches):
        self.pulls = []

        def make(ids):
            self.pulls.append(int(ids[0]))
            return rows(self.x, ids), rows(self.y, ids)

        if isinstance(self.x, tf.RaggedTensor):
            order = np.concatenate(batches)
            return tf.data.Dataset.from_tensor_slices((rows(self.x, order), self.y[order])).ragged_batch(BATCH)
        if kind == "tf.data":
            return testing.as_tf_dataset(batches, make)
        if kind == "generator":
            return testing.as_generator(batches, make)
        build = testing.as_pydataset if self.engine == "keras3" else testing.as_sequence
        return build(batches, make)

    def run(self, method, source, batches):
        self._reset_states()
        options: dict[str, Any] = {"verbose": 0}
        if source == "arrays":
            order = np.concatenate(batches)
            data, options["batch_size"] = rows(self.x, order), BATCH
            options |= {"y": rows(self.y, order)} if method == "evaluate" else {}
        else:
            data = self.source(source, batches)
        if source == "generator":  # tf_keras needs the number of steps where steps_per_execution is above one
            options["steps"] = len(batches)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # Keras: a generator ran out of data
            return getattr(self.model, method)(data, **options)

    def _reset_states(self):
        for layer in self.model.layers:
            if getattr(layer, "stateful", False):
                reset = layer.reset_state if self.engine == "keras3" else layer.reset_states
                reset()


def bits(result):
    """Result of a call, so that equal means equal to the bit."""
    return [(np.asarray(leaf).dtype.name, np.asarray(leaf).tobytes()) for leaf in tf.nest.flatten(result)]


@pytest.mark.parametrize(("engine", "name", "method", "source"), CASES)
def test_a_guarded_call_differs_from_an_unguarded_one_by_its_verdict_only(engine, name, method, source):
    watched = Watched(engine, name)
    aligned = testing.aligned_batches(watched.n, BATCH)
    faulty = testing.faulty_batches(FAULT[method], n=watched.n, batch_size=BATCH)
    options: dict[str, Any] = {"labels": watched.y, "reference": watched.x, "mlflow": False}
    bare, pulls, untapped = watched.run(method, source, aligned), watched.pulls, watched.traces

    with evalguard.guard(**options, on_unproven="record") as g:
        guarded = watched.run(method, source, aligned)
        traces, again = watched.traces, watched.run(method, source, aligned)
    assert type(guarded) is type(bare)
    assert bits(guarded) == bits(again) == bits(bare)
    assert watched.pulls == pulls
    if KINDS[name].traced:
        own_step = engine == "tf_keras" or (method == "evaluate" and KERAS < (3, 7))
        assert own_step or traces == untapped, "Keras 3 runs the function that it had compiled"
        assert watched.traces == traces, "the second guarded call was traced again"
    unobserved = engine == "tf_keras" and name == "custom-make-functions"
    assert [report.verdict for report in g.reports] == [Verdict.UNPROVEN if unobserved else Verdict.PASS] * 2

    with evalguard.guard(**options, on_failure="record", on_unproven="record") as g:
        wrong = watched.run(method, source, faulty)
    assert g.report.verdict is (Verdict.UNPROVEN if unobserved else Verdict.FAIL)
    traces, unguarded = watched.traces, watched.run(method, source, faulty)
    assert bits(wrong) == bits(unguarded)
    assert watched.traces == traces or not KINDS[name].traced, "the unguarded call after it was traced again"
    assert not patching.active()
    assert {"make_predict_function", "make_test_function"}.isdisjoint(vars(watched.model))
