"""What all probes have: a source, the stream of its batches, and its state."""

import gc
import weakref
from types import SimpleNamespace

import pytest

from evalguard.capture.probes.base import PassiveProbe, Probe, history_of


class Source:
    """An object that can be referred to weakly."""


def test_a_history_is_that_of_one_object_and_keeps_nothing_alive():
    source, other = Source(), Source()
    history_of(source).calls += 1
    assert (history_of(source).calls, history_of(other).calls) == (1, 0)
    gone = weakref.ref(source)
    del source
    gc.collect()
    assert gone() is None


def test_an_object_without_weak_references_has_no_history():
    history_of((1, 2)).calls += 1
    assert history_of((1, 2)).calls == 0


@pytest.mark.parametrize(("replicas", "replicated"), [(1, False), (2, True)])
def test_the_model_of_the_call_says_whether_batches_are_split(replicas, replicated):
    model = SimpleNamespace(distribute_strategy=SimpleNamespace(num_replicas_in_sync=replicas))
    assert Probe("x", {"self": model}).replicated is replicated
    assert not Probe("x", {}).replicated


def test_a_source_that_carries_no_tag_is_passed_on_and_named_by_its_class():
    source = Source()
    probe = PassiveProbe(source, {"steps": 3, "batch_size": None})
    assert probe.source is source
    state = probe.state(delivered=3)
    assert (state.kind, state.type_name, state.delivered, state.facts) == ("Source", "Source", 3, {"steps": 3})
    assert probe.tags_complete(3)
    data = ("x",)
    assert probe.stream.identify(data)[0] is data
