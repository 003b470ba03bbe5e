"""The right rows in another order: queues, reused buffers, batches out of order, shuffles, windows."""

import numpy as np
import pytest

from evalguard.core.diagnosis import orders
from evalguard.core.label_table import LabelTable
from evalguard.core.trace import ALTERED, UNKNOWN
from tests.core import signatures
from tests.core.diagnosis.causes import first_cause, named, title, view_of
from tests.core.signatures import Setting, label_values, made, sizes_of, tags_of


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"reshuffled_each_pass": True}, "shuffled anew at each pass"),
        ({}, "shuffled anew at each pass"),
        ({"reshuffled_each_pass": False}, "`shuffle=True`"),
        ({"reshuffled_each_pass": False, "shuffled_branches": 2}, "labels in the stream belong to other rows"),
    ],
)
def test_two_shuffled_branches_are_distinguished_from_a_shuffle_at_each_pass(facts, expected):
    # The stream's targets are row numbers, so they cannot be compared with the classes.
    order = np.random.default_rng(3).permutation(50)
    cause = first_cause(order, "tf.data", facts=facts, targets=np.arange(50) + 100)
    assert cause.cause == expected


def test_swapped_batches_with_rows_out_of_order_inside_are_not_whole():
    batches = signatures.raced_batches(Setting(50, 8, "generator", declared=False))
    assert batches is not None
    samples = batches.samples.copy()
    samples[[2, 3]] = samples[[3, 2]]
    sizes = batches.trace.batch_sizes
    cause = named(made(Setting(50, 8, "generator", declared=False), samples, sizes=sizes))[0]
    assert not cause.cause.startswith("parallel work inside the source")


RECOGNISERS = [orders.queue, orders.buffer, orders.batches, orders.reshuffled, orders.shuffled, orders.window]
RANDOM = np.random.default_rng(0).permutation(50)
# Batches of 8 rows, the first two swapped, and rows swapped inside a window of 4.
SWAPPED_BATCHES = np.r_[8:16, 0:8, 16:50]
IN_A_WINDOW = np.arange(50).reshape(-1, 2)[:, ::-1].ravel()


@pytest.mark.parametrize("recogniser", RECOGNISERS, ids=lambda recogniser: recogniser.__name__)
def test_nothing_is_recognised_in_an_aligned_stream(recogniser):
    facts = {"reshuffled_each_pass": True, "shuffle": True, "shuffle_buffer": 10, "stateful_getitem": True}
    for kind in ("generator", "pydataset", "tf.data"):
        assert recogniser(view_of(np.arange(50), kind, facts=facts)) is None


def part(recogniser, cause, samples, kind, certain, **facts):
    return pytest.param(recogniser, cause, samples, kind, facts, certain, id=f"{cause}-{kind}-{certain}")


@pytest.mark.parametrize(
    ("recogniser", "cause", "samples", "kind", "facts", "certain"),
    [
        part(orders.batches, "batches", SWAPPED_BATCHES, "generator", False),
        part(orders.reshuffled, "reshuffled", RANDOM, "tf.data", True, reshuffled_each_pass=True),
        part(orders.reshuffled, "reshuffled", RANDOM, "tf.data", False),
        part(orders.reshuffled, "reshuffled", RANDOM, "pydataset", False, stateful_getitem=True),
        part(orders.shuffled, "shuffled", RANDOM, "pydataset", True, shuffle=True),
        part(orders.shuffled, "shuffled", RANDOM, "pydataset", False),
        part(orders.window, "window", IN_A_WINDOW, "tf.data", True, shuffle_buffer=10),
        part(orders.window, "window", IN_A_WINDOW, "tf.data", False),
        part(orders.window, "window", IN_A_WINDOW, "generator", False, shuffle_buffer=50),
    ],
)
def test_an_order_is_recognised_and_certain_only_with_the_fact_that_confirms_it(
    recogniser, cause, samples, kind, facts, certain
):
    found = recogniser(view_of(samples, kind, facts=facts))
    assert found is not None
    assert (found.cause, found.certain) == (title(cause), certain)


@pytest.mark.parametrize(
    ("recogniser", "samples", "kind", "facts"),
    [
        pytest.param(orders.batches, SWAPPED_BATCHES, "generator", {"shuffle": True}, id="a-declared-shuffle"),
        pytest.param(orders.reshuffled, RANDOM, "tf.data", {"reshuffled_each_pass": False}, id="one-fixed-shuffle"),
        pytest.param(orders.reshuffled, RANDOM, "generator", {}, id="a-generator"),
        pytest.param(orders.shuffled, RANDOM, "pydataset", {"shuffle": False}, id="shuffle-False"),
        pytest.param(orders.shuffled, IN_A_WINDOW, "pydataset", {}, id="a-window"),
        pytest.param(orders.window, RANDOM, "tf.data", {"shuffle_buffer": 10}, id="the-whole-range"),
    ],
)
def test_an_order_that_a_fact_contradicts_is_not_recognised(recogniser, samples, kind, facts):
    assert recogniser(view_of(samples, kind, facts=facts)) is None


