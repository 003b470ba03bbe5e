"""Pieces of the labels' order: each is recognised by its pattern, and none is where another one explains it."""

from dataclasses import replace

import numpy as np
import pytest

from evalguard.core.diagnosis import diagnose, pieces
from evalguard.core.label_origin import LabelOrigin
from evalguard.core.label_table import LabelTable
from tests.core.diagnosis.causes import title, view_of
from tests.core.signatures import FOREIGN

N = 120
ALL = np.arange(N)
RANDOM = np.random.default_rng(3).permutation(N)
PARTS = np.argsort(np.random.default_rng(1).integers(0, 4, N), kind="stable")
FILES = np.argsort(PARTS, kind="stable")


def view(samples, kind="arrays", **facts):
    return view_of(np.asarray(samples), kind, n=N, facts=facts)


def first(samples, kind="arrays", **facts):
    found = view(samples, kind, **facts)
    return diagnose(found.trace, found.samples, found.labels)[0]


# -- A part -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "facts", "words"),
    [
        pytest.param(ALL[30:70], {}, "samples 30 to 69", id="consecutive"),
        pytest.param(ALL[1::3], {}, "samples 1, 4, 7, …, one in 3", id="a-shard"),
        pytest.param(ALL[::2], {"shards": 2}, "`shard(2, …)`", id="a-shard-of-the-pipeline"),
        pytest.param(ALL[:80], {"steps": 10, "num_batches": 10}, "samples 0 to 79", id="all-that-the-source-has"),
        pytest.param(ALL[5:], {"skip": 5}, "`skip(5)`", id="skip"),
        pytest.param(ALL[:110], {"take": 110}, "`take(110)`", id="take"),
        pytest.param(np.sort(RANDOM[:50]), {}, "in label order", id="chosen"),
        pytest.param(RANDOM[:50], {}, "in another order", id="split"),
    ],
)
@pytest.mark.parametrize("kind", ["arrays", "generator", "pydataset", "tf.data"])
def test_a_part_of_the_samples_is_named_first_and_never_certain(samples, facts, words, kind):
    found = first(samples, kind, **facts)
    assert found.cause == title("subset")
    assert words in found.evidence
    assert not found.certain


@pytest.mark.parametrize(
    ("samples", "facts"),
    [
        pytest.param(ALL[:110], {}, id="few-missing"),
        pytest.param(ALL[:80], {"steps": 10}, id="steps"),
        pytest.param(ALL[:80][::-1], {"steps": 10}, id="steps-in-another-order"),
        pytest.param(RANDOM[:80], {"shuffle_buffer": N, "steps": 10}, id="shuffled-and-cut"),
        pytest.param(np.delete(ALL, [3, 50]), {"leaves_out": "`filter`"}, id="filtered"),
        pytest.param([*ALL[:60], 0], {}, id="repeated"),
        pytest.param([*ALL[:60], FOREIGN], {}, id="foreign"),
        pytest.param([], {}, id="none"),
        pytest.param(ALL, {}, id="all"),
    ],
)
def test_another_loss_of_samples_is_no_part_that_was_chosen(samples, facts):
    assert pieces.subset(view(np.asarray(samples, dtype=np.int64), "tf.data", **facts)) is None


# -- Pieces -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "name"),
    [
        pytest.param([*np.delete(ALL, [7, 20]), 7, 20], "retried", id="two-samples-at-the-end"),
        pytest.param([*np.delete(ALL, 50), 50], "retried", id="one-sample-at-the-end"),
        pytest.param(PARTS, "partitions", id="partitions"),
        pytest.param(FILES, "interleaved", id="files-in-turn"),
    ],
)
@pytest.mark.parametrize("kind", ["arrays", "generator", "tf.data"])
def test_pieces_are_named_first_and_not_certain(samples, name, kind):
    found = first(samples, kind)
    assert found.cause == title(name)
    assert not found.certain


def test_files_in_turn_are_certain_where_the_pipeline_interleaves():
    assert first(FILES, "tf.data", interleaves=True).certain
    assert pieces.in_turn(view(RANDOM, "tf.data", interleaves=True)) is None


