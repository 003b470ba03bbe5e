"""Keys that do not meet, or in another order: the cause, its certainty, and the fix in the user's own names."""

from dataclasses import replace

import numpy as np
import pytest

from evalguard.core.diagnosis import diagnose, keyed, keys_of_no_use
from evalguard.core.diagnosis.view import View
from evalguard.core.judge import judge
from evalguard.core.label_origin import LabelOrigin
from evalguard.core.label_table import LabelTable
from evalguard.core.policy import Policy, Verdict
from evalguard.core.trace import UNKNOWN, SourceState, Trace
from tests.core.diagnosis.causes import title

N = 40
NAMES = np.array([f"scan-{number * 37 % 101:03d}.png" for number in range(N)])
RANDOM = np.random.default_rng(3).permutation(N)


def judged(stream, labels, kind="tf.data", method="predict", **facts):
    """The report of a stream of these keys against labels of those."""
    source = SourceState(kind, "Source", facts=facts)
    keys = None if stream is None else np.asarray(stream)
    trace = Trace(len(stream), np.full(len(stream), UNKNOWN), keys=keys, sources=(source,), method=method)
    table = LabelTable(
        np.arange(len(labels)) % 3, np.asarray(labels), name="labels.csv", origin=LabelOrigin(key_column="file")
    )
    return judge(trace, table, Policy()).report


# -- Another order ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "facts", "certain"),
    [
        pytest.param("arrays", {}, True, id="arrays"),
        pytest.param("tf.data", {"keeps_order": True}, True, id="a-pipeline-that-was-read"),
        pytest.param("generator", {}, False, id="a-generator"),
        pytest.param("pydataset", {}, False, id="a-dataset"),
    ],
)
@pytest.mark.parametrize("labels", [np.sort(NAMES), NAMES[RANDOM]], ids=["sorted", "any-order"])
def test_keyed_data_in_another_order_has_its_own_cause_and_fix(kind, facts, certain, labels):
    report = judged(NAMES, labels, kind, **facts)
    assert report.verdict is Verdict.FAIL
    first = report.diagnosis[0]
    assert (first.cause, first.certain) == (title("keyed_order"), certain)
    assert "g.y_true" in first.remedy
    assert "'labels.csv'" in first.remedy
    assert "'file'" in first.remedy


def test_a_stream_that_is_sorted_by_key_was_not_shuffled():
    first = judged(np.sort(NAMES), np.sort(NAMES)[RANDOM], "generator").diagnosis[0]
    assert (first.cause, first.certain) == (title("keyed_order"), True)
    assert first.evidence.startswith("the rows are sorted by key, the labels are not")


def test_of_two_tables_the_fix_joins_them():
    first = judged(NAMES, np.sort(NAMES), "unknown", "check").diagnosis[0]
    assert first.certain
    assert "labels.set_index('file').loc[keys]" in first.remedy


@pytest.mark.parametrize(
    ("stream", "labels", "facts"),
    [
        pytest.param(NAMES, NAMES[RANDOM], {"shuffle_buffer": N, "reshuffled_each_pass": True}, id="it-shuffles"),
        pytest.param(NAMES, NAMES[RANDOM], {"unordered": True}, id="it-gives-up-order"),
        pytest.param(NAMES, NAMES[RANDOM][:30], {"keeps_order": True}, id="others-are-missing"),
        pytest.param(NAMES, NAMES[[1, 0, *range(2, N)]], {"keeps_order": True}, id="two-rows-swapped"),
        pytest.param(np.sort(NAMES), np.sort(NAMES)[::-1], {"keeps_order": True}, id="sorted-backwards"),
    ],
)
def test_another_cause_is_not_called_that(stream, labels, facts):
    causes = judged(stream, labels, **facts).diagnosis
    assert title("keyed_order") not in [cause.cause for cause in causes]


def of_content(keys, samples, labels=NAMES):
    """Rows with these keys and the content of these samples, from an array."""
    prints = np.arange(N, dtype=np.uint64) + 5
    keys = None if keys is None else np.asarray(keys)
    trace = Trace(
        N, np.full(N, UNKNOWN), keys=keys, fingerprints=prints[samples], sources=(SourceState("arrays", "ndarray"),)
    )
    return judge(trace, LabelTable(np.arange(N) % 3, labels, fingerprints=prints), Policy()).report


@pytest.mark.parametrize("labels", [NAMES, np.sort(NAMES)], ids=["any-order", "sorted"])
def test_keys_that_contradict_the_content_are_no_evidence_for_its_order(labels):
    report = of_content(labels, RANDOM, labels)
    first = report.diagnosis[0]
    assert (first.cause, first.certain) == (title("keys_apart"), False)
    assert f"{np.count_nonzero(np.arange(N) != RANDOM)} rows carry the key" in first.evidence
    assert f"'{labels[0]}' beside the inputs of '{labels[RANDOM[0]]}'" in first.evidence
    assert "x, keys = x[order], keys[order]" in first.remedy
    assert not any(cause.certain for cause in report.diagnosis)


def test_a_sort_order_is_certain_only_where_no_key_contradicts_it():
    names = np.array([f"{number + 1}.png" for number in range(N)])
    as_text = np.argsort(names)
    (first,) = of_content(names[as_text], as_text, names).diagnosis
    assert (first.cause, first.certain) == (title("sorted_otherwise"), True)
    assert [cause.certain for cause in of_content(names, as_text, names).diagnosis] == [False, False]


def test_keys_that_no_row_carries_are_not_certain():
    first = of_content(None, RANDOM, np.sort(NAMES)).diagnosis[0]
    assert (first.cause, first.certain) == (title("keyed_order"), False)
    assert of_content(np.sort(NAMES)[RANDOM], RANDOM, np.sort(NAMES)).diagnosis[0].certain