def test_a_queue_is_recognised_by_tags_that_descend():
    tags = tags_of(sizes_of(50, 8))
    found = orders.queue(view_of(SWAPPED_BATCHES, tags=tags[SWAPPED_BATCHES]))
    assert found is not None
    assert (found.cause, found.certain) == (title("queue"), True)
    assert found.evidence == "1 row arrived directly behind a row that batches emitted later"
    assert orders.queue(view_of(SWAPPED_BATCHES, tags=tags)) is None, "the source itself emitted this order"


def test_rows_that_changed_on_their_way_show_a_reused_buffer():
    tags = tags_of(sizes_of(50, 8))
    tags[3:5] = ALTERED
    found = orders.buffer(view_of(np.arange(50), tags=tags))
    assert found is not None
    assert (found.cause, found.certain) == (title("buffer"), True)
    assert found.evidence == "the content of 2 rows changed after batches emitted them"
    repeated = np.r_[8:16, 8:50]
    likely = orders.buffer(view_of(repeated, facts={"filled_anew": True}))
    assert likely is not None
    assert not likely.certain
    assert orders.buffer(view_of(np.arange(50), facts={"filled_anew": True})) is None


@pytest.mark.parametrize(
    ("targets", "same"),
    [
        pytest.param(label_values(50)[::-1], True, id="values-of-the-labels"),
        pytest.param(np.arange(50) + 100, False, id="other-values"),
        pytest.param(np.zeros((50, 3)), True, id="cannot-be-determined"),
    ],
)
def test_targets_with_values_of_the_labels_are_distinguished_from_others(targets, same):
    assert orders.same_values(view_of(np.arange(50), targets=targets)) is same


@pytest.mark.parametrize(
    ("targets", "values", "same"),
    [
        pytest.param({"a": np.full(50, 99)}, None, True, id="named"),
        pytest.param(np.full((50, 3), 99), None, True, id="of-several-columns"),
        pytest.param(np.full(50, 99), np.zeros((50, 2)), True, id="labels-of-several-columns"),
        pytest.param(np.full(50, 99, dtype=object), None, True, id="objects"),
        pytest.param(np.r_[99, label_values(50)[1:]], None, False, id="one-other-value"),
    ],
)
def test_where_values_cannot_be_compared_targets_may_be_those_of_the_labels(targets, values, same):
    labels = None if values is None else LabelTable(values=values)
    assert orders.same_values(view_of(np.arange(50), targets=targets, labels=labels)) is same


# Tags of 50 rows in batches of 8.
TAGS = tags_of(sizes_of(50, 8))


# A second pass begins, and two batches arrive in the other order; or batches do not arrive.
PASSES, TAGS_OF_PASSES = np.r_[0:50, 0:16], tags_of(np.r_[sizes_of(50, 8), 8, 8])
AROUND, WITH_A_GAP = np.r_[0:48, 50:58, 48:50], np.r_[8:16, 0:8, 16:48, 58:66]


@pytest.mark.parametrize(
    ("samples", "tags", "parts", "found"),
    [
        pytest.param(SWAPPED_BATCHES, TAGS[SWAPPED_BATCHES], {}, True, id="restored-by-tags"),
        pytest.param(RANDOM, TAGS[SWAPPED_BATCHES], {}, False, id="not-restored-by-tags"),
        pytest.param(RANDOM, TAGS[SWAPPED_BATCHES], {"known": False}, True, id="samples-are-not-known"),
        pytest.param(PASSES[AROUND], TAGS_OF_PASSES[AROUND], {}, True, id="a-second-pass"),
        pytest.param(PASSES[WITH_A_GAP], TAGS_OF_PASSES[WITH_A_GAP], {}, True, id="a-second-pass-behind-a-gap"),
        pytest.param(np.r_[PASSES[:50], 3:19][AROUND], TAGS_OF_PASSES[AROUND], {}, False, id="it-begins-elsewhere"),
        pytest.param(SWAPPED_BATCHES, TAGS[SWAPPED_BATCHES], {"ordered": False}, False, id="no-order-is-required"),
        pytest.param(RANDOM, TAGS[RANDOM], {"known": False, "ordered": False}, False, id="nor-samples-are-known"),
        pytest.param(SWAPPED_BATCHES, np.r_[TAGS[SWAPPED_BATCHES][:-1], UNKNOWN], {}, False, id="a-row-without-a-tag"),
        pytest.param(RANDOM, np.r_[TAGS[RANDOM][:-1], UNKNOWN], {"known": False}, False, id="nor-samples"),
        pytest.param(
            RANDOM, np.r_[TAGS[:8], TAGS[8:16], TAGS[:8], TAGS[:26]], {"calls": (8, 16, 26)}, True, id="calls"
        ),
        pytest.param(SWAPPED_BATCHES, np.r_[TAGS[:25], TAGS[1:26]], {"calls": (25, 25)}, False, id="a-gap-in-a-call"),
        pytest.param(np.arange(50), np.r_[TAGS[:49], TAGS[48]], {"known": False}, False, id="twice"),
    ],
)
def test_tags_that_descend_inside_a_call_show_a_queue_if_they_restore_the_samples(samples, tags, parts, found):
    assert (orders.queue(view_of(samples, tags=tags, **parts)) is not None) is found


