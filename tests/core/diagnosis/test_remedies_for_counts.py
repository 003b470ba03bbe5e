"""Remedies for missing and repeated rows."""

import numpy as np
import pytest

from evalguard.core.diagnosis import remedies_for_counts
from tests.core import signatures
from tests.core.diagnosis.causes import KINDS, remedies_of, view_of


@pytest.mark.parametrize("maker", [signatures.wrapped, signatures.padded, signatures.sampler])
def test_extra_rows_are_not_cut_from_metric_values(maker):
    for cause, remedy in remedies_of(maker, "generator", method="evaluate").items():
        assert "padding='trim'" not in remedy, cause
        assert "[:50]" not in remedy, cause


FUNCTIONS = [
    pytest.param(lambda view: remedies_for_counts.full_batches(view, 8), id="full_batches"),
    pytest.param(lambda view: remedies_for_counts.dropped(view, 8), id="dropped"),
    pytest.param(lambda view: remedies_for_counts.floor_len(view, 8), id="floor_len"),
    pytest.param(remedies_for_counts.wrapped, id="wrapped"),
    pytest.param(remedies_for_counts.padded, id="padded"),
    pytest.param(remedies_for_counts.gathered, id="gathered"),
    pytest.param(lambda view: remedies_for_counts.copied(view, 2), id="copied"),
    pytest.param(remedies_for_counts.left_out, id="left_out"),
    pytest.param(remedies_for_counts.others, id="others"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_two_lines_differ_for_every_kind_of_source(function, kind):
    found = function(view_of(np.arange(50), kind))
    assert sorted(found) == ["after", "before"]
    assert found["before"] != found["after"]


@pytest.mark.parametrize("method", ["evaluate", "test_on_batch"])
@pytest.mark.parametrize(
    "function", [remedies_for_counts.wrapped, remedies_for_counts.padded, remedies_for_counts.gathered]
)
def test_metrics_that_are_computed_cannot_be_trimmed(function, method):
    assert "trim" not in function(view_of(np.arange(50), method=method))["after"]
    assert "trim" in function(view_of(np.arange(50)))["after"]


def test_a_generator_with_workers_gets_one_and_others_get_their_part():
    workers = remedies_for_counts.copied(view_of(np.arange(50), facts={"workers": 2}), 2)
    assert workers["after"].startswith("model.predict(batches, workers=1)")
    alone = remedies_for_counts.copied(view_of(np.arange(50)), 2)
    assert alone["after"] == "parts = [read(paths[reader::2]) for reader in range(2)]"
