"""All samples once, in an order that is simple to say: each is recognised, unless another one explains it."""

from dataclasses import replace

import numpy as np
import pytest

from evalguard.core.diagnosis import blocks, diagnose
from tests.core.diagnosis.causes import title, view_of

N = 120
ALL = np.arange(N)
RNG = np.random.default_rng(5)
RANDOM = RNG.permutation(N)
BATCHES = np.split(ALL, 15)


def view(samples, kind="arrays", method="predict", **facts):
    return view_of(np.asarray(samples), kind, n=N, facts=facts, method=method)


def first(samples, kind="arrays", **more):
    found = view(samples, kind, **more)
    return diagnose(found.trace, found.samples, found.labels)[0]


# -- Backwards --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("arrays", "y_true = y_true[::-1]"),
        ("generator", "sorted(rows)"),
        ("pydataset", "sorted(rows)"),
        ("tf.data", "y_true[::-1]"),
    ],
)
def test_rows_backwards(kind, words):
    found = first(ALL[::-1], kind)
    assert (found.cause, found.certain) == (title("backwards"), True)
    assert found.evidence == "the rows are samples 119, 118, …, 0"
    assert words in found.remedy


@pytest.mark.parametrize("samples", [ALL, ALL[:0:-1], [*ALL[:0:-1], 1], [*ALL[::-1], 0], [*ALL[1::-1], *ALL[2:]]])
def test_other_orders_are_not_backwards(samples):
    assert blocks.backwards(view(samples)) is None
    assert blocks.backwards(view_of([4, 3, 2, 1, 0], n=5)) is None


# -- Parts ------------------------------------------------------------------------------------------------------------

ROTATED = np.roll(ALL, 35)
SWAPPED = [*ALL[:20], *ALL[70:100], *ALL[20:70], *ALL[100:]]
AS_TEXT = [*ALL[:20], *ALL[100:], *ALL[20:100]]


@pytest.mark.parametrize(
    ("samples", "shown"),
    [
        pytest.param(
            ROTATED, "2 parts of consecutive samples, in another order than in the labels: 85 to 119, 0 to 84"
        ),
        pytest.param(
            SWAPPED, "4 parts of consecutive samples, in another order than in the labels: 0 to 19, 70 to 99, "
        ),
        pytest.param(AS_TEXT, "3 parts of consecutive samples, in another order than in the labels: 0 to 19, 100 to"),
    ],
    ids=["rotated", "swapped", "as-text"],
)
@pytest.mark.parametrize(("kind", "method"), [("arrays", "predict"), ("batch", "predict"), ("unknown", "check")])
def test_a_few_parts_in_another_order(samples, shown, kind, method):
    found = first(samples, kind, method=method)
    assert (found.cause, found.certain) == (title("parts_in_another_order"), False)
    assert found.evidence.startswith(shown)


def test_the_order_of_the_parts_is_given_as_code():
    found = first(SWAPPED)
    code = found.remedy.partition("y_true[")[2].partition("]")[0] + "]"
    assert eval(code, {"np": np}).tolist() == SWAPPED  # noqa: S307 - the proposed line


def test_rows_of_a_source_that_was_read_before_are_no_parts():
    assert first(ROTATED, "generator").cause == title("not_at_start")


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param(ALL, id="in-order"),
        pytest.param(RANDOM, id="random"),
        pytest.param(np.concatenate([BATCHES[k] for k in RNG.permutation(15)]), id="batches-at-random"),
        pytest.param([*ALL[1:60], 0, *ALL[60:]], id="one-row-moved"),
        pytest.param(ALL[10:], id="a-part"),
    ],
)
def test_other_orders_are_no_parts(samples):
    assert blocks.exchanged(view(samples)) is None
    assert blocks.rotated(view(samples)) is None


def test_parts_that_are_single_batches_are_batches_in_another_order():
    samples = [*ALL[40:80], *ALL[:40], *ALL[80:]]
    assert blocks.exchanged(view(samples)) is not None
    assert blocks.exchanged(view_of(samples, "arrays", n=N, batch=40)) is None


def test_parts_of_a_shuffled_source_are_chance():
    assert blocks.exchanged(view(SWAPPED, shuffle=True)) is None
    assert blocks.exchanged(view(SWAPPED, shuffle_buffer=30)) is None
    assert blocks.rotated(view(SWAPPED)) is None


# -- Inside batches ---------------------------------------------------------------------------------------------------

MIXED = np.concatenate([RNG.permutation(batch) for batch in BATCHES])
TURNED = np.concatenate([batch[::-1] for batch in BATCHES])


@pytest.mark.parametrize("samples", [MIXED, TURNED], ids=["random", "backwards"])
@pytest.mark.parametrize("kind", ["arrays", "generator", "pydataset", "tf.data", "batch"])
def test_rows_that_moved_inside_their_batches(samples, kind):
    found = first(samples, kind)
    assert (found.cause, found.certain) == (title("inside_batches"), False)
    assert found.evidence.endswith("rows are out of position, each inside its batch of 8")


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param(ALL, id="in-order"),
        pytest.param(RANDOM, id="random"),
        pytest.param(ALL ^ 1, id="neighbours"),
        pytest.param([*MIXED[:24], *ALL[24:]], id="few-batches"),
        pytest.param([*MIXED[4:], *MIXED[:4]], id="across-batches"),
        pytest.param([*BATCHES[1], *BATCHES[0], *MIXED[16:]], id="a-batch-moved"),
    ],
)
def test_rows_that_moved_otherwise_are_not_called_that(samples):
    assert blocks.inside_batches(view(samples)) is None


def test_where_batches_are_not_known_nothing_is_inside_them():
    found = view(MIXED)
    unknown = replace(found, trace=replace(found.trace, batch_sizes=np.zeros(0, np.int64)))
    assert blocks.inside_batches(unknown) is None
    assert blocks.inside_batches(view(MIXED, shuffle_buffer=8)) is None
    assert blocks.inside_batches(view_of(ALL[:8][::-1], n=8)) is None
