"""Every fault on every kind of source, identified by every kind of identity, against an oracle in plain Python.

The model returns its input and each input is its sample's number, so the
predictions themselves say what was delivered. The oracle reads ``TERMS`` row by
row in loops and shares nothing with the code under test.
"""

import functools
import warnings
from collections import Counter
from dataclasses import dataclass

import keras
import numpy as np
import pytest
import tf_keras

import evalguard
from evalguard import testing

SIZES = [pytest.param(50, 8, id="50/8"), pytest.param(48, 8, id="48/8"), pytest.param(37, 5, id="prime-37/5")]
GRID_FAULTS = [
    "skipped_batch",
    "repeated_batch",
    "swapped_batches",
    "swapped_rows",
    "dropped_tail",
    "wrapped_tail",
    "foreign_row",
    "shuffled",
]


@dataclass
class Expected:
    missing: int
    duplicate: int
    foreign: int
    reordered: int
    misaligned: int
    first_wrong: int | None


def oracle(delivered: list[int], n: int) -> Expected:
    arrivals = Counter(sample for sample in delivered if 0 <= sample < n)
    seen: set[int] = set()
    highest, reordered = -1, 0
    for sample in delivered:
        if not 0 <= sample < n or sample in seen:
            continue
        seen.add(sample)
        reordered += sample < highest
        highest = max(highest, sample)
    wrong = [row for row, sample in enumerate(delivered) if sample != row]
    return Expected(
        missing=sum(sample not in arrivals for sample in range(n)),
        duplicate=sum(count - 1 for count in arrivals.values()),
        foreign=sum(not 0 <= sample < n for sample in delivered),
        reordered=reordered,
        misaligned=len(wrong),
        first_wrong=wrong[0] if wrong else None,
    )


ENGINES = {"keras3": keras, "tf_keras": tf_keras}


def models_of(library):
    """A model that echoes ``x``, and one that is given a key beside it."""
    inputs = library.Input((1,), name="x")
    echo = library.Model(inputs, library.layers.Identity()(inputs))
    both = {"x": library.Input((1,), name="x"), "id": library.Input((), dtype="int64", name="id")}
    return echo, library.Model(both, library.layers.Identity()(both["x"]))


@functools.cache
def models_by_engine(engine):
    return models_of(ENGINES[engine])


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


@pytest.fixture
def models(engine):
    return models_by_engine(engine)


@pytest.fixture
def model(models):
    return models[0]


def x_of(ids):
    return np.asarray(ids, dtype="float32")[:, None]


def key_of(ids):
    # Numbers, not words: Keras 3.15 takes no NumPy strings from a generator or PyDataset.
    return np.asarray(ids, dtype="int64") * 17 + 1000


def labels_of(n):
    return np.arange(n) * 37 % 101 % 4


def plain(ids):
    return (x_of(ids),)


def with_target(ids):
    return x_of(ids), (np.asarray(ids) * 37 % 101 % 4).astype("int64")


def with_key(ids):
    return ({"x": x_of(ids), "id": key_of(ids)},)


WORKERS = {"pydataset-4-threads": {"workers": 4}, "pydataset-2-processes": {"workers": 2, "use_multiprocessing": True}}


def stream(engine, kind, batches, make, *, with_index=False):
    """A source of this kind, and the options that ``predict`` needs for it."""
    if kind.startswith("pydataset"):
        options = WORKERS.get(kind, {})
        if engine == "keras3":
            return testing.as_pydataset(batches, make, with_index=with_index, **options), {}
        return testing.as_sequence(batches, make, with_index=with_index), options
    return plain_stream(kind, batches, make, with_index=with_index), {}


def plain_stream(kind, batches, make, *, with_index):
    match kind:
        case "arrays":
            ids = np.concatenate(batches)
            return make(ids)[0]
        case "generator":
            return testing.as_generator(batches, make, with_index=with_index)
        case "tf.data":
            return testing.as_tf_dataset(batches, make)
    raise AssertionError(kind)


