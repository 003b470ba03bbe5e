"""What a report says was not proven, and the line it gives to paste."""

import numpy as np
import pytest

from evalguard.core.advice import advice_for, not_proven
from evalguard.core.evidence import gather
from evalguard.core.judge import judge
from evalguard.core.label_table import LabelTable
from evalguard.core.policy import Policy, Proof, Verdict
from evalguard.core.trace import ALTERED, UNKNOWN, SourceState, Trace
from tests.core.traces import ALIGNED, N, content_of, label_of, labels_for, trace_of


def test_a_part_of_the_labels_gets_the_option_for_sessions():
    report = judge(trace_of([0, 1, 2], {"index"}), labels_for(N), Policy()).report
    assert "scope='session'" in report.advice


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("generator", "reference="),
        ("pydataset", "sample_indices"),
        ("tf.data", "Labels.collect"),
        ("other", "reference="),
    ],
)
def test_an_unproven_report_says_what_to_paste(kind, words):
    report = judge(trace_of(ALIGNED, {"tags"}, sources=(SourceState(kind),)), labels_for(N, ()), Policy()).report
    assert report.verdict is Verdict.UNPROVEN
    assert words in report.advice


def test_padding_is_a_fault_unless_allowed_and_the_option_is_named():
    trace = trace_of([*ALIGNED, 0, 0], {"content"})
    report = judge(trace, labels_for(N), Policy()).report
    assert report.verdict is Verdict.FAIL
    assert "padding='trim'" in report.advice


def test_a_reference_of_another_kind_proves_nothing_and_accuses_nobody():
    trace = trace_of(ALIGNED, {"tags"}, fingerprints=content_of(np.arange(N) + 10_000))
    report = judge(trace, labels_for(N, {"content"}), Policy()).report
    assert report.verdict is Verdict.UNPROVEN
    assert any(
        note.startswith("content: almost none of the rows match the reference (0 of 7)") for note in report.not_proven
    )


def notes_of(trace, labels, proof=Proof.COUNT, **options):
    policy = Policy(**options)
    return not_proven(gather(trace, labels, policy), proof, policy)


@pytest.mark.parametrize(
    ("stream", "label", "difference"),
    [
        pytest.param("slide_1.png", "img/slide_1.png", " They differ by the prefix 'img/'.", id="prefix-of-the-labels"),
        pytest.param("img/slide_1.png", "slide_1.png", " They differ by the prefix 'img/'.", id="prefix-of-the-stream"),
        pytest.param("slide_1", "slide_1.png", " They differ by the suffix '.png'.", id="suffix"),
        pytest.param("a", "b", "", id="another-difference"),
    ],
)
def test_keys_that_do_not_match_are_shown_with_one_example_of_each_side(stream, label, difference):
    keys = np.asarray([label, "unrelated"])
    notes = notes_of(trace_of([0, 1], (), keys=np.asarray([stream, stream])), LabelTable(keys=keys))
    expected = f"key: no key in the stream matches a label key. Stream: '{stream}'; labels: '{label}'.{difference}"
    assert notes[0] == expected
    assert not any("the model receives" in note for note in notes)


@pytest.mark.parametrize("carried", [True, False])
def test_an_example_is_of_keys_only(carried):
    keys = np.asarray([f"id{i}" for i in range(N)])
    trace = trace_of(ALIGNED, (), keys=keys if carried else None, fingerprints=content_of(np.arange(N) + 10_000))
    notes = notes_of(trace, LabelTable(keys=keys, fingerprints=content_of(range(N))))
    assert notes[0].startswith("content: almost none of the rows match")
    assert not any("the model receives" in note for note in notes)


def test_keys_of_inputs_of_another_kind_say_nothing_of_their_content():
    trace = trace_of([0, 1], (), keys=np.asarray(["a", "b"]), spec=("float32 (4,)",))
    notes = notes_of(trace, LabelTable(keys=np.asarray(["c", "d"]), spec=("uint8 (4,)",)))
    assert not any("the model receives" in note for note in notes)


def test_rows_that_were_not_observed_are_named_with_the_reason():
    notes = notes_of(trace_of(ALIGNED, {"index"}, unobserved="a batch was lost"), labels_for(N))
    assert notes[0] == "not every row was observed: a batch was lost"


def test_inputs_of_another_kind_than_the_reference_are_named():
    trace = trace_of(ALIGNED, (), fingerprints=content_of(np.arange(N) + 10_000), spec=("float32 (4,)",))
    labels = LabelTable(fingerprints=content_of(range(N)), spec=("uint8 (4,)",))
    assert notes_of(trace, labels)[:2] == [
        "content: almost none of the rows match the reference (0 of 7), so it shows nothing about their order",
        "content: the model receives float32 (4,); the fingerprints are of uint8 (4,)",
    ]


def test_rows_that_the_source_did_not_identify_are_counted():
    trace = trace_of(ALIGNED, (), index=np.asarray([0, 1, -1, 3, -1, 5, 6]), index_source="stated")
    assert "index: the source did not identify 2 rows" in notes_of(trace, labels_for(N, ()))


