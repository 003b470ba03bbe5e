"""The fields of a report beside its verdict."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalguard.core import report_fields
from evalguard.core.evidence import gather
from evalguard.core.findings import Reason
from evalguard.core.judge import judge
from evalguard.core.label_table import LabelTable
from evalguard.core.policy import Policy
from evalguard.core.report_counts import COUNT_NAMES
from evalguard.core.trace import UNKNOWN, SourceState
from tests.core import brute
from tests.core.streams import streams
from tests.core.traces import ALIGNED, EVIDENCE, IDENTITIES, SWAPPED, N, content_of, label_of, labels_for, trace_of


def test_the_first_wrong_rows_are_named_with_their_keys():
    report = judge(trace_of([0, 2, 1, 9], {"key"}), labels_for(3), Policy()).report
    assert list(report.wrong_rows) == [
        {"row": 1, "sample": 2, "label": 1, "sample_key": "id2", "label_key": "id1"},
        {"row": 2, "sample": 1, "label": 2, "sample_key": "id1", "label_key": "id2"},
        {"row": 3, "sample": None, "label": None, "sample_key": "id9"},
    ]


def test_the_position_in_an_array_contradicts_no_other_identity():
    trace = trace_of(np.roll(ALIGNED, 1), {"content"}, index=np.arange(N), index_source="position")
    report = judge(trace, labels_for(N), Policy()).report
    assert {finding.reason for finding in report.findings} == {Reason.REORDERED}
    assert [identity["identity"] for identity in report.identities] == ["content", "position"]
    assert [identity["used"] for identity in report.identities] == [True, False]


def test_order_metrics_are_for_a_stream_out_of_order_and_the_plot_for_any_known_one():
    wrong = judge(trace_of(SWAPPED, {"index"}), labels_for(N), Policy()).report
    right = judge(trace_of(ALIGNED, {"index"}), labels_for(N), Policy()).report
    unknown = judge(trace_of(ALIGNED, {"tags"}), labels_for(N), Policy()).report
    unnamed = judge(trace_of([0, 1, 2, -1, 4, 5, 6], {"index"}), labels_for(N), Policy()).report
    assert wrong.order is not None
    assert wrong.order["reordered"] == wrong.counts["reordered"] == 1
    assert wrong.plot is not None
    assert wrong.plot["segments"] == [[0, 0, 4], [4, 5, 1], [5, 4, 1], [6, 6, 1]]
    assert right.order is None
    assert right.plot is not None
    assert right.plot["segments"] == [[0, 0, N]]
    assert (unknown.order, unknown.plot) == (None, None)
    assert unnamed.plot is not None
    assert unnamed.plot["segments"] == [[0, 0, 3], [3, -1, 1], [4, 4, 3]]


def evidence_of(samples, evidence, **parts):
    return gather(trace_of(samples, evidence, **parts), labels_for(N, evidence), Policy())


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        pytest.param(ALIGNED, {}, id="aligned"),
        pytest.param(SWAPPED, {"misaligned": 2, "reordered": 1}, id="swapped"),
        pytest.param([0, 1, 2, 3, 4, 5, 5], {"misaligned": 1, "missing": 1, "duplicate": 1}, id="repeated"),
        pytest.param([0, 1, 2, 3, 4, 5, 99], {"misaligned": 1, "missing": 1, "foreign": 1}, id="foreign"),
        pytest.param([0, 1, 2], {"n_predictions": 3, "missing": 4}, id="short"),
    ],
)
def test_every_count_is_present_and_exact(samples, expected):
    zeros = {**dict.fromkeys(COUNT_NAMES, 0), "n_labels": N, "n_predictions": N}
    # Without targets nothing is known of them, and equal samples are counted by their content.
    unknown = {"label_disagreements": None, "equal_samples": None}
    assert report_fields.counts(evidence_of(samples, {"index"})) == {**zeros, **unknown, **expected}


ROWS = ("missing", "duplicate", "foreign", "reordered", "misaligned")


@pytest.mark.parametrize(
    ("evidence", "known"),
    [
        pytest.param(evidence_of([0, 1, 2], {"tags"}), {"missing": 4}, id="too few rows: some labels have none"),
        pytest.param(evidence_of(ALIGNED, {"tags"}), {}, id="no identity"),
        pytest.param(evidence_of(ALIGNED, {"targets", "rows"}), {"label_disagreements": 0}, id="proof labels"),
        pytest.param(
            evidence_of(ALIGNED, (), targets=label_of(SWAPPED)), {"label_disagreements": 2}, id="other targets"
        ),
        pytest.param(
            evidence_of(ALIGNED, {"position"}, targets=label_of(SWAPPED)),
            {"label_disagreements": 2},
            id="a declared place that targets contradict",
        ),
        pytest.param(
            evidence_of([0, 1, -1, 4, 3, 5, 6], {"index"}),
            {"misaligned": 2, "reordered": 1},
            id="unidentified rows: what is found is a lower bound",
        ),
        pytest.param(evidence_of([0, 1, -1, 3, 4, 5, 6], {"index"}), {}, id="unidentified rows, others in position"),
        pytest.param(
            evidence_of(ALIGNED, {"index"}, not_confirmed="sorted by the caller"),
            {"missing": 0, "duplicate": 0, "foreign": 0},
            id="scored nobody knows where",
        ),
        pytest.param(evidence_of(ALIGNED, {"index"}, not_returned="overridden"), {}, id="returned nobody knows what"),
        pytest.param(evidence_of(ALIGNED, {"index"}, unobserved="a tf.function"), {}, id="not observed"),
        pytest.param(
            evidence_of(SWAPPED, {"index"}, ordered=False), {"missing": 0, "duplicate": 0, "foreign": 0}, id="no order"
        ),
        pytest.param(
            evidence_of([0, 1, 2, -1, 4, 5, 6], {"index", "targets"}, ordered=False),
            {},
            id="targets of unidentified rows are compared with no label",
        ),
        pytest.param(
            evidence_of([0, 1, 2, -1, 4, 5, 6], {"index"}, targets=label_of(ALIGNED), scored=np.arange(N)),
            {},
            id="of rows scored in any order, too",
        ),
        pytest.param(
            evidence_of([0, 1, 2, -1, 4, 5, 6], {"index"}, targets=label_of(ALIGNED)),
            {"label_disagreements": 0},
            id="in order each target is compared with the label at its row",
        ),
        pytest.param(
            evidence_of(ALIGNED, {"index", "targets"}, ordered=False),
            {"missing": 0, "duplicate": 0, "foreign": 0, "label_disagreements": 0},
            id="no order, all identified",
        ),
        pytest.param(
            evidence_of(ALIGNED, {"targets"}, ordered=False), {"label_disagreements": 0}, id="no order, no identity"
        ),
        pytest.param(
            evidence_of([1, 0], {"index"}, stopped="a fault"),
            {"misaligned": 2, "reordered": 1, "duplicate": 0, "foreign": 0},
            id="stopped: missing rows may come",
        ),
        pytest.param(evidence_of([1, 0], {"tags"}, stopped="a fault"), {}, id="stopped, no identity"),
    ],
)
def test_what_is_not_known_is_no_zero(evidence, known):
    found = report_fields.counts(evidence)
    assert {name: found[name] for name in (*ROWS, "label_disagreements") if found[name] is not None} == known


@pytest.mark.parametrize("evidence", [{"index", "targets"}, {"tags"}])
def test_nothing_is_counted_of_rows_that_pair_with_no_label(evidence):
    found = evidence_of([0, 1, 2], evidence, one_to_one=False)
    counts = report_fields.counts(found)
    assert {name for name, count in counts.items() if count is not None} == {"n_labels", "n_predictions"}
    assert report_fields.checks_made(found) == ()


# By key or content every row is named or foreign.
@given(streams(unknown=True), st.sets(st.sampled_from(EVIDENCE[2:])), st.data())
def test_a_zero_is_true_whatever_samples_the_unidentified_rows_are(stream, evidence, data):
    samples, n = stream
    found = report_fields.counts(gather(trace_of(samples, evidence), labels_for(n, evidence), Policy()))
    rows = [data.draw(st.integers(0, n - 1)) if sample == UNKNOWN else sample for sample in samples.tolist()]
    for name in ("missing", "duplicate", "foreign", "reordered"):
        assert found[name] != 0 or not getattr(brute, name)(rows, n)
    assert found["misaligned"] != 0 or not brute.misaligned(rows)
    if not evidence & {*IDENTITIES}:
        assert {found[name] for name in ROWS[1:]} == {None}


def test_equal_samples_are_counted_where_rows_are_recognised_by_content():
    content = content_of([0, 1, 2, 3, 4, 4, 6])
    labels = LabelTable(values=label_of(ALIGNED), fingerprints=content)
    for parts, equal in (({"fingerprints": content}, 1), ({"index": np.arange(N)}, None)):
        evidence = gather(trace_of(ALIGNED, (), **parts), labels, Policy())
        assert report_fields.counts(evidence)["equal_samples"] == equal


def test_wrong_rows_without_identity_are_those_with_another_target():
    rows = report_fields.wrong_rows(evidence_of(ALIGNED, (), targets=label_of(SWAPPED)))
    assert rows == ({"row": 4, "sample": None, "label": 4}, {"row": 5, "sample": None, "label": 5})


def test_wrong_rows_of_a_method_that_returns_none_are_those_with_another_target_than_their_sample():
    targets = label_of(SWAPPED)
    targets[0] += 1
    rows = report_fields.wrong_rows(evidence_of(SWAPPED, {"index"}, targets=targets, ordered=False))
    assert rows == ({"row": 0, "sample": 0, "label": 0},)


def test_sample_0_is_named_and_the_number_of_labels_is_no_sample():
    rows = report_fields.wrong_rows(evidence_of([1, 0, 2, 3, 4, 5, N], {"index"}))
    assert [(row["row"], row["sample"], row["label"]) for row in rows] == [(0, 1, 0), (1, 0, 1), (6, None, 6)]


def test_wrong_rows_are_capped():
    samples = np.arange(100)[::-1]
    evidence = gather(trace_of(samples, {"index"}), labels_for(100, ()), Policy())
    assert len(report_fields.wrong_rows(evidence)) == report_fields.MAX_WRONG_ROWS


@pytest.mark.parametrize(
    ("index", "says"),
    [
        pytest.param(ALIGNED, "aligned", id="aligned"),
        pytest.param(SWAPPED, "2 rows misaligned", id="swapped"),
        pytest.param([0, 1, 2, -1, 4, 5, 6], "1 row unidentified", id="unidentified"),
    ],
)
def test_an_identity_says_what_it_shows(index, says):
    (found,) = report_fields.identities(evidence_of(ALIGNED, (), index=np.asarray(index), index_source="stated"))
    assert found == {"identity": "index", "says": says, "used": True}


def test_each_identity_says_what_it_shows_itself():
    found = report_fields.identities(evidence_of(ALIGNED, {"content", "index"}, index=np.asarray(SWAPPED)))
    assert [(item["identity"], item["says"]) for item in found] == [
        ("content", "aligned"),
        ("index", "2 rows misaligned"),
    ]


def test_steps_between_batches_are_counted_apart():
    order = report_fields.order(evidence_of(SWAPPED, {"index"}, batch_sizes=np.asarray([4, 3])))
    assert order is not None
    assert order["delta"]["across"] == {"next": 0, "skip": 1, "back": 0}


def test_an_identity_that_matches_almost_nothing_says_so_and_is_not_used():
    evidence = gather(trace_of(np.arange(N) + 900, {"content"}), labels_for(N), Policy())
    (found,) = report_fields.identities(evidence)
    assert found == {"identity": "content", "says": "nothing: almost none of the rows match", "used": False}


def test_the_source_is_what_the_last_call_knows_and_the_batches_of_all_calls():
    states = tuple(SourceState("generator", "batches", pulled=5, delivered=3, calls_before=n) for n in (0, 1))
    trace = trace_of(ALIGNED, {"tags"}, sources=states)
    assert report_fields.source(trace) == {
        "kind": "generator", "type": "batches", "pulled": 5, "delivered": 6, "started": False, "handed_before": 1,
        "facts": {},
    }  # fmt: skip
