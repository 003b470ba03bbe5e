"""Sample weights that `evaluate` scored with, against those of the labels."""

from dataclasses import replace

import numpy as np
import pytest

from evalguard.core.findings import Reason, Status
from evalguard.core.judge import judge
from evalguard.core.label_table import LabelTable
from evalguard.core.policy import Policy, Verdict
from evalguard.core.trace import Trace
from evalguard.core.trace_join import join_traces

N = 6
W = np.arange(N) + 1.0
Y = np.asarray([0, 1, 0, 1, 2, 2])
DIGESTS = np.arange(N, dtype=np.uint64)


def judged(weights, *, rows=range(N), content=True, y=Y, digests=DIGESTS, ours=None, **labels):
    rows = np.asarray(rows)
    fingerprints = (digests if ours is None else ours)[rows] if content else None
    trace = Trace(
        len(rows),
        np.full(len(rows), -1),
        fingerprints=fingerprints,
        targets=y[rows],
        weights=weights,
        method="evaluate",
        ordered=False,
    )
    table = LabelTable(values=Y, weights=W, fingerprints=digests if content else None, **labels)
    return judge(trace, table, Policy(require="labels", duplicate_inputs="allow")).report


@pytest.mark.parametrize("rows", [range(N), range(N)[::-1], [3, 0, 5, 1, 2, 4]])
def test_the_weight_of_each_sample_is_proven_in_any_order(rows):
    report = judged(W[np.asarray(rows)], rows=rows)
    assert report.verdict is Verdict.PASS
    assert report.chain[-1].status is Status.PROVEN
    assert "weight" in report.chain[-1].basis


@pytest.mark.parametrize("rows", [range(N), [3, 0, 5, 1, 2, 4]])
def test_weights_of_other_rows_are_a_fault(rows):
    report = judged(np.roll(W[np.asarray(rows)], 1), rows=rows)
    assert report.verdict is Verdict.FAIL
    assert [(finding.reason, finding.count) for finding in report.findings] == [(Reason.SCORED, N)]
    assert [link.link for link in report.chain if link.status is Status.BROKEN] == ["confirmed"]
    assert report.diagnosis[0].certain
    assert "sample_weight=weights" in report.diagnosis[0].remedy


def test_one_wrong_weight_is_named():
    weights = W.copy()
    weights[4] = 9
    (finding,) = judged(weights).findings
    assert (finding.count, finding.rows) == (1, (4,))
    assert "at 1 row the model scored with another sample weight than that of the label (first: row 4)" in str(finding)


@pytest.mark.parametrize("rows", [range(N), [3, 0, 5, 1, 2, 4]])
def test_weights_times_a_constant_are_no_fault_and_declared(rows):
    link = judged(W[np.asarray(rows)] / W.mean(), rows=rows).chain[-1]
    assert link.status is Status.DECLARED
    assert "times a constant" in link.basis


@pytest.mark.parametrize("weights", [None, np.ones((N, 2))], ids=["none", "another form"])
def test_weights_that_cannot_be_compared_are_declared(weights):
    report = judged(weights)
    assert report.verdict is Verdict.PASS
    assert report.chain[-1].status is Status.DECLARED
    assert "not among what was scored" in report.chain[-1].basis


def test_without_an_identity_weights_may_move_among_equal_targets():
    exchanged = W[[2, 1, 0, 3, 4, 5]]
    link = judged(exchanged, content=False).chain[-1]
    assert link.status is Status.DECLARED
    assert "nothing shows which sample weight" in link.basis
    assert judged(W, content=False).chain[-1].status is Status.PROVEN
    assert judged(W[[1, 0, 2, 3, 4, 5]], content=False).verdict is Verdict.FAIL


def test_samples_with_equal_inputs_and_targets_may_exchange_their_weights():
    digests = np.asarray([0, 1, 0, 3, 4, 5], np.uint64)
    assert judged(W[[2, 1, 0, 3, 4, 5]], digests=digests).verdict is Verdict.PASS
    same_input = np.asarray([0, 0, 2, 3, 4, 5], np.uint64)
    assert judged(W[[1, 0, 2, 3, 4, 5]], digests=same_input).verdict is Verdict.FAIL


def test_weights_of_several_outputs():
    both = {"a": W, "b": W[::-1].copy()}
    labels = LabelTable(values={"a": Y, "b": Y}, weights=both, fingerprints=DIGESTS)
    trace = Trace(N, np.full(N, -1), fingerprints=DIGESTS, targets={"a": Y, "b": Y}, method="evaluate", ordered=False)
    for weights, verdict in ((both, Verdict.PASS), ({"a": W, "b": W}, Verdict.FAIL)):
        assert judge(replace(trace, weights=weights), labels, Policy()).report.verdict is verdict


def test_a_session_compares_the_weights_of_what_was_evaluated():
    labels = LabelTable(values=Y, weights=W, fingerprints=DIGESTS)
    predicted = Trace(3, np.full(3, -1), fingerprints=DIGESTS[:3])
    evaluated = Trace(
        3, np.full(3, -1), fingerprints=DIGESTS[3:][::-1], targets=Y[3:][::-1], method="evaluate", ordered=False
    )
    for weights, verdict in ((W[3:][::-1], Verdict.PASS), (W[3:], Verdict.FAIL)):
        trace = join_traces([predicted, replace(evaluated, weights=weights)])
        report = judge(trace, labels, Policy()).report
        assert report.verdict is verdict, report