@pytest.mark.parametrize("recognise", [pieces.retried, pieces.partitions, pieces.in_turn])
@pytest.mark.parametrize(
    "samples",
    [
        pytest.param(ALL, id="in-order"),
        pytest.param(RANDOM, id="random"),
        pytest.param(np.roll(ALL, 7), id="rolled"),
        pytest.param(ALL[::-1], id="reversed"),
        pytest.param([*ALL[:-2], 119, 118], id="two-exchanged"),
        pytest.param([*ALL[:60], *ALL[:60]], id="repeated"),
        pytest.param(ALL[:60], id="a-part"),
    ],
)
def test_no_pieces_are_seen_where_there_are_none(recognise, samples):
    assert recognise(view(samples)) is None


@pytest.mark.parametrize("seed", range(40))
def test_a_random_order_of_any_length_has_no_pieces(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(6, 200))
    found = view_of(rng.permutation(n), "arrays", n=n)
    assert (pieces.partitions(found), pieces.in_turn(found)) == (None, None)


# -- Lengths ----------------------------------------------------------------------------------------------------------


def with_lengths(samples, lengths):
    found = view(samples)
    origin = LabelOrigin(row_lengths=lambda rows: None if lengths is None else lengths[rows])
    table = LabelTable(found.labels.values, origin=origin)
    return replace(found, labels=table)


LENGTHS = np.random.default_rng(2).integers(3, 12, N)


@pytest.mark.parametrize("kind", ["stable", None])
@pytest.mark.parametrize(("lengths", "words"), [(LENGTHS, "the shortest first"), (-LENGTHS, "the longest first")])
def test_rows_in_the_order_of_their_length_are_sorted_by_it(kind, lengths, words):
    found = pieces.by_length(with_lengths(np.argsort(lengths, kind=kind), LENGTHS))
    assert found is not None
    assert found.certain
    assert words in found.evidence
    assert ("np.argsort(-lengths)" in found.remedy) is ("longest" in words)


@pytest.mark.parametrize(
    ("samples", "lengths"),
    [
        pytest.param(RANDOM, LENGTHS, id="another-order"),
        pytest.param(RANDOM, np.full(N, 5), id="one-length"),
        pytest.param(RANDOM, None, id="no-length"),
        pytest.param(ALL, np.sort(LENGTHS), id="in-order"),
        pytest.param(RANDOM[:60], LENGTHS, id="a-part"),
    ],
)
def test_another_order_is_not_that_of_the_lengths(samples, lengths):
    assert pieces.by_length(with_lengths(samples, lengths)) is None


# -- Calls in another order -------------------------------------------------------------------------------------------


def session(*calls, kind="arrays", **facts):
    """Calls that each hold these samples."""
    made = view(np.concatenate(calls), kind, **facts)
    return replace(made, trace=replace(made.trace, calls=tuple(map(len, calls))))


FOLDERS = (ALL[50:], ALL[:50])
STATIONS = (ALL[:40], ALL[80:], ALL[40:80])


@pytest.mark.parametrize("kind", ["arrays", "generator", "pydataset", "tf.data"])
@pytest.mark.parametrize("calls", [FOLDERS, STATIONS], ids=["two", "three"])
def test_calls_in_another_order_than_the_labels(kind, calls):
    made = session(*calls, kind=kind)
    found = diagnose(made.trace, made.samples, made.labels)[0]
    assert (found.cause, found.certain) == (title("parts_in_another_order"), False)
    assert "they begin with samples " + ", ".join(str(part[0]) for part in calls) in found.evidence
    assert "predict the parts in the order of the labels" in found.remedy


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(session(ALL[:50], ALL[50:]), id="in-order"),
        pytest.param(view([*ALL[50:], *ALL[:50]]), id="one-call"),
        pytest.param(session(ALL[50:100], [*ALL[100:], *ALL[:50]]), id="a-call-that-wraps"),
        pytest.param(session(ALL[50:], ALL[:40]), id="others-are-missing"),
        pytest.param(session(*FOLDERS, kind="batch"), id="a-loop-over-batches"),
    ],
)
def test_other_calls_are_not_called_that(made):
    assert pieces.called(made) is None
