"""The report in Markdown: what a reviewer needs in a merge request, with all text of the user's made inert."""

from __future__ import annotations

from collections.abc import Iterator

from evalguard.core.report import Report
from evalguard.reporting import words
from evalguard.reporting.escape import markdown, visible

MAX_ROWS = 10
MAX_PROSE = 600


def to_markdown(report: Report) -> str:
    """Headline, cause and fix, findings, wrong rows, metrics, and what was judged; ends in a newline."""
    report = words.plain(report)
    parts = [
        f"## {_prose(report.name)}: {_prose(report.headline)}",
        *filter(None, (_prose(words.lead(report)),)),
        *_causes(report),
        *_listed(report),
        *_facts(report),
    ]
    return "\n\n".join(parts) + "\n"


def _prose(text: object) -> str:
    return markdown(text, MAX_PROSE)


def _causes(report: Report) -> Iterator[str]:
    for cause in report.diagnosis[:1]:
        likely = " (likely)" if words.certainty(cause) == "likely" else ""
        yield f"**Cause{likely}: {_prose(cause.cause)}.** {_prose(cause.evidence)}"
        yield _code(cause.remedy)
    if report.advice:
        yield "What would prove it:"
        yield _code(report.advice)


def _code(text: str) -> str:
    """Lines as code: indented, because no text can end such a block."""
    return "\n".join(f"    {visible(line, MAX_PROSE)}" for line in text.splitlines())


def _listed(report: Report) -> Iterator[str]:
    """Sections that are lists; an empty one is left out."""
    rows = [words.wrong_row(row) for row in report.wrong_rows[:MAX_ROWS]]
    more = words.n_wrong(report) - len(rows)
    rows += [f"… and {more:,} more"] if rows and more > 0 else []
    metrics = [
        f"{metric}: {', '.join(' '.join(pair).strip() for pair in pairs)}" for metric, pairs in words.impact(report)
    ]
    metrics += [f"{name}: {meaning}" for name, meaning in words.explained(report).items()]
    for title, items in (
        ("Found", [finding.message for finding in report.findings]),
        ("First wrong rows", rows),
        ("Metrics", metrics),
        ("Not shown", report.not_proven),
        ("Hazards for the next call", report.hazards),
    ):
        if items:
            yield f"### {title}\n\n" + "\n".join(f"- {_prose(item)}" for item in items)


def _facts(report: Report) -> Iterator[str]:
    names = [name for name in words.WRONG if report.counts[name] != 0]
    names += [name for name in words.NEUTRAL if report.counts[name]]
    about = {
        "model": words.model(report),
        "guarded call": " over ".join(filter(None, (report.method, words.source(report)))),
        "called from": words.caller(report),
        "labels": f"{words.count(report, 'n_labels')} ({words.labels(report)})",
    }
    facts = {
        "proof": report.proof,
        **{name: text for name, text in about.items() if text},
        "predictions": words.count(report, "n_predictions"),
        **{words.count_name(name): words.count(report, name) for name in names},
        **{f"chain: {link.link}": f"{link.status}: {link.basis}" for link in report.chain},
    }
    rows = [f"| {_prose(name)} | {_prose(words.metric_value(value))} |" for name, value in facts.items()]
    yield "\n".join(["| | |", "|---|---|", *rows])
