"""Public reports of faults around ``predict``, rebuilt: what the guard says of the array that each user scored.

Each function does what its reporter did and returns what was scored. Rows name themselves. Some are sound.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.model_selection import KFold, cross_val_predict

import evalguard
from evalguard import Verdict

SAMPLES, CHUNK = 42, 7
INPUTS = np.linspace(1, 2, SAMPLES, dtype="float32")[:, None]
CLASSES = np.arange(SAMPLES) * 29 % 7 % 3
LENGTHS = np.arange(SAMPLES) * 13 % 17
LONGEST_FIRST = np.argsort(-LENGTHS, kind="stable")
FOLDS = list(KFold(6, shuffle=True, random_state=1).split(INPUTS))
PARTS: dict[str, Any] = {"scope": "parts"}
SESSION: dict[str, Any] = {"scope": "session"}


def echo():
    inputs = keras.Input((1,))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


def predict(model, rows):
    return model.predict(INPUTS[rows], verbose=0)


def chunk(model, number):
    """The first one takes longest."""
    time.sleep(0.15 * (number == 0))
    return predict(model, slice(number * CHUNK, (number + 1) * CHUNK))


def folds_concatenated(_):
    return np.concatenate([predict(echo(), test) for _, test in FOLDS])


def folds_put_back(_):
    scores = np.zeros(SAMPLES)
    for _, test in FOLDS:
        scores[test] = predict(echo(), test)[:, 0]
    return scores


class Wrapper(BaseEstimator):
    """A Keras model as scikit-learn takes it."""

    def fit(self, x, y):
        del x, y
        self.model_ = echo()
        return self

    def predict(self, x):
        return self.model_.predict(x, verbose=0)


def cross_validated(_):
    return cross_val_predict(Wrapper(), INPUTS, CLASSES, cv=KFold(6, shuffle=True, random_state=1))


def as_they_complete(model):
    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(chunk, model, number) for number in range(SAMPLES // CHUNK)]
        return np.concatenate([job.result() for job in as_completed(jobs)])


def mapped(model):
    with ThreadPoolExecutor(3) as pool:
        return np.concatenate(list(pool.map(lambda number: chunk(model, number), range(SAMPLES // CHUNK))))


def gathered(model, numbers=range(SAMPLES // CHUNK)):
    async def all_parts():
        return await asyncio.gather(*(asyncio.to_thread(chunk, model, number) for number in numbers))

    return np.concatenate(asyncio.run(all_parts()))


def gathered_newest_first(model):
    return gathered(model, range(SAMPLES // CHUNK)[::-1])


def sorted_by_length(model):
    parts = np.array_split(LONGEST_FIRST, 6)
    return np.concatenate([model.predict_on_batch(INPUTS[part]) for part in parts])


def put_back_with_the_order(model):
    return predict(model, LONGEST_FIRST)[LONGEST_FIRST]


def put_back(model):
    return predict(model, LONGEST_FIRST)[np.argsort(LONGEST_FIRST)]


def resumed(model):
    done = [chunk(model, number) for number in (0, 1, 2)]
    return np.concatenate([*done, *(chunk(model, number) for number in (2, 3, 4, 5))])


def averaged(model):
    return (predict(model, slice(None)) + predict(model, LONGEST_FIRST)) / 2


def joined_by_id(model):
    rows = pd.DataFrame({"id": LONGEST_FIRST, "score": predict(model, LONGEST_FIRST)[:, 0]})
    return pd.DataFrame({"id": np.arange(SAMPLES)}).merge(rows, on="id")["score"]


def joined_by_an_id_that_repeats(model):
    ids = np.arange(SAMPLES) % (SAMPLES - 3)
    rows = pd.DataFrame({"id": ids, "score": predict(model, slice(None))[:, 0]})
    return pd.DataFrame({"id": ids}).merge(rows, on="id")["score"]


def distinct_inputs(model):
    distinct, inverse = np.unique(INPUTS, axis=0, return_inverse=True)
    return model.predict(distinct, verbose=0)[inverse.ravel()]


def after_a_warm_up(model):
    predict(model, slice(3))
    return predict(model, slice(None))


@dataclass
class Report:
    """A public report.

    Attributes:
        cite: The threads, or why it is sound.
        act: Does what the user did; gets an echo model, returns what is scored.
        verdicts: What the report may say.
        cause: What it names first.
        options: What this user has at hand.
    """

    cite: str
    act: Callable[[Any], Any]
    verdicts: tuple[Verdict, ...] = (Verdict.FAIL,)
    cause: str = ""
    options: dict[str, Any] = field(default_factory=lambda: PARTS)


PASS, NEVER_PASS = (Verdict.PASS,), (Verdict.FAIL, Verdict.UNPROVEN)
REPORTS = (
    Report(
        "civisanalytics/civisml-extensions#22, scikit-learn/scikit-learn#8223",
        folds_concatenated,
        cause="folds joined in fold order, not put back",
    ),
    Report("sound: out-of-fold predictions at their rows", folds_put_back, PASS),
    Report("sound: scikit-learn/scikit-learn#8223, #11081", cross_validated, PASS),
    # Which chunk ends first is not sure: the order in which they began may be the cause that is named.
    Report("mlflow/mlflow#9762, openlandmap/scikit-map#22", as_they_complete, cause="parts joined in "),
    Report("sound: the fix of mlflow/mlflow#9762", mapped, PASS),
    Report("sound: the fix of confident-ai/deepeval#3159", gathered, PASS),
    Report("elastic/elasticsearch#100143", gathered_newest_first, cause="parts joined in "),
    Report("mead-ml/mead-baseline#427, kserve/kserve#5565", sorted_by_length),
    Report("mead-ml/mead-baseline#427", sorted_by_length, options=SESSION),
    Report(
        "scikit-learn/scikit-learn#18390, mead-ml/mead-baseline#677",
        put_back_with_the_order,
        cause="put back with the order instead of its inverse",
    ),
    Report("sound: put back with the inverse", put_back, PASS),
    Report("felixbur/nkululeko#405, drivendataorg/zamba#115", resumed),
    Report("kenziyuliu/DGNN-PyTorch#5, cmb-chula/MHCSeqNet#4", averaged, NEVER_PASS),
    Report("sound: hiyouga/LlamaFactory#5597", joined_by_id, PASS),
    Report("lorenzkuhn/semantic_uncertainty#8, ncats/ncats-adme#51", joined_by_an_id_that_repeats, NEVER_PASS),
    Report("sound: each input once", distinct_inputs, PASS),
    Report("sound: a first, short call", after_a_warm_up, PASS, options={}),
)


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: getattr(report.act, "__name__", ""))
def test_what_was_scored_gets_the_right_verdict(report):
    model = echo()
    threads = {as_they_complete, mapped, gathered, gathered_newest_first}
    options = {**report.options, "model": model} if report.act in threads else report.options
    quiet = {"on_failure": "record", "on_unproven": "record", "mlflow": False}
    with evalguard.guard(labels=CLASSES, reference=INPUTS, **quiet, **options) as g:
        g.confirm(report.act(model), CLASSES)
    (judged,) = g.reports
    assert judged.verdict in report.verdicts, (report.cite, judged.headline)
    if report.verdicts == PASS:
        assert judged.proof == "identity"
    if report.cause:
        assert judged.diagnosis[0].cause.startswith(report.cause)


@pytest.mark.parametrize("option", ["y_true", "sample_weight"])
def test_labels_or_weights_in_another_order_than_those_that_were_checked(option):
    """huggingface/transformers#9724: what is scored beside the rows was put in another order."""
    model, weights = echo(), np.linspace(0, 1, SAMPLES)
    scored = {"y_true": CLASSES, "sample_weight": weights}
    scored[option] = scored[option][::-1]
    with evalguard.guard(
        labels=CLASSES, sample_weight=weights, reference=INPUTS, on_failure="record", mlflow=False
    ) as g:
        g.confirm(predict(model, slice(None)), **scored)
    assert g.report.verdict is Verdict.FAIL
    assert [finding.reason for finding in g.report.findings] == ["scored_with_others"]


def test_tokens_flattened_with_their_padding_are_never_a_pass():
    """huggingface/transformers#9724, chakki-works/seqeval#89: padding stands behind each sentence, not the last."""
    lengths = 2 + np.arange(12) % 4
    tokens = [np.arange(1.0, 1 + length) + 10 * number for number, length in enumerate(lengths)]
    padded = keras.utils.pad_sequences(tokens, padding="post", dtype="float32")
    inputs = keras.Input(padded.shape[1:])
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    labels = np.concatenate(tokens) % 3
    quiet = {"on_failure": "record", "on_unproven": "record", "mlflow": False}
    with evalguard.guard(labels=lengths, reference=padded, **quiet) as g:
        g.confirm(model.predict(padded, verbose=0).ravel()[: len(labels)], labels)
    assert g.report.verdict in NEVER_PASS