IDENTITIES = {"arrays": ("key", "content"), "tf.data": ("key", "content")}
KINDS = ("arrays", "generator", "tf.data", "pydataset", "pydataset-4-threads")
CASES = [
    (engine, kind, identity)
    for engine in ENGINES
    for kind in KINDS
    if (engine, kind) != ("tf_keras", "pydataset-4-threads")
    for identity in IDENTITIES.get(kind, ("index", "key", "content"))
]
# Starting processes takes seconds, and tf_keras takes five to stop its workers: each fault once, one size.
PROCESSES = [
    ("keras3", "pydataset-2-processes", "index"),
    ("tf_keras", "pydataset-2-processes", "content"),
    ("tf_keras", "pydataset-4-threads", "index"),
]


def guarded_predict(engine, models, kind, identity, batches, n, **options):
    make = with_key if identity == "key" else plain
    if identity == "content":
        options["reference"] = x_of(range(n))
    labels = evalguard.Labels(values=labels_of(n), keys=key_of(range(n)) if identity == "key" else None)
    key = "id" if identity == "key" else None
    source, arguments = stream(engine, kind, batches, make, with_index=identity == "index")
    chosen = models[identity == "key"]
    if kind == "arrays":
        arguments = {"batch_size": len(batches[0])}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Keras: a generator without steps ran out of data
        with evalguard.guard(labels=labels, key=key, mlflow=False, on_failure="record", **options) as g:
            predictions = chosen.predict(source, verbose=0, **arguments)
    return g, [round(float(value)) for value in predictions[:, 0]]


@pytest.mark.slow
@pytest.mark.parametrize(("n", "batch_size"), SIZES)
@pytest.mark.parametrize(("engine", "kind", "identity"), [*CASES, *PROCESSES])
def test_an_aligned_stream_passes_at_identity(engine, models, kind, identity, n, batch_size):
    batches = testing.aligned_batches(n, batch_size)
    g, delivered = guarded_predict(engine, models, kind, identity, batches, n)
    assert delivered == list(range(n))
    assert g.report.verdict is evalguard.Verdict.PASS
    assert g.report.proof == "identity"
    assert not g.report.findings
    assert np.array_equal(g.index, np.arange(n))
    assert np.array_equal(g.y_true, labels_of(n))


@pytest.mark.slow
@pytest.mark.parametrize("fault", GRID_FAULTS)
@pytest.mark.parametrize(("n", "batch_size"), SIZES)
@pytest.mark.parametrize(("engine", "kind", "identity"), CASES)
def test_a_faulty_stream_fails_with_exact_counts(engine, models, kind, identity, fault, n, batch_size):
    fails_with_exact_counts(engine, models, kind, identity, fault, n, batch_size)


@pytest.mark.slow
@pytest.mark.parametrize("fault", GRID_FAULTS)
@pytest.mark.parametrize(("engine", "kind", "identity"), PROCESSES)
def test_a_faulty_stream_from_worker_processes_fails_with_exact_counts(engine, models, kind, identity, fault):
    # Of fewer than twenty rows, a transformation at random explains one that is foreign.
    fails_with_exact_counts(engine, models, kind, identity, fault, 29, 4)


def fails_with_exact_counts(engine, models, kind, identity, fault, n, batch_size):
    batches = testing.faulty_batches(fault, n=n, batch_size=batch_size)
    g, delivered = guarded_predict(engine, models, kind, identity, batches, n)
    assert delivered == np.concatenate(batches).tolist(), "the stream itself must be faulty as planned"
    expected = oracle(delivered, n)
    report = g.report
    assert report.verdict is evalguard.Verdict.FAIL
    assert report.proof == "identity"
    found = {name: report.counts[name] for name in ("missing", "duplicate", "foreign", "reordered", "misaligned")}
    assert found == {name: getattr(expected, name) for name in found}
    assert report.counts["n_predictions"] == len(delivered)
    if expected.first_wrong is not None:
        first = report.wrong_rows[0]
        sample = delivered[expected.first_wrong]
        assert first["row"] == expected.first_wrong
        assert first["sample"] == (sample if sample < n else None)


