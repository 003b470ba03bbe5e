"""The causes of made faults, and their remedies: shared by the tests of the diagnosis."""

from dataclasses import replace

from evalguard.core.diagnosis import diagnose
from evalguard.core.diagnosis.catalogue import remedy, texts
from evalguard.core.diagnosis.view import View
from tests.core.signatures import SIGNATURES, Setting, made


def title(name):
    """What a report calls a cause."""
    return texts()[name]["cause"]


def named(case):
    return diagnose(case.trace, case.samples, case.labels)


# Kinds of source, with the class names that a trace holds.
KINDS = {
    "arrays": "ndarray",
    "batch": "ndarray",
    "generator": "batches",
    "pydataset": "Images",
    "tf.data": "_BatchDataset",
    "DataLoader": "DataLoader",
    "_BatchMapDataset": "_BatchMapDataset",
    "DistributedDataset": "DistributedDataset",
    "unknown": "unknown",
}


def of_kind(case, kind, type_name=None, method="predict", facts=None):
    """The same stream of another kind of source, with no more facts than these."""
    state = {"kind": kind, "type_name": type_name or KINDS[kind]}
    facts = dict(case.trace.source.facts) if facts is None else facts
    sources = tuple(replace(source, **state, facts=facts) for source in case.trace.sources)
    method = "predict_on_batch" if kind == "batch" else method
    return replace(case, kind=kind, trace=replace(case.trace, sources=sources, method=method))


def remedies_of(maker, kind, *, declared=False, **more):
    case = maker(Setting(50, 8, kind, declared=declared))
    assert case is not None
    return {cause.cause: cause.remedy for cause in named(of_kind(case, kind, **more))}


def remedy_of(maker, kind, **more):
    expected = SIGNATURES[maker][0]
    (found,) = (remedy for name, remedy in remedies_of(maker, kind, **more).items() if name.startswith(expected))
    return found


def first_cause(samples, kind="generator", batch=8, n=50, facts=None, **parts):
    case = made(Setting(n, batch, kind, declared=False), samples, facts=facts, **parts)
    return named(case)[0]


def view_of(samples, kind="generator", *, n=50, batch=8, known=True, method="predict", type_name=None, **parts):
    """What a recogniser reads of a stream of these samples; ``known=False``: without the samples."""
    case = made(Setting(n, batch, kind, declared=False), samples, **parts)
    sources = tuple(replace(source, type_name=type_name or KINDS[kind]) for source in case.trace.sources)
    trace = replace(case.trace, sources=sources, method=method)
    return View(trace, case.labels, case.samples if known else None)


def fix_of(view, *tables, **values):
    """The two lines of a remedy."""
    before, after = remedy(view, *tables, **values).splitlines()
    return before.removeprefix("before: "), after.removeprefix("after:  ")


# What a step and a command say of themselves.
TERMS = {
    "step": {"data": "{table: rows.csv}"},
    "function": {"data": "{call: 'data:rows'}"},
    "command": {
        "predictions": "p.csv",
        "predictions_key": "id",
        "read_predictions": "pd.read_csv('p.csv')",
        "read_labels": "pd.read_csv('labels.csv')",
        "options": " --key id --labels-key file",
    },
}


def in_terms(view, of, **terms):
    """The same, of labels that a step or a command read."""
    named = {"in": "step" if of == "function" else of, **TERMS[of], **terms}
    origin = replace(view.labels.origin, terms=named, key_column="file")
    return replace(view, labels=replace(view.labels, name="labels.csv", origin=origin))


def kinds_with(words, *tables, **values):
    """The kinds of source whose remedy contains these words."""
    return [kind for kind in KINDS if words in "\n".join(fix_of(view_of(range(50), kind), *tables, **values))]
