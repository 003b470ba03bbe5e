"""Arrays: compared with the rows due, or with their position beside them where that cannot be."""

from types import SimpleNamespace

import numpy as np
import pytest

from evalguard.capture.array_rows import ArrayRows
from evalguard.capture.contract import NOT_OBSERVED
from evalguard.capture.probes.arrays import ArraysProbe, RidingPositions

X = np.arange(12, dtype="float32").reshape(6, 2)
TEXT = np.array(list("abcdef"))
REPLICATED = SimpleNamespace(distribute_strategy=SimpleNamespace(num_replicas_in_sync=2))


def test_arrays_of_numbers_are_passed_on_unchanged():
    call = {"x": X, "y": TEXT, "sample_weight": None}
    probe = ArraysProbe(X, call)
    assert probe.source is X
    assert probe.call["y"] is TEXT
    assert isinstance(probe.stream, ArrayRows)
    assert probe.index_source == "position"


@pytest.mark.parametrize(("source", "model"), [(TEXT, None), (X, REPLICATED)], ids=["text", "replicas"])
def test_other_arrays_carry_their_positions_and_their_targets_in_x(source, model):
    y, weight = np.arange(6), np.ones(6)
    probe = ArraysProbe(source, {"self": model, "y": y, "sample_weight": weight})
    packed, positions = probe.source
    assert packed == (source, y, weight)
    assert positions.tolist() == list(range(6))
    assert (probe.call["y"], probe.call["sample_weight"]) == (None, None)
    # As Keras delivers it: a tuple `x` is `(x,)`, here sliced.
    delivered = ((tuple(part[2:4] for part in packed), positions[2:4]),)
    batch, tag = probe.stream.identify(delivered)
    assert batch is probe.stream.without_tag(delivered) is delivered[0][0]
    assert (tag.number, tag.first_row) == (0, 2)


def test_a_bare_array_stays_bare():
    probe = ArraysProbe(TEXT, {})
    assert probe.source[0] is TEXT
    assert probe.stream.without_tag((probe.source,)) is TEXT


def test_positions_that_are_not_consecutive_are_not_claimed():
    assert RidingPositions().identify(((TEXT[:2], np.array([3, 1])),))[1].number is None


def test_arrays_of_unequal_lengths_are_left_to_keras():
    source = {"a": X, "b": X[:3]}
    probe = ArraysProbe(source, {"y": X})
    assert probe.source is source
    assert probe.call["y"] is X
    assert probe.stream.identify((source,))[1] is NOT_OBSERVED
