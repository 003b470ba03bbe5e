"""The in-toto statement: its form, its result, and the files that it is about."""

import base64
import hashlib
import json

import jsonschema
import pytest
from hypothesis import given

from evalguard.reporting.intoto import to_statement
from tests.core.test_report import reports
from tests.reporting import samples

SUBJECTS = {"model.keras": "A" * 64, "labels.csv": "0" * 64}
# Statement v1 and test-result v0.1, as their specifications put them in words.
DESCRIPTOR = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "digest": {"type": "object", "additionalProperties": {"type": "string", "pattern": "^[0-9a-f]+$"}},
        "content": {"type": "string"},
        "mediaType": {"type": "string"},
        "annotations": {"type": "object"},
    },
    "anyOf": [{"required": [name]} for name in ("uri", "digest", "content")],
}
NAMES = {"type": "array", "items": {"type": "string"}}
SCHEMA = {
    "type": "object",
    "required": ["_type", "subject", "predicateType", "predicate"],
    "additionalProperties": False,
    "properties": {
        "_type": {"const": "https://in-toto.io/Statement/v1"},
        "subject": {"type": "array", "minItems": 1, "items": {**DESCRIPTOR, "required": ["digest"]}},
        "predicateType": {"const": "https://in-toto.io/attestation/test-result/v0.1"},
        "predicate": {
            "type": "object",
            "required": ["result", "configuration"],
            "additionalProperties": False,
            "properties": {
                "result": {"enum": ["PASSED", "WARNED", "FAILED"]},
                "configuration": {"type": "array", "items": DESCRIPTOR},
                "passedTests": NAMES,
                "warnedTests": NAMES,
                "failedTests": NAMES,
            },
        },
    },
}


def statement(report):
    return json.loads(to_statement(report, SUBJECTS))


@given(reports())
def test_a_statement_of_any_report_has_the_form_of_its_specification(report):
    jsonschema.validate(statement(report), SCHEMA)


@pytest.mark.parametrize(
    ("verdict", "result"), [("PASS", "PASSED"), ("REPAIRED", "WARNED"), ("UNPROVEN", "FAILED"), ("FAIL", "FAILED")]
)
def test_only_a_pass_is_passed(verdict, result):
    predicate = statement(samples.BY_VERDICT[verdict]())["predicate"]
    assert predicate["result"] == result
    place = {"PASSED": "passedTests", "WARNED": "warnedTests", "FAILED": "failedTests"}[result]
    assert "alignment" in predicate[place]


def test_checks_that_were_not_made_are_in_no_list():
    predicate = statement(samples.unproven_report())["predicate"]
    assert predicate["passedTests"] == predicate["warnedTests"] == []
    assert predicate["failedTests"] == ["alignment"]


def test_it_names_the_files_by_their_digests():
    assert statement(samples.passing())["subject"] == [
        {"name": "labels.csv", "digest": {"sha256": "0" * 64}},
        {"name": "model.keras", "digest": {"sha256": "a" * 64}},
    ]


def test_it_names_the_record_and_the_options():
    report = samples.failing()
    (options,) = statement(report)["predicate"]["configuration"]
    content = base64.b64decode(options["content"])
    assert json.loads(content) == dict(report.options)
    assert options["digest"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert options["annotations"]["report_sha256"] == hashlib.sha256(report.to_json().encode()).hexdigest()
    assert options["annotations"]["verdict"] == "FAIL"


@pytest.mark.parametrize("subjects", [{}, {"model": "abc"}, {"model": "g" * 64}, {"model": ""}, {"model": "a" * 65}])
def test_a_statement_about_nothing_or_by_another_digest_is_refused(subjects):
    with pytest.raises(ValueError, match="expected"):
        to_statement(samples.passing(), subjects)


@pytest.mark.parametrize("text", samples.HOSTILE.values(), ids=samples.HOSTILE)
def test_hostile_text_cannot_reach_a_terminal_from_it(text):
    shown = to_statement(samples.hostile(text), {text: "0" * 64})
    assert shown.isascii()
    assert all(character.isprintable() or character == "\n" for character in shown)
