"""Reports to render: of each verdict, and one whose every text is hostile."""

import json
from dataclasses import replace
from typing import Any

import numpy as np

import evalguard
from evalguard.core.findings import Cause, Link, MetricImpact, Status
from evalguard.core.judge import unproven
from evalguard.core.policy import Policy, Verdict
from evalguard.core.report import Report

CHECKED_AT_MS = 1_795_000_000_000
VERSIONS = {"evalguard": "0.1.0", "keras": "3.15.0"}

# What a key, a file name or a class name may hold, by what it attacks.
HOSTILE = {
    "script": "</script><script>document.title='PWNED'</script>",
    "attribute": "\"' onmouseover=\"document.title='PWNED'\" x='",
    "image": "<img src=x onerror=\"document.title='PWNED'\">",
    "frame": "</title></style></textarea><iframe src='javascript:parent.document.title=1'></iframe>",
    "template": "{{ 7*7 }}{% raw %}${7*7}",
    "comment": "--><!-- evalguard:end --><!-- ]]> -->",
    "entity": "&lt;b&gt;&amp;&#0;",
    "ansi": "\x1b[2J\x1b[31m\x1b]0;PWNED\x07PASS\x9b31m",
    "lines": "a\nFAKE: PASS\r\nrow 0\u2028b\u2029c\x0bd\x85e",
    "overrides": "\u202egnp.1\u2066x\u200f\u061c",
    "null": "a\x00b\x1f\x7f\ufffe\uffff",
    "surrogate": "\ud800\udfff",
    "heaped": "a" + "\u0301" * 500,
    "wide": "日本" * 300,
    "long": "x" * 10_000,
    "formula": '=HYPERLINK("http://evil.example",1)',
    "markdown": "[x](javascript:alert(1)) ![](http://evil.example) `**_~~|# https://evil.example www.evil.example",
}


def labels(n: int, *, keys: bool = True) -> evalguard.Labels:
    named = np.array([f"images/{number:04d}.png" for number in range(n)]) if keys else None
    return evalguard.Labels(values=np.arange(n) % 10, keys=named, name="labels.csv")


def failing(samples: object = None, n: int = 50, name: str = "digits") -> Report:
    """A stream that begins eight rows late, unless other samples are given."""
    delivered = np.roll(np.arange(n), 8) if samples is None else np.asarray(samples)
    table = labels(n, keys=bool(((delivered >= 0) & (delivered < n)).all()))
    rows = {"indices": delivered} if table.keys is None else {"keys": table.keys[delivered]}
    return fixed(evalguard.check(**rows, labels=table, name=name))


def fixed(report: Report) -> Report:
    """The same at any time, on any machine."""
    return replace(report, checked_at_ms=CHECKED_AT_MS, versions=VERSIONS, caller={"line": "evaluate.py:12"})


def passing(n: int = 50) -> Report:
    return failing(np.arange(n), n)


def unproven_report() -> Report:
    report = unproven(labels(5), Policy(), "the stream carries no key", name="digits")
    return replace(fixed(report), advice="evalguard.guard(labels=..., reference=x_test)  # inputs in label order")


def repaired() -> Report:
    moved = {"moved": 50, "summary": "50 rows reordered"}
    return replace(failing(), verdict=Verdict.REPAIRED, repair=moved, advice="")


BY_VERDICT = {"PASS": passing, "REPAIRED": repaired, "UNPROVEN": unproven_report, "FAIL": failing}


def full() -> Report:
    """Everything that a report may hold."""
    report = failing()
    return replace(
        report,
        method="predict",
        source={"kind": "pydataset", "type": "Digits", "place": "images", "facts": {"workers": 4, "batch_size": 8}},
        labels={**report.labels, "path": "data/labels.csv", "column": "digit", "key": "file"},
        model={"name": "cnn", "class": "Functional", "parameters": 12345, "uri": "models:/digits/3", "version": "3"},
        chain=(
            Link("labels", Status.PROVEN, "each label has the key of its sample"),
            Link("fed", Status.BROKEN, "50 rows are out of order"),
            Link("returned", Status.NOT_SEEN, "the values were changed"),
        ),
        checks=("count", "foreign", "missing", "duplicate", "reordered", "transport"),
        diagnosis=(
            Cause("`shuffle=True`", True, "Digits has shuffle=True", "before: a\nafter:  b", "keras 3.15"),
            *report.diagnosis,
        ),
        hazards=("the source is ahead: 2 more batches were taken",),
        not_proven=("which of several equal samples a row is",),
        advice="evalguard.guard(labels=..., scope='session')",
        impact={
            "accuracy": MetricImpact(as_scored=0.1, realigned=0.95, difference=-0.85),
            "auc": MetricImpact(note="unchanged"),
        },
        repair={"refused": "not identified: 2 rows"},
        cost={"seconds": 0.012, "share": 0.008},
    )


def of_sampled_rows(verdict: str) -> Report:
    """A record of before 0.2, when some rows only could be recognised by their content: 11 of 50 here."""
    written: dict[str, Any] = {
        **passing().to_dict(),
        "verdict": verdict,
        "proof": "sample",
        "identities": [{"identity": "sample", "says": "11 sampled rows in position", "used": True, "chosen": 11}],
        "options": {"require": "sample", "content": "sample:0.2"},
        "plot": None,
    }
    if verdict == "FAIL":
        message = "at least 2 rows do not match their labels (of 11 sampled rows; the others were not checked)"
        finding = {"reason": "sampled_content", "count": 2, "message": message, "rows": [0, 9], "samples": []}
        written |= {"proof": "transport", "findings": [finding], "counts": {**written["counts"], "misaligned": 2}}
        written["wrong_rows"] = [{"row": row, "sample": None, "label": row} for row in (0, 9)]
    return Report.from_dict(written)


def hostile(text: str) -> Report:
    """A report in which whatever comes from outside is this text."""
    report = full()
    return replace(
        report,
        name=text,
        method=text,
        findings=tuple(replace(finding, message=text) for finding in report.findings),
        wrong_rows=tuple({**row, "sample_key": text, "label_key": f"{text}2"} for row in report.wrong_rows),
        diagnosis=(
            Cause(text, True, text, f"before: {text}\nafter:  {text}", text),
            Cause(text, False, text, text),
        ),
        hazards=(text,),
        not_proven=(text,),
        advice=text,
        identities=({"identity": text, "says": text, "used": True},),
        source={"kind": text, "type": text, "place": text, "facts": {text: text, "list": [text]}},
        labels={"name": text, "digest": text, "n": 50, "path": text, "column": {text: text}, "key": text, text: text},
        model=dict.fromkeys(("name", "class", "path", "uri", "version", "digest", "weights_digest", "function"), text),
        caller=dict.fromkeys(("step", "command", "line"), text),
        options={text: text},
        impact={text: MetricImpact(as_scored=0.1, note=text), f"{text}2": MetricImpact(error=text)},
        repair={"refused": text, "summary": text},
        cost={text: text},
        versions={text: text},
    )


def reloaded(report: Report) -> Report:
    """As it comes back from a file."""
    return Report.from_dict(json.loads(report.to_json()))