@pytest.mark.parametrize("fault", GRID_FAULTS)
@pytest.mark.parametrize("kind", ["generator", "pydataset", "tf.data"])
def test_a_faulty_stream_never_passes_by_its_labels_unless_all_labels_agree(engine, model, kind, fault):
    n, batch_size = 50, 8
    batches = testing.faulty_batches(fault, n=n, batch_size=batch_size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with evalguard.guard(labels=labels_of(n), mlflow=False, on_failure="record", on_unproven="record") as g:
            model.predict(stream(engine, kind, batches, with_target)[0], verbose=0)
    delivered = np.concatenate(batches)
    differ = [row for row, sample in enumerate(delivered[:n]) if labels_of(200)[sample] != labels_of(n)[row]]
    targets, labels = labels_of(200)[delivered], labels_of(n)
    if len(delivered) != n:
        assert g.report.verdict is evalguard.Verdict.FAIL
    elif differ:
        # The labels in another order contradict them; other targets may be another version of the labels.
        rearranged = sorted(targets) == sorted(labels)
        assert g.report.verdict is not evalguard.Verdict.PASS
        assert not rearranged or g.report.counts["label_disagreements"] == len(differ)
        assert not rearranged or g.report.verdict is evalguard.Verdict.FAIL
    else:
        assert g.report.proof == "labels"


@pytest.mark.parametrize("kind", ["generator", "pydataset", "pydataset-4-threads", "tf.data"])
def test_an_aligned_stream_with_targets_passes_at_labels(engine, model, kind):
    n = 37
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with evalguard.guard(labels=labels_of(n), mlflow=False) as g:
            source, arguments = stream(engine, kind, testing.aligned_batches(n, 5), with_target)
            model.predict(source, verbose=0, **arguments)
    assert (g.report.verdict, g.report.proof) == (evalguard.Verdict.PASS, "labels")
    assert np.array_equal(g.y_true, labels_of(n))


@pytest.mark.parametrize("kind", ["generator", "pydataset", "tf.data"])
def test_a_stream_without_identity_is_unproven_and_says_what_to_paste(engine, model, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with evalguard.guard(labels=labels_of(50), mlflow=False, on_unproven="record") as g:
            model.predict(stream(engine, kind, testing.aligned_batches(50, 8), plain)[0], verbose=0)
    assert (g.report.verdict, g.report.proof) == (evalguard.Verdict.UNPROVEN, "transport")
    assert "reference=" in g.report.advice


@pytest.mark.parametrize("identity", ["none", "content", "labels"])
def test_a_reused_generator_fails_the_second_time(model, identity):
    def endless():
        while True:
            for ids in testing.aligned_batches(50, 8):
                yield with_target(ids) if identity == "labels" else plain(ids)

    options = {"reference": x_of(range(50))} if identity == "content" else {}
    source = endless()
    with evalguard.guard(labels=labels_of(50), mlflow=False, on_failure="record", on_unproven="record", **options) as g:
        first = model.predict(source, steps=7, verbose=0)
        second = model.predict(source, steps=7, verbose=0)
    assert np.array_equal(first[:, 0], np.arange(50))
    assert not np.array_equal(second[:, 0], np.arange(50))
    assert g.reports[0].verdict is not evalguard.Verdict.FAIL
    assert any("ahead" in hazard for hazard in g.reports[0].hazards)
    assert g.reports[1].verdict is evalguard.Verdict.FAIL
    if identity == "none":
        assert g.reports[1].findings[0].reason == "source_reused"
        assert "took" in g.reports[1].findings[0].message


def test_a_generator_already_advanced_fails_without_stronger_proof(model):
    source = testing.as_generator(testing.aligned_batches(50, 8), plain)
    next(source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with evalguard.guard(labels=labels_of(42), mlflow=False, on_failure="record") as g:
            model.predict(source, verbose=0)
    assert g.report.verdict is evalguard.Verdict.FAIL
    assert "already been started" in g.report.findings[0].message