def test_equal_inputs_may_have_either_key():
    prints = np.arange(N, dtype=np.uint64) // 2
    trace = Trace(N, np.full(N, UNKNOWN), keys=NAMES[np.arange(N) ^ 1], fingerprints=prints)
    found = View(trace, LabelTable(np.arange(N), NAMES, fingerprints=prints), np.arange(N))
    assert not found.with_other_keys.size
    assert keyed.apart(found) is None


# -- Keys that differ -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "way"),
    [
        pytest.param(lambda key: f"data/{key}", "a prefix", id="prefix"),
        pytest.param(lambda key: key.removesuffix(".png"), "a suffix", id="suffix"),
        pytest.param(lambda key: key.upper(), "upper and lower case", id="case"),
        pytest.param(lambda key: key.replace("-0", "-").replace("-0", "-"), "zero padding", id="zeros"),
    ],
)
def test_keys_that_differ_in_one_way_are_named_by_it(change, way):
    theirs = [change(key) for key in NAMES]
    for stream, labels in ((NAMES, theirs), (theirs, NAMES)):
        report = judged(stream, labels)
        assert report.verdict is not Verdict.PASS
        first = report.diagnosis[0]
        assert (first.cause, first.certain) == (f"keys differ by {way}", True)
        assert "table['file'] = " in first.remedy


def test_a_mended_key_column_is_that_of_the_stream():
    import pandas as pd

    theirs = pd.DataFrame({"file": [key.removesuffix(".png") for key in NAMES]})
    remedy = judged(NAMES, theirs["file"]).diagnosis[0].remedy
    read, line, _ = remedy.partition("after:")[2].strip().split("; ")
    assert read == "table = pd.read_csv('labels.csv', dtype={'file': str})"
    assert line == "table['file'] = table['file'] + '.png'"
    assert (theirs["file"] + ".png").tolist() == NAMES.tolist()


@pytest.mark.parametrize(
    ("stream", "labels"),
    [
        pytest.param([f"img/{number}" for number in range(N)], range(N), id="prefix-of-numbers"),
        pytest.param([f"{number:03}" for number in range(N)], range(N), id="zeros-of-numbers"),
        pytest.param(range(1000, N + 1000), range(N), id="offset"),
        pytest.param([f"{number}.0" for number in range(N)], range(N), id="floats"),
        pytest.param([f"a_{number:04}_07" for number in range(N)], [f"a_{n}_7" for n in range(N)], id="mixed"),
    ],
)
def test_a_table_of_numbers_is_mended_as_well(stream, labels):
    import pandas as pd

    keys = np.asarray(stream)
    trace = Trace(N, np.full(N, UNKNOWN), keys=keys, sources=(SourceState("tf.data", "Source"),))
    table = LabelTable(np.arange(N) % 3, np.asarray(labels), origin=LabelOrigin(key_column="file"))
    (found,) = judge(trace, table, Policy()).report.diagnosis[:1]
    code = found.remedy.partition("after:")[2].partition("; evalguard.guard(labels=labels, ")[0].strip()
    given = {"labels": pd.DataFrame({"file": labels})}
    exec(code, {"pd": pd}, given)  # noqa: S102 - the proposed line
    mended = given["labels"]["file"].tolist()
    # Of names with zeros of several lengths, the keys of the stream need the same.
    assert (list(map(str, mended)) == list(map(str, keys))) is ("_" not in str(stream[0]))


@pytest.mark.parametrize("labels", [[f"other-{row}" for row in range(N)], range(N)], ids=["text", "numbers"])
def test_keys_that_differ_in_no_known_way_have_no_such_cause(labels):
    report = judged(NAMES, np.asarray(labels))
    assert report.verdict is Verdict.UNPROVEN
    assert report.diagnosis == ()


def test_keys_that_differ_are_no_cause_where_content_shows_the_samples():
    prints = np.arange(N, dtype=np.uint64)
    keys = np.char.add("img/", NAMES)
    trace = Trace(N, np.full(N, UNKNOWN), keys=NAMES, fingerprints=prints)
    labels = LabelTable(np.arange(N) % 3, keys, fingerprints=prints)
    report = judge(trace, labels, Policy()).report
    assert report.verdict is Verdict.PASS
    assert report.diagnosis == ()


def test_without_keys_there_is_nothing_to_say():
    trace = Trace(3, np.full(3, UNKNOWN))
    assert keys_of_no_use(View(trace, LabelTable(np.arange(3)), None)) is None


# -- Another version --------------------------------------------------------------------------------------------------


def test_keys_that_came_and_went_are_those_of_another_version():
    report = judged(NAMES, [*NAMES[:10], *NAMES[12:], "gone.png"])
    first = report.diagnosis[0]
    assert (first.cause, first.certain) == (title("other_version"), False)
    assert "2 keys of the stream are not in the labels" in first.evidence
    assert NAMES[10] in first.evidence
    assert "1 label has no row ('gone.png')" in first.evidence


def test_by_content_no_version_is_seen():
    found = judged(NAMES, [*NAMES[:10], *NAMES[12:], "gone.png"])
    assert found.diagnosis
    trace = Trace(3, np.full(3, UNKNOWN), fingerprints=np.array([1, 2, 9], np.uint64))
    labels = LabelTable(keys=np.array(["a", "b", "c"]), fingerprints=np.array([1, 2, 3], np.uint64))
    samples = np.array([0, 1, -2])
    assert keyed.other_version(View(trace, labels, samples)) is None
    assert title("other_version") not in [cause.cause for cause in diagnose(trace, samples, replace(labels))]
