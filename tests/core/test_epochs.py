"""The validations of one ``fit``, compared with the first one."""

import numpy as np
import pytest

from evalguard.core.epochs import Validation, judge_validations
from evalguard.core.findings import Reason
from evalguard.core.policy import Policy, Proof, Verdict
from evalguard.core.trace import FIT, SourceState
from tests.core.traces import ALIGNED, SWAPPED, content_of, label_of, trace_of

# Not in position: a transformation at random does not explain it.
OTHERS = [1, 0, 2, 3, 4, 90, 91]


def validations(*epochs, source=None, **parts):
    """One validation per list of samples; content and targets are those of the samples."""
    sources = () if source is None else (source,)
    return [
        Validation(number, trace_of(samples, {"content", "targets"}, sources=sources, **parts))
        for number, samples in enumerate(epochs, start=1)
    ]


@pytest.mark.parametrize("later", [ALIGNED, SWAPPED, ALIGNED[::-1]])
def test_the_same_samples_in_any_order_pass(later):
    report = judge_validations(validations(ALIGNED, later, ALIGNED), Policy())
    assert (report.verdict, report.proof, report.method) == (Verdict.PASS, Proof.IDENTITY, FIT)
    assert report.headline == "PASS: 3 validations were scored on the same 7 samples (proof: identity)"
    assert report.not_proven == ()


def test_other_samples_fail_and_are_counted_by_epoch():
    report = judge_validations(validations(ALIGNED, OTHERS, ALIGNED, [0, 0, 2, 3, 4, 5, 6]), Policy())
    assert report.verdict is Verdict.FAIL
    (finding,) = report.findings
    assert (finding.reason, finding.count) == (Reason.DRIFT, 3)
    assert finding.message == (
        "epochs 2, 4 (4 validations in all) were validated on other samples than epoch 1. "
        "Wrong or missing rows: 2 of 7 in epoch 2, 1 of 7 in epoch 4"
    )
    assert report.not_proven == ("not comparable with epoch 1: the val_* metrics of epochs 2, 4",)
    assert report.calls == (7, 7, 7, 7)


@pytest.mark.parametrize(
    ("later", "words"),
    [
        pytest.param(ALIGNED[:5], "2 of 5 in epoch 2", id="fewer"),
        pytest.param([*ALIGNED, 0, 1], "2 of 9 in epoch 2", id="more"),
    ],
)
def test_another_number_of_rows_fails(later, words):
    (finding,) = judge_validations(validations(ALIGNED, later), Policy()).findings
    assert finding.message.endswith(f"Wrong or missing rows: {words}")


def test_many_epochs_are_cut_to_the_first():
    (finding,) = judge_validations(validations(ALIGNED, *[OTHERS] * 8), Policy()).findings
    assert finding.message.startswith("epochs 2, 3, 4, 5, 6 and 3 more (9 validations in all)")
    assert finding.count == 16


def test_the_cause_is_that_of_the_source():
    source = SourceState("generator", "batches")
    report = judge_validations(validations(ALIGNED, OTHERS, source=source), Policy())
    assert [(cause.cause, cause.certain) for cause in report.diagnosis] == [("iterator not at its start", True)]


def targets_of(samples):
    """Another target for each sample."""
    return np.asarray(samples) * 10


def augmented():
    """The same targets in the same order, with inputs that match none of the first epoch."""
    first, _ = validations(ALIGNED, ALIGNED)
    return [first, Validation(2, trace_of(ALIGNED, {"targets"}, fingerprints=content_of(np.arange(7) + 5000)))]


def test_augmented_inputs_are_unproven_and_a_weaker_require_passes_them():
    report = judge_validations(augmented(), Policy(require="identity"))
    assert report.verdict is Verdict.UNPROVEN
    assert report.not_proven[0].startswith("epoch 2: almost none of the rows match those of epoch 1")
    assert 'ValidationGuard(require="labels")' in report.advice
    assert report.headline == "UNPROVEN: nothing shows that 2 validations used the same samples"


@pytest.mark.parametrize(("later", "wrong"), [([0, 1, 2, 3, 4, 8, 9], 2), (ALIGNED[:5], 2), ([*ALIGNED, 0, 1, 2], 3)])
def test_of_augmented_inputs_the_rows_with_other_targets_are_counted(later, wrong):
    first = Validation(1, trace_of(ALIGNED, {"content"}, targets=targets_of(ALIGNED)))
    inputs = content_of(np.arange(len(later)) + 5000)
    second = Validation(2, trace_of(later, (), targets=targets_of(later), fingerprints=inputs))
    (finding,) = judge_validations([first, second], Policy(require="labels")).findings
    assert finding.count == wrong


def test_the_details_are_those_of_the_first_epoch_that_differs_or_is_not_proven():
    wrong = judge_validations(validations(ALIGNED, ALIGNED, OTHERS, [0, 0, 2, 3, 4, 5, 6]), Policy())
    assert wrong.counts["foreign"] == 2
    first, second = augmented()
    same = Validation(2, first.trace)
    weak = judge_validations([first, same, Validation(3, second.trace)], Policy(require="identity"))
    assert weak.verdict is Verdict.UNPROVEN
    assert weak.not_proven[0].startswith("epoch 3: almost none")


def test_as_many_epochs_as_are_named_are_not_cut():
    (finding,) = judge_validations(validations(ALIGNED, *[OTHERS] * 5), Policy()).findings
    assert finding.message.startswith("epochs 2, 3, 4, 5, 6 (6 validations in all)")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        pytest.param([], "no validation inside `fit` was observed", id="none"),
        pytest.param(validations(ALIGNED), "only one validation was observed (epoch 1)", id="one"),
        pytest.param(validations(ALIGNED, ALIGNED, unobserved="lost"), "epoch 1: not every row was observed: lost",
                     id="unobserved"),
        pytest.param(validations(ALIGNED, []), "epoch 2: no row of the validation was observed", id="no-row"),
        pytest.param([Validation(1, trace_of(ALIGNED, {"targets"})), *validations(ALIGNED)],
                     "epoch 1: no row of the validation was observed", id="no-fingerprint"),
    ],
)  # fmt: skip
def test_validations_that_cannot_be_compared_are_unproven_with_the_reason(given, reason):
    report = judge_validations(given, Policy(), name="digits")
    assert (report.verdict, report.method, report.name) == (Verdict.UNPROVEN, FIT, "digits")
    assert report.not_proven[0].startswith(reason)
    assert report.calls == tuple(item.trace.n_rows for item in given)


def test_targets_of_several_outputs_are_compared_by_number():
    both = (label_of(ALIGNED), label_of(ALIGNED))
    first, second = (Validation(n, trace_of(ALIGNED, {"content"}, targets=both)) for n in (1, 2))
    assert judge_validations([first, second], Policy()).verdict is Verdict.PASS
    changed = Validation(2, trace_of(ALIGNED, {"content"}, targets=(both[0], both[1] + 1)))
    assert judge_validations([first, changed], Policy()).verdict is Verdict.FAIL
