"""The objects in a report: to JSON and back, and the deprecated access by key."""

import json
import math
import warnings
from dataclasses import fields

import numpy as np
import pytest

import evalguard
from evalguard.core.checks import MAX_CASES
from evalguard.core.findings import VALUES, Cause, Finding, MetricImpact, Reason

FINDING = Finding(Reason.REORDERED, 2, "2 rows are out of order", (3, 4), (4, 3))
CAUSE = Cause("`shuffle=True`", True, "Digits says shuffle=True", "before: a\nafter:  b", "keras 3.15")
IMPACT = MetricImpact(as_scored=0.1, realigned=0.95, difference=-0.85, note="seen")
PARTS = [
    pytest.param(FINDING, id="finding"),
    pytest.param(CAUSE, id="cause"),
    pytest.param(IMPACT, id="impact"),
    pytest.param(MetricImpact(error="ValueError: no"), id="error"),
]


@pytest.mark.parametrize("part", PARTS)
def test_an_object_is_equal_after_a_round_trip_through_json(part):
    again = type(part).from_dict(json.loads(json.dumps(part.to_dict())))
    assert again == part
    assert type(again) is type(part)
    assert hash(again) == hash(part)


def test_names_and_their_order_are_those_of_report_json():
    assert list(FINDING.to_dict()) == ["reason", "count", "message", "rows", "samples"]
    assert list(CAUSE.to_dict()) == ["cause", "certain", "evidence", "remedy", "reproduced"]
    assert IMPACT.to_dict() == {"as_scored": 0.1, "realigned": 0.95, "difference": -0.85, "note": "seen"}


def test_every_value_of_a_metric_has_its_place_in_the_reading_order():
    assert {*VALUES, "note", "error"} == {item.name for item in fields(MetricImpact)}


def test_a_value_that_has_no_form_in_json_is_not_read_as_one_that_was_not_computed():
    again = MetricImpact.from_dict({"as_scored": None, "note": None})
    assert again.as_scored is not None
    assert math.isnan(again.as_scored)
    assert (again.realigned, again.note) == (None, None)


def test_a_metric_shows_the_values_it_has():
    assert repr(IMPACT) == "MetricImpact(as_scored=0.1, realigned=0.95, difference=-0.85, note='seen')"


def test_what_has_a_default_can_be_left_out():
    assert Finding.from_dict({"reason": "count", "count": 1, "message": "x"}) == Finding(Reason.COUNT, 1, "x")


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        pytest.param(Finding, {"reason": "count"}, "message, rows, samples; found 'reason'", id="missing"),
        pytest.param(Finding, {**FINDING.to_dict(), "row": 1}, "found 'reason, .*, samples, row'", id="new"),
        pytest.param(Finding, {**FINDING.to_dict(), "reason": "luck"}, "'luck' is not a valid Reason", id="reason"),
        pytest.param(MetricImpact, {"as_scord": 1}, "found 'as_scord'", id="unknown"),
        pytest.param(MetricImpact, "unchanged", "found 'str'", id="text"),
        pytest.param(MetricImpact, {"\x1b[2J": 1}, r"found '\\x1b", id="hostile"),
    ],
)
def test_what_is_no_such_object_is_refused_with_what_was_expected(kind, data, words):
    with pytest.raises(ValueError, match=words):
        kind.from_dict(data)


# -- Until the next release -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", PARTS)
def test_the_spelling_of_a_dict_works_and_names_the_attribute(part):
    for name, value in part.to_dict().items():
        words = rf"use the attribute {type(part).__name__}\.{name}$"
        with pytest.warns(DeprecationWarning, match=words) as caught:
            assert part[name] == value
        assert caught[0].filename == __file__
        with pytest.warns(DeprecationWarning, match=words):
            assert part.get(name) == value
    with pytest.warns(DeprecationWarning, match="use the attribute"):
        assert dict(part) == part.to_dict()


def test_a_value_that_was_not_computed_is_no_key():
    with warnings.catch_warnings(action="error"):
        assert "at_least" not in IMPACT
        assert IMPACT.get("at_least") is None
        with pytest.raises(KeyError, match="at_least"):
            IMPACT["at_least"]


def test_reports_of_a_check_can_be_read_in_both_spellings():
    predictions = np.array([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1]])
    report = evalguard.check(indices=[1, 0, 2], labels=[0, 1, 1], predictions=predictions, metrics="sklearn:accuracy")
    (finding,), impact = report.findings, (report.impact or {})["sklearn:accuracy"]
    with pytest.warns(DeprecationWarning, match=r"Finding\.reason"):
        assert finding["reason"] == "reordered" == finding.reason
    with pytest.warns(DeprecationWarning, match=r"MetricImpact\.as_scored"):
        assert impact["as_scored"] == impact.as_scored
    assert (type(finding), type(impact)) == (evalguard.Finding, evalguard.MetricImpact)
    assert all(type(cause) is evalguard.Cause for cause in report.diagnosis)


def test_the_old_name_of_a_cause_leads_to_the_new_one():
    with pytest.warns(DeprecationWarning, match=r"use evalguard\.Cause") as caught:
        assert evalguard.Diagnosis is evalguard.Cause
    assert caught[0].filename == __file__
    assert "Diagnosis" not in evalguard.__all__


def test_the_reference_says_how_many_cases_there_are():
    assert f"at most {MAX_CASES}." in (Finding.__doc__ or "")