def test_a_stopped_call_says_where_and_why():
    trace = trace_of([1, 0], {"index"}, stopped="1 row is out of order")
    assert notes_of(trace, labels_for(N))[0].startswith("stopped after 2 of 7 rows (fail_fast): 1 row is out of order")


def test_proof_by_labels_leaves_open_which_of_several_samples_a_row_is():
    (note,) = notes_of(trace_of(ALIGNED, {"targets", "rows"}), labels_for(N, ()), Proof.LABELS)
    assert note.startswith("which of several samples with equal labels a row is")


def test_targets_that_cannot_be_compared_are_named():
    notes = notes_of(trace_of(ALIGNED, {"tags"}), labels_for(N, ()), Proof.TRANSPORT)
    assert notes == ["which sample each row is: the stream carries no targets"]


def test_repeated_inputs_are_named_with_the_option_that_allows_them():
    trace = trace_of([0, 1, 2, 2, 4, 5, 6], {"rows"}, targets=label_of(range(N)))
    labels = labels_for(N, ())
    note = "that no sample is repeated: the inputs of 1 row equal those of an earlier one (first: row 3)"
    assert note in notes_of(trace, labels)
    assert note not in notes_of(trace, labels, duplicate_inputs="allow")
    policy = Policy()
    assert 'duplicate_inputs="allow"' in advice_for(gather(trace, labels, policy), policy)


def test_no_option_is_advised_for_rows_that_changed_or_are_identified():
    policy = Policy()
    changed = trace_of(ALIGNED, (), tags=np.asarray([0, 1, 2, ALTERED, 4, 5, 6]))
    assert advice_for(gather(changed, labels_for(N, ()), policy), policy) == ""
    wrong = trace_of(ALIGNED[::-1], {"index"})
    assert advice_for(gather(wrong, labels_for(N), policy), policy) == ""


def test_labels_with_keys_ask_for_the_key_of_the_stream():
    policy = Policy()
    evidence = gather(trace_of(ALIGNED, {"tags"}), labels_for(N, {"key"}), policy)
    assert advice_for(evidence, policy).startswith('evalguard.guard(labels=..., key="id")')


def advised(trace, labels=None, **options):
    policy = Policy(**options)
    return advice_for(gather(trace, labels or labels_for(N, ()), policy), policy)


def test_where_some_rows_are_not_identified_a_reference_is_advised():
    trace = trace_of(ALIGNED, (), index=np.asarray([0, 1, -1, 3, 4, 5, 6]), index_source="stated")
    assert "reference=x_test" in advised(trace)


def test_no_reference_is_advised_where_there_is_one():
    policy = Policy()
    fingerprints = np.array([1, 1, 2, 3, 4, 5, 6], np.uint64)
    labels = LabelTable(label_of(range(N)), fingerprints=fingerprints, ambiguous=True)
    trace = Trace(N, np.full(N, UNKNOWN), fingerprints=fingerprints[::-1])
    line = advice_for(gather(trace, labels, policy), policy)
    assert line.startswith('evalguard.guard(labels=..., key="id")')
    assert "reference=" not in line


def test_tables_have_no_inputs_to_refer_to():
    policy = Policy()
    trace = Trace(N, np.full(N, UNKNOWN), keys=np.array([f"x{row}" for row in range(N)]), method="check")
    labels = LabelTable(label_of(range(N)), np.array([f"y{row}" for row in range(N)]))
    assert advice_for(gather(trace, labels, policy), policy) == ""


def test_inputs_that_are_not_repeated_need_not_be_allowed():
    assert "duplicate_inputs" not in advised(trace_of(ALIGNED, {"targets"}))


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param([1, 0, 2, 3, 4, 5, 6, 0, 0], id="out-of-order-before-the-padding"),
        pytest.param([*ALIGNED, 99], id="a-foreign-row"),
        pytest.param([1, 2, 3, 4, 5, 6, 7], id="as-many-as-labels-and-shifted"),
        pytest.param([0, 2, 3], id="a-part-with-a-gap"),
    ],
)
def test_no_option_is_advised_that_would_not_allow_what_was_found(samples):
    assert advised(trace_of(samples, {"index"})) == ""


@pytest.mark.parametrize("samples", [[0], [0, 1, 2], [3, 4, 5]])
def test_any_part_of_the_labels_in_order_may_be_one_of_several_calls(samples):
    assert "scope='session'" in advised(trace_of(samples, {"index"}))
    assert advised(trace_of(samples, {"index"}, method="check")) == ""
    assert advised(trace_of(samples, {"index"}), scope="session") == ""


def test_rows_that_begin_with_an_unidentified_one_are_not_taken_for_a_part():
    trace = trace_of([0, 1, 2], (), index=np.asarray([-1, 0, 1]), index_source="stated")
    assert "scope" not in advised(trace)
