"""The report as data: deterministic, the same after a round trip, and its headline."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalguard.core.findings import VALUES, Cause, Finding, Link, MetricImpact, Reason, Status
from evalguard.core.judge import judge, unproven
from evalguard.core.policy import Policy, Proof, Verdict
from evalguard.core.report import SCHEMA_VERSION, Report, show_as
from evalguard.core.report_counts import COUNT_NAMES
from evalguard.reporting import to_text
from tests.core.streams import streams
from tests.core.traces import EVIDENCE, labels_for, trace_of

HOSTILE = "<script>alert('x')</script>\x1b[31m\u202e\x00\ud7ff\"&"

TEXTS = st.text(max_size=8)
CAUSES = st.builds(Cause, TEXTS, st.booleans(), TEXTS, TEXTS, TEXTS)
IMPACTS = st.builds(
    MetricImpact, **dict.fromkeys(VALUES, st.none() | st.floats()), note=st.none() | TEXTS, error=st.none() | TEXTS
)
FREE = st.dictionaries(TEXTS, st.none() | st.booleans() | st.integers() | st.floats() | TEXTS, max_size=3)


@st.composite
def reports(draw: st.DrawFn) -> Report:
    samples, n = draw(streams(unknown=True))
    evidence = draw(st.sets(st.sampled_from(EVIDENCE)))
    policy = Policy(padding=draw(st.sampled_from(["forbid", "trim"])))
    report = judge(trace_of(samples, evidence), labels_for(n, evidence), policy).report
    return replace(
        report,
        diagnosis=tuple(draw(st.lists(CAUSES, max_size=2))),
        impact=draw(st.none() | st.dictionaries(TEXTS, IMPACTS, max_size=2)),
        cost=draw(FREE),
        source=draw(FREE),
        hazards=tuple(draw(st.lists(TEXTS, max_size=2))),
        name=draw(TEXTS),
        versions=draw(st.dictionaries(TEXTS, TEXTS, max_size=2)),
        checked_at_ms=draw(st.integers(0, 2**53)),
    )


@given(reports())
def test_a_report_is_the_same_after_a_round_trip(report):
    again = Report.from_dict(report.to_dict())
    assert again.to_dict() == report.to_dict()
    assert again.to_json() == report.to_json()
    assert Report.from_dict(json.loads(report.to_json())).to_json() == report.to_json()
    assert again.verdict is report.verdict
    assert again.proof is report.proof
    assert again.findings == report.findings
    assert again.diagnosis == report.diagnosis


@given(streams(), st.sets(st.sampled_from(EVIDENCE)))
def test_the_same_evidence_gives_the_same_bytes(stream, evidence):
    samples, n = stream
    first, second = (
        judge(trace_of(samples, evidence), labels_for(n, evidence), Policy()).report.to_json() for _ in range(2)
    )
    assert first == second


def test_numpy_scalars_and_numbers_that_are_no_json_become_plain():
    report = unproven(None, Policy(), "why")
    odd = {
        "f32": np.float32(0.5),
        "nan": float("nan"),
        "nan32": np.float32("nan"),
        "inf": float("-inf"),
        "int": np.int64(3),
        "bool": np.bool_(True),
        "array": np.arange(2),
        "object": Policy,
        "tuple": (1, (2,)),
    }
    plain = json.loads(replace(report, source=odd).to_json())["source"]
    assert plain.pop("object").startswith("<class")
    assert plain == {
        "f32": 0.5,
        "nan": None,
        "nan32": None,
        "inf": None,
        "int": 3,
        "bool": True,
        "array": [0, 1],
        "tuple": [1, [2]],
    }


def test_json_ends_in_a_newline_has_sorted_keys_and_keeps_any_text():
    text = replace(unproven(None, Policy(), "why"), name=HOSTILE).to_json()
    assert text.endswith("}\n")
    assert replace(unproven(None, Policy(), "why"), name="\udcff").to_json().encode()
    assert json.loads(text)["name"] == HOSTILE
    assert list(json.loads(text)) == sorted(json.loads(text))
    assert text.startswith('{\n  "advice": ""')
    assert '"name": "é"' in replace(unproven(None, Policy(), "why"), name="é").to_json()


def test_a_report_of_the_first_schema_can_be_read():
    report = Report.from_dict({"schema_version": 1, "verdict": "PASS", "proof": "identity", "counts": {}})
    assert (report.verdict, report.proof, report.checked_at_ms) == (Verdict.PASS, Proof.IDENTITY, 0)


@pytest.mark.parametrize(
    ("version", "identity", "method", "proof"),
    [
        (1, "position", "predict", "declared"),
        (1, "content", "predict", "identity"),
        (1, "key", "check", "declared"),
        (2, "key", "predict", "identity"),
    ],
)
def test_what_an_earlier_report_called_identity_counts_as_declared_where_it_was(version, identity, method, proof):
    used = {"identity": identity, "says": "aligned", "used": True}
    data = {
        "schema_version": version,
        "verdict": "PASS",
        "proof": "identity",
        "counts": {},
        "stages": {"source": "right"},
    }
    report = Report.from_dict({**data, "identities": [used], "method": method})
    assert (report.proof, report.chain) == (proof, ())


def test_a_notebook_shows_the_page_that_was_registered_or_text(monkeypatch):
    report = unproven(None, Policy(), "why")
    monkeypatch.setattr("evalguard.core.report._shown_as", [])
    assert report._repr_html_() is None
    for page in ("first: {.verdict} as {}", "second: {.verdict} as {}"):
        show_as(page.format)
        assert report._repr_html_() == page.format(report, "frame")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, f"expected a report of schema version {SCHEMA_VERSION}, found None"),
        ({"schema_version": 99}, "found 99"),
        ({"schema_version": SCHEMA_VERSION}, "counts, proof, verdict missing"),
        ({"schema_version": SCHEMA_VERSION, "verdict": "FINE", "proof": "", "counts": {}}, "FINE"),
        ({"schema_version": SCHEMA_VERSION, "verdict": "PASS", "proof": "surely", "counts": {}}, "surely"),
    ],
)
def test_what_is_no_report_is_refused_with_a_reason(data, words):
    with pytest.raises(ValueError, match=words):
        Report.from_dict(data)


def test_metrics_that_are_finite_are_equal_after_a_round_trip():
    impact = {"accuracy": MetricImpact(as_scored=0.5, realigned=1.0, difference=-0.5), "mine": MetricImpact(error="no")}
    report = replace(unproven(None, Policy(), "why"), impact=impact)
    assert Report.from_dict(json.loads(report.to_json())).impact == impact


def test_the_proof_of_a_report_is_a_proof():
    report = judge(trace_of(np.arange(3), {"index"}), labels_for(3, {"index"}), Policy()).report
    assert report.proof == "identity"
    assert report.proof is Proof.IDENTITY
    assert json.loads(report.to_json())["proof"] == "identity"


def a_report(verdict, **parts):
    counts = {**dict.fromkeys(COUNT_NAMES, 0), **parts.pop("counts", {})}
    return Report(verdict=verdict, proof=parts.pop("proof", Proof.IDENTITY), counts=counts, **parts)


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (
            a_report(Verdict.PASS, counts={"n_predictions": 1234}),
            "PASS: all 1,234 predictions match their labels (proof: identity)",
        ),
        (
            a_report(Verdict.PASS, counts={"n_predictions": 1}),
            "PASS: the prediction matches its label (proof: identity)",
        ),
        (
            a_report(Verdict.PASS, proof=Proof.TRANSPORT, counts={"n_predictions": 1234}),
            "PASS: all 1,234 predictions arrived in the order the source emitted them; "
            "nothing shows which sample each one is (proof: transport)",
        ),
        (
            a_report(Verdict.PASS, proof=Proof.COUNT, counts={"n_predictions": 1234}),
            "PASS: there are as many predictions as labels (1,234); "
            "nothing shows which sample each one is (proof: count)",
        ),
        (
            a_report(Verdict.FAIL, counts={"n_predictions": 10_000, "misaligned": 10_000}),
            "FAIL: 10,000 of 10,000 predictions would be scored against another sample's label",
        ),
        (
            a_report(Verdict.PASS, proof=Proof.LABELS, counts={"n_predictions": 1234}),
            "PASS: all 1,234 predictions match their labels (proof: labels)",
        ),
        (
            a_report(Verdict.PASS, method="fit", calls=(5, 5), counts={"n_predictions": 5}),
            "PASS: 2 validations were scored on the same 5 samples (proof: identity)",
        ),
        (a_report(Verdict.FAIL), "FAIL"),
        (
            a_report(
                Verdict.FAIL,
                counts={"n_predictions": 9, "misaligned": 2},
                identities=({"identity": "index", "used": True},),
            ),
            "FAIL: 2 of 9 predictions would be scored against another sample's label",
        ),
        (a_report(Verdict.FAIL, findings=(Finding(Reason.COUNT, 2, "2 rows short"),)), "FAIL: 2 rows short"),
        (a_report(Verdict.UNPROVEN), "UNPROVEN: no prediction was observed"),
        (
            a_report(Verdict.REPAIRED, repair={"summary": "2 rows reordered"}, counts={"n_predictions": 9}),
            "REPAIRED: 2 rows reordered; the 9 rows returned match their labels",
        ),
        (
            a_report(Verdict.UNPROVEN, method="fit", calls=(5, 5), counts={"n_predictions": 5}),
            "UNPROVEN: nothing shows that 2 validations used the same samples",
        ),
    ],
)
def test_the_headline_is_the_verdict_and_the_number_that_matters(report, words):
    assert report.headline == words


@pytest.mark.parametrize(
    ("proof", "words"),
    [
        ("identity", "540 predictions were identified, but not every row could be observed and paired with a label"),
        (
            "labels",
            "the stream's own targets equal the labels at all 540 rows, but nothing shows which sample each one is",
        ),
        ("sample", "9 of 540 predictions, sampled by position, match their labels, but the others were not checked"),
        (
            "transport",
            "540 predictions arrived in the order the source emitted them, but nothing shows which sample each one is",
        ),
        ("count", "there are as many predictions as labels (540), but nothing shows which sample each one is"),
        ("none", "540 predictions were observed, but nothing shows which sample each one is"),
    ],
)
def test_an_unproven_headline_says_what_is_shown_and_what_is_not(proof, words):
    identities = ({"identity": "sample", "used": proof == "sample", "chosen": 9},)
    report = a_report(Verdict.UNPROVEN, proof=Proof(proof), counts={"n_predictions": 540}, identities=identities)
    assert report.headline == f"UNPROVEN: {words}"


def test_where_each_sample_is_known_an_unproven_headline_says_that_the_labels_are_not():
    fed = Link("fed", Status.PROVEN, "a key came with each row")
    report = a_report(Verdict.UNPROVEN, proof=Proof.IDENTITY, counts={"n_predictions": 9}, chain=(fed,))
    assert report.headline == "UNPROVEN: 9 predictions were identified, but nothing shows that these labels are theirs"


def test_violations_are_the_total_of_all_findings():
    findings = (Finding(Reason.COUNT, 2, "a"), Finding(Reason.MISSING, 3, "b"))
    assert a_report(Verdict.FAIL, findings=findings).violations == 5
    assert a_report(Verdict.PASS).violations == 0
    assert a_report(Verdict.UNPROVEN, checks=("count",)).violations == 0


def test_without_a_judged_prediction_there_is_no_number_of_violations():
    report = a_report(Verdict.UNPROVEN)
    assert report.violations is None
    assert report.to_dict()["violations"] is None


def test_a_count_whose_check_was_not_made_of_all_rows_is_a_lower_bound():
    report = a_report(Verdict.FAIL, counts={"n_predictions": 9, "misaligned": 2}, checks=("count",))
    assert report.headline == "FAIL: at least 2 of 9 predictions would be scored against another sample's label"
    assert [report.is_at_least(name) for name in ("misaligned", "missing", "n_predictions")] == [True, False, False]
    assert not replace(report, checks=("count", "reordered")).is_at_least("misaligned")


@pytest.mark.parametrize(
    ("report", "shown"),
    [
        (
            a_report(Verdict.FAIL, counts={"n_predictions": 1000, "misaligned": 998}),
            "<Report FAIL: 998 of 1,000 predictions misaligned, proof identity>",
        ),
        (
            a_report(
                Verdict.FAIL,
                proof=Proof.NONE,
                counts={"n_predictions": 98},
                findings=(Finding(Reason.COUNT, 2, "2 rows short"), Finding(Reason.MISSING, 2000, "many")),
            ),
            "<Report FAIL: 98 predictions (count 2, missing 2,000), proof none>",
        ),
        (
            a_report(
                Verdict.FAIL,
                proof=Proof.COUNT,
                counts={"n_predictions": 98, "misaligned": 3},
                identities=({"identity": "sample", "used": True, "chosen": 9},),
            ),
            "<Report FAIL: at least 3 of 98 predictions misaligned, proof count>",
        ),
        (
            a_report(Verdict.PASS, counts={"n_predictions": 1234}),
            "<Report PASS: 1,234 predictions, proof identity>",
        ),
        (
            a_report(Verdict.UNPROVEN, proof=Proof.TRANSPORT, counts={"n_predictions": 5}),
            "<Report UNPROVEN: 5 predictions, proof transport>",
        ),
        (
            # The rows returned are not misaligned any more.
            a_report(Verdict.REPAIRED, counts={"n_predictions": 5, "misaligned": 5}),
            "<Report REPAIRED: 5 predictions, proof identity>",
        ),
    ],
)
def test_a_report_shows_itself_in_one_short_line(report, shown):
    assert repr(report) == shown
    assert repr([report]) == f"[{shown}]"


@given(reports())
def test_a_report_is_printed_as_it_is_shown_in_a_terminal(report):
    assert f"{report}\n" == f"{report!s}\n" == report.to_text() == to_text(report)
    assert len(repr(report).splitlines()) == 1


def test_without_a_renderer_a_report_is_its_headline(monkeypatch):
    monkeypatch.setattr("evalguard.core.report._shown_as", [])
    report = unproven(None, Policy(), "why\x1b[31m")
    assert str(report) == report.headline
