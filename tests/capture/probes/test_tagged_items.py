"""The wrapper of a dataset with numbered items: the same items, and what a second request for one shows."""

import pickle
from typing import Any

import numpy as np
import pytest

from evalguard.capture.probes.tagged_items import TaggedItems

X = np.arange(12, dtype="float32").reshape(6, 2)


class Items:
    """Importable, as a worker process needs it."""

    def __init__(self, *items):
        self.items = items

    def __getitem__(self, index):
        item = self.items[index % len(self.items)]
        return item() if callable(item) else item


def failing(_index):
    raise LookupError


@pytest.mark.parametrize(
    ("item", "kind"),
    [(X, tuple), ([X, X], tuple), ((X, X), tuple), ({"x": X}, dict)],
    ids=["array", "list", "tuple", "dict"],
)
def test_items_are_standardised_as_keras_does_it(item, kind):
    emitted = TaggedItems(Items(item), may_digest=True)[0]
    assert type(emitted) is kind
    wrapped = TaggedItems(Items(item))
    assert type(wrapped.batches.identify(wrapped[0])[0]) is kind


@pytest.mark.parametrize("item", ["text", (X,) * 4, (), None])
def test_what_keras_refuses_is_passed_on_as_it_is(item):
    assert TaggedItems(Items(item), may_digest=True)[5] is item


@pytest.mark.parametrize(("change", "changed"), [(0, False), (1, True)])
@pytest.mark.parametrize("x", [X, np.array([["a"], ["b"]], dtype=object)], ids=["numbers", "text"])
def test_an_item_that_is_another_when_it_is_requested_again_is_noticed(x, change, changed):
    given: list[Any] = []

    def item():
        given.append(x + "!" * len(given) * change if x.dtype == object else x + len(given) * change)
        return (given[-1],)

    items = TaggedItems(Items(item))
    for _ in range(2):
        items[0]
    assert items.item_changed is changed
    assert items.requested == [0, 0]


def test_only_items_that_keras_peeks_at_are_compared():
    items = TaggedItems(Items(*[lambda: (np.random.default_rng().normal(size=(2, 2)),)] * 3))
    for index in (2, 2, 3):
        items[index]
    assert not items.item_changed


def test_an_index_that_cannot_be_read_is_not_stated():
    items = TaggedItems(Items((X,)), may_digest=True, indices=failing)
    tag = items.batches.identify(items[0])[1]
    assert (tag.number, tag.samples) == (0, None)


def test_a_worker_process_has_the_same_items_and_tags():
    items = TaggedItems(Items((X[:2],), (X[2:4],)), indices=np.arange(12).reshape(6, 2).__getitem__)
    sent = pickle.loads(pickle.dumps(items))  # noqa: S301 - what a worker process is sent
    items[0]
    batch, tag = items.batches.identify(sent[1])
    assert batch[0].tolist() == X[2:4].tolist()
    assert (tag.number, tag.samples.tolist()) == (1, [2, 3])
