"""Rows that move inside the model, or after it."""

from dataclasses import replace

import numpy as np

from evalguard.core.diagnosis import computed, diagnose
from evalguard.core.diagnosis.view import View
from evalguard.core.label_table import LabelTable
from tests.core.diagnosis.causes import title, view_of
from tests.core.signatures import label_values


def test_rows_that_the_model_moved_are_a_certain_cause():
    view = view_of(np.arange(50))
    assert computed.moved_in_model(view) is None
    cause = computed.moved_in_model(View(replace(view.trace, moved_in_model=7), view.labels, view.samples))
    assert cause.cause == title("moved_in_model")
    assert cause.certain
    assert "7 rows of it" in cause.evidence
    assert "predict_step" in cause.remedy


def test_it_stands_beside_the_cause_of_rows_that_the_source_moved():
    view = view_of(np.random.default_rng(0).permutation(50))
    labels = LabelTable(values=label_values(50))
    (before,) = diagnose(view.trace, view.samples, labels)
    after = diagnose(replace(view.trace, moved_in_model=7), view.samples, labels)
    assert {cause.cause for cause in after} == {before.cause, title("moved_in_model")}


def test_rows_that_moved_after_the_model_are_no_fault_of_the_source():
    view = view_of(np.arange(50)[::-1])
    assert computed.moved_after_model(view) is None
    labels = LabelTable(values=label_values(50))
    (found,) = diagnose(replace(view.trace, moved=50), view.samples, labels)
    assert (found.cause, found.certain) == (title("moved_after_model"), True)
    assert "50 rows" in found.evidence
