"""Generators and iterators: numbered as they are pulled; where they stood, and how far ahead they are."""

import numpy as np
import pytest

from evalguard.capture.probes.generators import GeneratorProbe, IteratorProbe

X = np.arange(12, dtype="float32").reshape(6, 2)


def batches(*parts):
    yield from parts


def made():
    return batches((X[:2],), (X[2:4],), (X[4:],))


def test_each_pull_is_one_pull_of_the_callers_and_has_its_number():
    probe = GeneratorProbe(made(), {})
    pulled = list(probe.source)
    assert [batch[0] is not None for batch in pulled] == [True] * 3
    assert [probe.stream.identify(batch)[1].number for batch in pulled] == [0, 1, 2]
    state = probe.state(delivered=2)
    assert (state.kind, state.type_name, state.pulled, state.ahead, state.exhausted) == (
        "generator",
        "batches",
        3,
        1,
        True,
    )


def test_where_a_generator_stood_and_who_pulled_from_it_before_is_known():
    generator = made()
    first = GeneratorProbe(generator, {})
    assert not first.state(0).started
    next(first.source)
    second = GeneratorProbe(generator, {})
    state = second.state(0)
    assert (state.started, state.calls_before, state.pulled_before, state.pulled) == (True, 1, 1, 0)
    list(second.source)
    assert GeneratorProbe(generator, {}).state(0).exhausted


@pytest.mark.parametrize("batch", [[X], X, {"x": X}])
def test_keras_3_gets_what_it_refuses_as_it_is(batch):
    assert next(GeneratorProbe(batches(batch), {}).source) is batch


@pytest.mark.parametrize("options", [{}, {"workers": 2, "use_multiprocessing": True}])
@pytest.mark.parametrize("batch", [[X], X, {"x": X}, (X,)], ids=["list", "bare", "dict", "tuple"])
def test_tf_keras_takes_other_batches_too(batch, options):
    probe = IteratorProbe(iter([batch]), options)
    emitted = next(probe.source)
    with pytest.raises(StopIteration):
        next(probe.source)
    assert probe.state(1).exhausted
    found, tag = probe.stream.identify(emitted)
    assert tag.number == 0
    # As tf_keras passes it on: an `x` alone by itself.
    assert type(found) is (dict if isinstance(batch, dict) else np.ndarray)
    # Worker processes have no common digests: the tag rides.
    assert (type(emitted) is tuple and len(emitted) == 2) is bool(options)
    assert probe.facts() == options


def test_an_error_of_the_source_comes_through():
    def failing():
        yield (X,)
        raise LookupError

    probe = GeneratorProbe(failing(), {})
    next(probe.source)
    with pytest.raises(LookupError):
        next(probe.source)
    assert not probe.state(1).exhausted
