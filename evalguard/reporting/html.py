"""The report as one self-contained page: no scripts, nothing loaded, all text escaped by the template engine."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from evalguard.core.findings import VALUES, Cause, Status
from evalguard.core.plural import plural
from evalguard.core.policy import Verdict
from evalguard.core.report import Report
from evalguard.core.report_counts import grouped
from evalguard.reporting import svg, words
from evalguard.reporting.escape import visible
from evalguard.reporting.plot import Picture, picture

if TYPE_CHECKING:
    from jinja2 import Template

PAGE = "page.html.j2"
# Characters of prose. The filter `short` cuts keys and names earlier.
MAX_PROSE = 2000
MAX_FACTS = 60
FRAME_HEIGHT = 720
_STEP = re.compile(r"\s*(before|after):\s*(.*)")
_CODE = re.compile(r"`([^`]+)`")


def to_html(report: Report) -> str:
    """The page, ending in a newline."""
    return _template().render(_context(words.plain(report)))


def to_frame(report: Report, height: int = FRAME_HEIGHT) -> str:
    """The page in a sandboxed frame for a notebook, so that its style does not affect the notebook.

    Args:
        report: What to show.
        height: Height of the frame in pixels.
    """
    page = escape(to_html(report))
    title = escape(visible(f"evalguard: {report.name}"))
    style = f"width:100%;height:{height}px;border:1px solid #8884;border-radius:6px"
    return f'<iframe sandbox="" title="{title}" style="{style}" srcdoc="{page}"></iframe>'


@functools.cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        # Every value that the template shows is escaped here, so it cannot be forgotten.
        finalize=_inert,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(short=visible, code=_with_code, number=words.metric_value)
    return environment.get_template(PAGE)


def _inert(value: object) -> object:
    return value if isinstance(value, Markup) else visible(value, MAX_PROSE)


def _with_code(text: object, limit: int = MAX_PROSE) -> Markup:
    """Escaped text, with parts between backticks as code."""
    shown = str(escape(visible(text, limit)))
    return Markup(_CODE.sub(r"<code>\1</code>", shown))  # noqa: S704 - escaped the line before


def _context(report: Report) -> dict[str, Any]:
    drawn, wrong = picture(report.plot), report.verdict is Verdict.FAIL or bool(report.findings)
    verdict, _, sentence = report.headline.partition(": ")
    return {
        "report": report,
        "verdict": verdict,
        "sentence": sentence[:1].upper() + sentence[1:],
        "tone": report.verdict.value.lower(),
        "judged": words.moment(report.checked_at_ms),
        "lead": words.lead(report),
        "about": list(_about(report)),
        "counts": list(_counts(report)),
        "plot": svg.alignment(drawn) if drawn else None,
        "legend": list(_legend(drawn)) if drawn else [],
        "wrong": wrong,
        "broken": any(link.status is Status.BROKEN for link in report.chain),
        "causes": [(cause, words.certainty(cause), list(remedy(cause))) for cause in report.diagnosis],
        "impact": list(_impact(report)),
        "explained": words.explained(report),
        "histogram": svg.displacement(svg.histogram_of(report.order)),
        "metrics": list(_order(report.order)),
        "more": max(0, words.n_wrong(report) - len(report.wrong_rows)) if report.wrong_rows else 0,
        "proof": (words.KNOWN if wrong else words.PROOFS)[report.proof],
        "tables": list(_tables(report)),
    }


def _about(report: Report) -> Iterator[tuple[str, str]]:
    """What was evaluated: names and values, some of which may be empty."""
    digest = f", digest {report.labels['digest']}" if report.labels.get("digest") else ""
    yield "Model", words.model(report)
    yield "Guarded call", " over ".join(filter(None, (report.method, words.source(report))))
    yield "Called from", words.caller(report)
    yield "Labels", f"{words.labels(report)}{digest}"
    yield "Proof", str(report.proof)


def _legend(drawn: Picture) -> Iterator[tuple[str, str]]:
    """Colour and text of each kind of mark, with the number of rows: a few among millions are easily missed."""
    if drawn.columns:
        yield "field", "rows, darker for more rows"
        return
    for colour, (name, segments) in zip(("pass", "fail"), drawn.by_side, strict=True):
        if number := sum(length for *_, length in segments):
            yield colour, f"{name}: {plural(number, 'row')}"


def _counts(report: Report) -> Iterator[tuple[str, str, str]]:
    """Name, number and tone of each count."""
    labels, predictions = report.counts["n_labels"], report.counts["n_predictions"]
    yield "labels", grouped(labels), "plain"
    yield "predictions", grouped(predictions), "wrong" if report.findings and predictions != labels else "plain"
    for name in (*words.WRONG, *words.NEUTRAL):
        if report.counts[name] or name in words.WRONG:
            tone = "plain" if name in words.NEUTRAL else "wrong" if report.counts[name] else "none"
            yield words.count_name(name), words.count(report, name), tone


def _impact(report: Report) -> Iterator[tuple[str, list[tuple[str, str]], list[str]]]:
    """Each metric with its values and its notes."""
    known = [words.metric_name(name) for name in VALUES]
    for metric, pairs in words.impact(report):
        values = [(name, value) for name, value in pairs if name in known]
        yield metric, values, [f"{name}: {value}" if name else value for name, value in pairs if name not in known]


def remedy(cause: Cause) -> Iterator[tuple[str, str]]:
    """Lines of a remedy with their role: ``before``, ``after`` or empty."""
    for line in cause.remedy.splitlines():
        step = _STEP.fullmatch(line)
        yield (step[1], step[2]) if step else ("", line)


# The order metrics on the page: path in `report.order`, name, meaning.
METRICS = (
    ("displacement.moved", "moved", "rows out of position among the samples that arrived"),
    ("displacement.max", "latest", "largest displacement of a late row, in positions"),
    ("displacement.min", "earliest", "largest displacement of an early row, in positions (negative)"),
    ("extent.max", "reordering extent", "most rows since a later sample arrived (RFC 4737)"),
    ("n_reordering.max", "n-reordering", "most later samples directly before a row (RFC 4737)"),
    ("runs.max", "longest run", "most rows in order between two reordered ones"),
    (
        "gaps.divisor",
        "gap divisor",
        "common divisor of the gaps between steps back: whole batches are swapped if it is the batch size",
    ),
    ("buffer.max", "buffer", "buffer size, in rows, that restores the order (RFC 5236)"),
    ("offset.most_common", "most common offset", "sample minus row; the same offset at all rows is a shift"),
)


def _order(order: Mapping[str, Any] | None) -> Iterator[tuple[str, Any, str]]:
    for path, name, meaning in METRICS:
        value: Any = order
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        # There is a gap only between two steps back; without one, there is no divisor.
        if value is not None and (value or path != "gaps.divisor"):
            yield name, words.metric_value(value), meaning


def _tables(report: Report) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Tables of the options, of model, source and labels, of versions and cost."""
    # Without a source, as in `check`, the zeros of its counts say nothing.
    facts = {
        name: value for name, value in report.source.items() if name != "facts" and (value or words.source(report))
    }
    source_facts = report.source.get("facts")
    facts |= source_facts if isinstance(source_facts, Mapping) else {}
    labels = {f"labels, {part}": value for part, value in report.labels.items()}
    yield "Options", _pairs(report.options)
    model = {f"model, {part}": value for part, value in report.model.items()}
    yield "Model, source and labels", _pairs({**model, **labels, **facts, **report.caller, "calls": len(report.calls)})
    yield "Versions and cost", _pairs({**report.versions, **{f"cost, {k}": v for k, v in report.cost.items()}})


def _pairs(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    nothing: tuple[Any, ...] = (None, "unknown", "", [], (), {})
    shown = [(name, value) for name, value in values.items() if value not in nothing]
    return [(str(name).replace("_", " "), words.metric_value(value)) for name, value in shown[:MAX_FACTS]]
