"""Every report is valid against the JSON Schema, and the schema is strict."""

import json
from pathlib import Path

import jsonschema
from hypothesis import given, settings

from evalguard.core.judge import unproven
from evalguard.core.policy import Policy
from evalguard.core.report_schema import json_schema
from tests.core.test_report import reports

SCHEMA = jsonschema.Draft202012Validator(json_schema())


@given(reports())
@settings(max_examples=200)
def test_every_report_is_valid_against_the_schema(report):
    SCHEMA.validate(report.to_dict())
    SCHEMA.validate(json.loads(report.to_json()))


def test_the_published_schema_is_the_current_one():
    published = Path(__file__).parents[2] / "configs" / "report.schema.json"
    assert json.loads(published.read_text(encoding="utf-8")) == json_schema(), (
        "make it again: evalguard schema report > configs/report.schema.json"
    )


def test_the_schema_is_itself_valid_and_refuses_what_is_no_report():
    jsonschema.Draft202012Validator.check_schema(json_schema())
    good = unproven(None, Policy(), "why").to_dict()
    assert SCHEMA.is_valid(good)
    for name in good:
        assert not SCHEMA.is_valid({key: value for key, value in good.items() if key != name})
    assert not SCHEMA.is_valid({**good, "extra": 1})
    assert not SCHEMA.is_valid({**good, "verdict": "FINE"})
    assert not SCHEMA.is_valid({**good, "counts": {**good["counts"], "missing": -1}})