def test_one_row_that_changed_is_enough_for_a_reused_buffer():
    found = orders.buffer(view_of(np.arange(50), tags=np.r_[TAGS[:49], ALTERED]))
    assert found is not None
    assert found.certain
    assert found.evidence == "the content of 1 row changed after batches emitted them"


def batches_of(order, size=8):
    """Samples in whole batches in this order."""
    return np.concatenate([np.arange(number * size, (number + 1) * size) for number in order])


@pytest.mark.parametrize(
    ("samples", "n", "batch", "facts", "words"),
    [
        pytest.param(
            batches_of([0, 1, 4, 2, 3, 5, 6, 7]), 64, 8, {}, "3 of 8 batches are out of position, by up to 2,"
        ),
        pytest.param(batches_of([1, 0]), 16, 8, {}, "2 of 2 batches are out of position, by up to 1,"),
        pytest.param(batches_of([1, 0, 2, 3], 2), 8, 2, {}, "displacements are multiples of 2"),
        pytest.param(batches_of([1, 0, 2, 3], 1), 4, 1, {}, None),
        pytest.param(batches_of([5, 1, 2, 3, 4, 0]), 48, 8, {}, "2 of 6 batches are out of position, by up to 5,"),
        pytest.param(batches_of([6, 1, 2, 3, 4, 5, 0]), 56, 8, {}, None),
        pytest.param(batches_of([6, 1, 2, 3, 4, 5, 0]), 56, 8, {"workers": 1}, None),
        pytest.param(batches_of([6, 1, 2, 3, 4, 5, 0]), 56, 8, {"workers": 2}, "2 of 7 batches are out of position"),
        pytest.param(batches_of([1, 0, 2, 3, 4, 5, 0]), 48, 8, {}, None),
        pytest.param(batches_of([1, 0, 2, 3, 4, 0]), 48, 8, {}, None),
    ],
)
def test_batches_out_of_order_are_counted(samples, n, batch, facts, words):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evalguard.core.columns.chunks.ROWS", 3)
        found = orders.batches(view_of(samples, n=n, batch=batch, facts=facts))
    assert (found is None) == (words is None)
    if found is not None:
        assert words in found.evidence


def test_batches_that_are_no_slices_of_the_labels_are_not_whole():
    samples = np.r_[2:10, 0:2, 10:50]
    sizes = np.array([8, 2, 8, 8, 8, 8, 8])
    assert orders.batches(view_of(samples, sizes=sizes)) is None


@pytest.mark.parametrize(("reach", "found"), [(8, True), (9, False)])
def test_a_window_is_less_than_about_half_of_the_rows(reach, found):
    samples = np.arange(20)
    samples[[0, 1, reach]] = samples[[reach, 0, 1]]
    assert (orders.window(view_of(samples, n=20)) is not None) is found


@pytest.mark.parametrize("samples", [np.roll(np.arange(50), 20), np.arange(50)[::-1]], ids=["halves", "backwards"])
def test_two_halves_or_rows_backwards_are_no_random_order(samples):
    assert orders.shuffled(view_of(samples, "arrays")) is None


def test_two_rows_that_are_swapped_went_through_no_buffer():
    samples = np.arange(50)
    samples[[10, 13]] = samples[[13, 10]]
    assert orders.window(view_of(samples)) is None


