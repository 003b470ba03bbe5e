"""The verdict: what may be claimed from which evidence, and what never."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evalguard.core.findings import Reason
from evalguard.core.judge import decide, judge, unproven
from evalguard.core.label_table import LabelTable
from evalguard.core.policy import Policy, Proof, Verdict
from evalguard.core.trace import ALTERED, UNKNOWN, SourceState, Trace
from evalguard.errors import LabelsError
from tests.core import brute
from tests.core.streams import streams
from tests.core.traces import (
    ALIGNED,
    EVIDENCE,
    IDENTITIES,
    SWAPPED,
    N,
    content_of,
    label_of,
    labels_for,
    tags_of,
    trace_of,
    verdict_of,
)

REQUIRE = ["identity", "labels", "declared", "transport", "count"]

# -- Soundness: whatever is known, and whatever was delivered ---------------------------------------------------------


@given(
    streams(),
    st.sets(st.sampled_from(EVIDENCE)),
    st.sampled_from(REQUIRE),
)
@example((np.arange(4), 4), set(), "count")
def test_a_verdict_is_never_wrong_about_what_was_delivered(stream, evidence, require):
    samples, n = stream
    report = judge(trace_of(samples, evidence), labels_for(n, evidence), Policy(require=require)).report
    aligned = samples.tolist() == list(range(n))
    if report.verdict is Verdict.FAIL:
        assert not aligned
    if report.verdict is Verdict.PASS:
        assert len(samples) == n
        assert report.proof >= Proof(require)
        if report.proof == "identity":
            assert aligned
        if report.proof == "labels":
            assert np.array_equal(label_of(samples), label_of(range(n)))
            assert len(set(samples.tolist())) == n
    if not evidence & set(IDENTITIES):
        assert report.proof != "identity"


@given(streams(), st.sampled_from(IDENTITIES))
def test_with_identity_the_verdict_is_pass_exactly_when_row_i_is_sample_i(stream, identity):
    samples, n = stream
    report = judge(trace_of(samples, {identity}), labels_for(n, {identity}), Policy()).report
    rows = samples.tolist()
    comparable = identity in {"index", "position"} or any(brute.is_known(sample, n) for sample in rows)
    # A transformation at random explains it as well.
    changed = [sample for row, sample in enumerate(rows) if sample != row]
    explained = identity == "content" and len(rows) == n and not any(brute.is_known(sample, n) for sample in changed)
    expected = Verdict.PASS if rows == list(range(n)) else Verdict.FAIL
    if comparable and not (explained and changed):
        assert report.verdict is expected
        # Rows of other keys or contents are foreign, whatever their number was.
        assert report.counts["missing"] == len(brute.missing(rows, n))
        if not rows:
            return
        assert report.counts["duplicate"] == len(brute.duplicate(rows, n))
        assert report.counts["foreign"] == len(brute.foreign(rows, n))
        assert report.counts["reordered"] == len(brute.reordered(rows, n))
        if identity in {"index", "position"}:
            assert report.counts["misaligned"] == len(brute.misaligned(rows))
    else:
        assert report.verdict is not Verdict.PASS


@given(streams(unknown=True), st.sets(st.sampled_from(["targets", "tags", "rows"])))
def test_unidentified_rows_never_pass_as_identity_and_are_no_fault(stream, evidence):
    samples, n = stream
    named = samples.tolist()
    actual = np.where(samples == UNKNOWN, np.arange(len(samples)), samples)
    trace = trace_of(actual, evidence, index=samples, index_source="stated")
    report = judge(trace, labels_for(n, ()), Policy()).report
    if UNKNOWN in named:
        assert report.proof != "identity"
    if actual.tolist() == list(range(n)):
        assert report.verdict is not Verdict.FAIL
    if report.verdict is Verdict.PASS:
        assert np.array_equal(label_of(actual), label_of(range(n)))


OBSERVED = IDENTITIES[:3]


# -- The table --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """Evidence given, what it should lead to."""

    samples: list[int]
    evidence: str
    verdict: Verdict
    proof: str
    options: dict[str, str]


def row(samples, evidence, verdict, proof, **options):
    name = f"{'aligned' if samples == ALIGNED else samples}-{evidence or 'nothing'}-{options}"
    return pytest.param(Row(samples, evidence, Verdict(verdict), proof, options), id=name)


@pytest.mark.parametrize(
    "case",
    [
        row(ALIGNED, "", "UNPROVEN", "count"),
        row(ALIGNED, "", "UNPROVEN", "count", require="transport"),
        row(ALIGNED, "", "PASS", "count", require="count"),
        row(ALIGNED, "tags", "UNPROVEN", "transport"),
        row(ALIGNED, "tags", "PASS", "transport", require="transport"),
        row(ALIGNED, "tags rows", "UNPROVEN", "transport"),
        row(ALIGNED, "targets", "UNPROVEN", "count"),
        row(ALIGNED, "targets tags", "UNPROVEN", "transport"),
        row(ALIGNED, "targets tags", "PASS", "labels", duplicate_inputs="allow"),
        row(ALIGNED, "targets rows", "PASS", "labels"),
        row(ALIGNED, "targets rows", "UNPROVEN", "labels", require="identity"),
        *(row(ALIGNED, identity, "PASS", "identity", require="identity") for identity in OBSERVED),
        row(ALIGNED, "position", "PASS", "declared"),
        row(ALIGNED, "position tags", "PASS", "declared"),
        row(ALIGNED, "position", "UNPROVEN", "declared", require="labels"),
        row(ALIGNED, "position targets rows", "PASS", "labels", require="labels"),
        row(ALIGNED, "position targets", "PASS", "declared"),
        row(SWAPPED, "", "UNPROVEN", "count"),
        row(SWAPPED, "tags", "UNPROVEN", "transport"),
        row(SWAPPED, "targets", "FAIL", "count"),
        row(SWAPPED, "targets rows", "FAIL", "transport"),
        *(row(SWAPPED, identity, "FAIL", "identity", require="count") for identity in OBSERVED),
        row(SWAPPED, "position", "FAIL", "declared", require="count"),
        row(SWAPPED, "position targets rows", "FAIL", "declared"),
        row(ALIGNED[:-1], "", "FAIL", "none"),
        row([*ALIGNED, 0], "tags targets rows", "FAIL", "none"),
        row([], "", "FAIL", "none"),
        row([], "index key content targets", "FAIL", "none", require="count"),
    ],
)
def test_the_table_of_verdicts(case):
    evidence = case.evidence.split()
    report = judge(trace_of(case.samples, evidence), labels_for(N, evidence), Policy(**case.options)).report
    assert report.verdict is case.verdict
    if not (case.verdict is Verdict.FAIL and case.proof == "transport"):
        assert report.proof == case.proof


@pytest.mark.parametrize("proof", Proof)
@pytest.mark.parametrize("require", REQUIRE)
def test_no_evidence_and_too_little_evidence_are_never_a_pass(proof, require):
    policy = Policy(require=require)
    enough = proof >= policy.required_proof and proof is not Proof.NONE
    assert decide((), proof, policy, observed=True) is (Verdict.PASS if enough else Verdict.UNPROVEN)
    assert decide((), proof, policy, observed=False) is Verdict.UNPROVEN


@pytest.mark.parametrize("evidence", [{"content"}, {"index"}, {"targets", "rows"}, {"tags"}, set()])
@pytest.mark.parametrize("require", REQUIRE)
def test_rows_that_were_not_observed_are_never_a_pass(evidence, require):
    trace = trace_of(ALIGNED, evidence, unobserved="a batch could not be read")
    report = judge(trace, labels_for(N, evidence), Policy(require=require)).report
    assert report.verdict is Verdict.UNPROVEN
    assert "not every row was observed: a batch could not be read" in report.not_proven


def test_a_model_that_returns_other_rows_than_it_is_fed_is_never_judged():
    trace = trace_of(ALIGNED, {"index"}, one_to_one=False)
    assert verdict_of(trace, labels_for(N)) is Verdict.UNPROVEN
    assert verdict_of(trace_of([0, 1], {"index"}, one_to_one=False), labels_for(N)) is Verdict.UNPROVEN


def test_an_empty_label_set_is_refused_before_anything_is_judged():
    with pytest.raises(LabelsError, match="proves nothing"):
        labels_for(0)


# -- Labels -----------------------------------------------------------------------------------------------------------


def broken(report):
    return [link.link for link in report.chain if link.status == "broken"]


def test_a_shifted_label_file_is_distinguished_from_a_shifted_stream():
    shifted = LabelTable(values=np.roll(label_of(ALIGNED), 1), fingerprints=content_of(ALIGNED))
    of_labels = judge(trace_of(ALIGNED, {"content", "targets", "tags"}), shifted, Policy()).report
    of_stream = judge(
        trace_of(np.roll(ALIGNED, 1), {"content", "targets", "tags"}), labels_for(N, {"content"}), Policy()
    ).report
    assert of_labels.verdict is of_stream.verdict is Verdict.FAIL
    assert broken(of_labels) == ["labels"]
    assert broken(of_stream) == ["fed"]
    assert of_labels.counts["misaligned"] == 0
    assert of_stream.counts["misaligned"] == N


def test_a_repeated_row_keeps_equal_targets_from_being_a_proof():
    samples = [0, 1, 2, 2, 4, 5, 6]
    same_class = LabelTable(values=np.zeros(N))
    trace = trace_of(samples, {"tags", "rows"}, targets=np.zeros(N))
    assert verdict_of(trace, same_class) is Verdict.UNPROVEN
    assert verdict_of(trace, same_class, duplicate_inputs="allow") is Verdict.PASS


# -- Padding ----------------------------------------------------------------------------------------------------------


@given(streams(), st.sampled_from(IDENTITIES[:3]), st.integers(0, 4), st.data())
def test_trimming_never_hides_a_fault_of_the_rows_that_stay(stream, identity, extra, data):
    samples, n = stream
    padded = [*samples.tolist(), *data.draw(st.lists(st.integers(0, n - 1), min_size=extra, max_size=extra))]
    judged = judge(trace_of(padded, {identity}), labels_for(n, {identity}), Policy(padding="trim"))
    head_aligned = padded[:n] == list(range(n))
    tail_known = all(brute.is_known(sample, n) for sample in padded[n:])
    assert (judged.report.verdict is Verdict.PASS) == (head_aligned and tail_known)
    assert judged.padding in {0, max(0, len(padded) - n)}
    if judged.report.verdict is Verdict.PASS:
        assert judged.report.counts["padding"] == len(padded) - n
        assert judged.report.counts["n_predictions"] == n


# -- Lifecycle and transport ------------------------------------------------------------------------------------------

USED = SourceState("generator", "batches", started=True, calls_before=1, pulled_before=4, pulled=3, delivered=3)


@pytest.mark.parametrize("evidence", [{"content"}, {"index"}, {"targets", "rows"}])
def test_a_reused_generator_whose_rows_are_proven_right_is_only_a_hazard(evidence):
    report = judge(trace_of(ALIGNED, evidence, sources=(USED,)), labels_for(N, evidence), Policy()).report
    assert report.verdict is Verdict.PASS
    assert any("not at its start" in hazard for hazard in report.hazards)


@pytest.mark.parametrize("evidence", [set(), {"tags"}, {"tags", "targets"}])
def test_a_reused_generator_whose_rows_are_not_proven_right_is_a_fault(evidence):
    report = judge(trace_of(ALIGNED, evidence, sources=(USED,)), labels_for(N), Policy()).report
    assert report.verdict is Verdict.FAIL
    assert [finding.reason for finding in report.findings] == [Reason.REUSED]


def test_a_source_that_is_ahead_or_has_ended_is_a_hazard():
    ahead = SourceState("generator", "batches", pulled=5, delivered=3)
    spent = SourceState("generator", "batches", pulled=3, delivered=3, exhausted=True)
    array = SourceState("pydataset", "Data", pulled=5, delivered=3)
    hazards = [
        judge(trace_of(ALIGNED, {"index"}, sources=(s,)), labels_for(N), Policy()).report.hazards
        for s in (ahead, spent, array)
    ]
    assert "2 more batches were taken" in hazards[0][0]
    assert "has ended" in hazards[1][0]
    assert hazards[2] == ()


def test_rows_delivered_out_of_order_are_a_fault_only_where_nothing_stronger_says_they_are_right():
    tags = tags_of(ALIGNED)[[3, 4, 5, 0, 1, 2, 6]]
    alone = judge(trace_of(ALIGNED, (), tags=tags), labels_for(N), Policy()).report
    assert alone.verdict is Verdict.FAIL
    assert broken(alone) == ["fed"]
    proven = judge(trace_of(ALIGNED, {"content"}, tags=tags), labels_for(N), Policy()).report
    assert proven.verdict is Verdict.PASS


@pytest.mark.parametrize(("evidence", "altered"), [(set(), True), ({"index"}, True), ({"content"}, False)])
def test_rows_that_changed_on_their_way_are_a_fault_unless_their_content_is_right(evidence, altered):
    tags = tags_of(ALIGNED)
    tags[4] = ALTERED
    report = judge(trace_of(ALIGNED, evidence, tags=tags), labels_for(N), Policy()).report
    assert [finding.reason for finding in report.findings] == ([Reason.ALTERED] if altered else [])


@pytest.mark.parametrize("samples", [[0, 0], [0, 0, 2, 3, 4, 5, 6]])
def test_after_a_stop_samples_without_a_row_are_not_missing(samples):
    for stopped, reasons in (("1 row repeats a sample", set()), ("", {Reason.MISSING})):
        report = judge(trace_of(samples, {"index"}, stopped=stopped), labels_for(N), Policy()).report
        found = {finding.reason for finding in report.findings} - {Reason.COUNT}
        assert found == {Reason.DUPLICATE} | reasons


@pytest.mark.parametrize(
    ("samples", "evidence", "ordered", "wrong"),
    [
        pytest.param([0, 1, 3, 4], {"index"}, True, (2, 3), id="skipped"),
        pytest.param([0, 1, 3, 4], {"index"}, False, (), id="without-order"),
        pytest.param([0, 1, 2], {"index"}, True, (), id="in-order"),
        pytest.param([0, 1, 2], set(), True, (), id="not-identified"),
    ],
)
def test_after_a_stop_rows_behind_skipped_samples_are_out_of_position(samples, evidence, ordered, wrong):
    trace = trace_of(samples, evidence, stopped="rows out of position", ordered=ordered)
    report = judge(trace, labels_for(N), Policy()).report
    assert [(each.reason, each.rows) for each in report.findings] == ([(Reason.REORDERED, wrong)] if wrong else [])


# -- Identities that disagree -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("liar", ["index", "key"])
def test_an_identity_that_belongs_to_another_row_is_a_finding(liar):
    lie: dict[str, Any] = {"index": np.asarray(SWAPPED)}
    if liar == "key":
        lie = {"keys": np.asarray([f"id{sample}" for sample in SWAPPED])}
    report = judge(trace_of(ALIGNED, {"content", liar}, **lie), labels_for(N), Policy()).report
    assert report.verdict is Verdict.FAIL
    assert report.findings[-1].reason == Reason.IDENTITIES
    assert report.findings[-1].count == 2
    assert f"(first: row 4, {liar} 5, content 4)" in report.findings[-1].message


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param({"index": np.asarray(SWAPPED), "index_source": "position"}, id="a-position-states-nothing"),
        pytest.param({"index": np.asarray([0, 1, 2, 3, UNKNOWN, 5, 6])}, id="a-row-that-the-index-does-not-identify"),
        pytest.param({"index": np.asarray([0, 1, 2, 3, 99, 5, 6])}, id="an-index-outside-the-labels"),
        pytest.param({"keys": np.asarray([f"other{i}" for i in range(N)])}, id="keys-of-something-else"),
    ],
)
def test_what_names_no_other_sample_does_not_contradict_the_content(parts):
    assert verdict_of(trace_of(ALIGNED, {"content", "index"}, **parts), labels_for(N)) is Verdict.PASS


def test_equal_samples_do_not_make_identities_disagree():
    content = content_of([0, 1, 2, 3, 4, 4, 6])
    labels = LabelTable(values=label_of(ALIGNED), fingerprints=content)
    trace = Trace(N, tags_of(ALIGNED), index=np.asarray(SWAPPED), fingerprints=content)
    # The index states 5 and 4 at two rows of equal content, which are matched as 4 and 5.
    report = judge(trace, labels, Policy()).report
    assert report.verdict is Verdict.PASS
    assert report.counts["equal_samples"] == 1


# -- What the report says ---------------------------------------------------------------------------------------------


def test_a_report_without_evidence_says_why():
    report = unproven(None, Policy(), "nothing was called")
    assert (report.verdict, report.proof, report.not_proven) == (Verdict.UNPROVEN, "none", ("nothing was called",))
    assert (set(report.counts.values()), report.violations) == ({None}, None)
    known = unproven(labels_for(N), Policy(), "x", n_predictions=5)
    assert (known.counts["n_labels"], known.counts["n_predictions"]) == (N, 5)


def test_causes_are_those_of_a_fault_and_advice_is_for_what_is_not_proven():
    passed = judge(trace_of(ALIGNED, {"index"}), labels_for(N), Policy()).report
    assert (passed.diagnosis, passed.advice) == ((), "")
    failed = judge(trace_of(SWAPPED, {"index"}), labels_for(N), Policy()).report
    assert failed.diagnosis
    not_proven = judge(trace_of(ALIGNED, ()), labels_for(N, ()), Policy()).report
    assert not_proven.diagnosis == ()
    assert "reference=" in not_proven.advice


@pytest.mark.parametrize(("samples", "evidence"), [(ALIGNED, {"index"}), (SWAPPED, {"index"}), (SWAPPED, {"tags"})])
def test_a_judgement_has_the_sample_of_each_row_where_it_is_known(samples, evidence):
    found = judge(trace_of(samples, evidence), labels_for(N), Policy()).samples_array
    assert (None if found is None else found.tolist()) == (samples if "index" in evidence else None)