@pytest.mark.parametrize(("buffer", "certain", "size"), [(0, False, 4), (3, False, 3), (4, True, 4), (9, True, 9)])
def test_a_window_is_certain_if_the_buffer_is_as_large(buffer, certain, size):
    samples = np.arange(50)
    samples[[10, 11, 13]] = samples[[13, 10, 11]]
    view = view_of(samples, "tf.data", facts={"shuffle_buffer": buffer} if buffer else {})
    found = orders.window(view)
    assert found is not None
    assert found.certain is certain
    assert found.evidence == (
        f"3 of 50 rows are out of position, up to 3 early and 2 late, as in a shuffle buffer of {size} rows"
        "; they arrived in the order dataset emitted them"
    )
    assert f"ds.shuffle({size})" in found.remedy
    lost = orders.window(view_of(samples, tags=TAGS[::-1]))
    assert lost is not None
    assert lost.evidence.endswith("as in a shuffle buffer of 4 rows")


def exchanged(n, *pairs):
    """Samples in order, except for pairs that are exchanged."""
    samples = np.arange(n)
    for one, other in pairs:
        samples[[one, other]] = samples[[other, one]]
    return samples


@pytest.mark.parametrize(
    ("samples", "found"),
    [
        pytest.param(exchanged(20, (0, 19), (1, 18), (2, 17), (3, 16)), False, id="less-than-half"),
        pytest.param(exchanged(20, (0, 19), (1, 18), (2, 17), (3, 16), (4, 15)), False, id="half"),
        pytest.param(exchanged(20, (0, 19), (1, 18), (2, 17), (3, 16), (4, 15), (5, 14)), True, id="more-than-half"),
        pytest.param(exchanged(3, (0, 2)), True, id="three-rows"),
        pytest.param(exchanged(2, (0, 1)), False, id="two-rows"),
    ],
)
def test_a_shuffle_moves_more_than_half_of_the_rows(samples, found):
    assert (orders.shuffled(view_of(samples, n=len(samples))) is not None) is found


def test_what_is_known_of_a_shuffle_is_said():
    early = int((np.arange(50) - RANDOM).min())
    late = int((np.arange(50) - RANDOM).max())
    moved = np.count_nonzero(np.arange(50) != RANDOM)
    order = f"{moved} of 50 rows are out of position, up to {-early} early and {late} late"
    for recogniser, facts, said in (
        (orders.shuffled, {}, ""),
        (orders.shuffled, {"shuffle": True}, "; Images has shuffle=True"),
        (orders.shuffled, {"shuffle": True, "reshuffled_each_pass": True}, "; Images has shuffle=True"),
        (orders.reshuffled, {"reshuffled_each_pass": True}, "; the Images is reshuffled whenever it is read"),
        (orders.reshuffled, {"stateful_getitem": True}, "; `__getitem__` returned different data on a second call"),
    ):
        found = recogniser(view_of(RANDOM, "pydataset", facts=facts))
        assert found is not None
        assert found.evidence == order + said
    assert orders.shuffled(view_of(RANDOM, "pydataset", facts={"reshuffled_each_pass": True})) is None
    guessed = orders.reshuffled(view_of(RANDOM, "tf.data"))
    assert guessed is not None
    assert guessed.evidence == order


@pytest.mark.parametrize(("branches", "certain"), [(0, True), (1, True), (2, False)])
def test_branches_that_are_shuffled_separately_do_not_match_in_another_pass(branches, certain):
    facts = {"reshuffled_each_pass": True, "shuffled_branches": branches}
    found = orders.reshuffled(view_of(RANDOM, "tf.data", facts=facts))
    assert found is not None
    assert found.certain is certain


@pytest.mark.parametrize(
    ("targets", "parts", "found"),
    [
        pytest.param(label_values(50)[RANDOM], {}, True, id="permuted"),
        pytest.param(label_values(50), {}, False, id="right"),
        pytest.param(label_values(50)[RANDOM], {"ordered": False}, False, id="no-order-is-required"),
        pytest.param(label_values(50)[RANDOM] + 100, {}, False, id="other-values"),
        pytest.param(label_values(50)[RANDOM][:48], {"rows": 48}, False, id="too-few"),
    ],
)
def test_targets_that_are_those_of_other_rows_show_a_declared_shuffle(targets, parts, found):
    rows = parts.pop("rows", 50)
    view = view_of(np.arange(rows), "pydataset", known=False, targets=targets, facts={"shuffle": True}, **parts)
    cause = orders.shuffled(view)
    assert (cause is not None) is found
    if cause is not None:
        differ = np.count_nonzero(targets != label_values(50))
        said = f"the targets of {differ} rows are not their labels, but are values of other labels"
        assert cause.evidence == f"{said}; Images has shuffle=True"
