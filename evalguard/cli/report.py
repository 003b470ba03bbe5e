"""``evalguard report``: render a stored report again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click

from evalguard.cli.running import guarded
from evalguard.core.files import write_whole
from evalguard.core.report import Report
from evalguard.errors import ConfigError
from evalguard.reporting import to_text


def _file_option(name: str, what: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    path = click.Path(dir_okay=False, allow_dash=name != "png", path_type=Path)
    return click.option(f"--{name}", name, metavar="FILE", type=path, help=what)


@click.command(epilog="\b\nExample:\n  evalguard report out/report.json --html page.html --junit junit.xml")
@click.argument("path", metavar="REPORT.json", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--text", "form", flag_value="text", default=None, help="For a terminal (the default).")
@click.option("--json", "form", flag_value="json", help="As it was written.")
@_file_option("html", "The self-contained page; - for standard output.")
@_file_option("markdown", "For a merge request or a wiki; - for standard output.")
@_file_option("junit", "JUnit XML; - for standard output.")
@_file_option("svg", "The alignment plot; - for standard output.")
@_file_option("png", "The alignment plot as a picture, by matplotlib.")
@guarded()
def report(path: Path, form: str | None, **files: Path | None) -> None:
    """Render a stored report again: as text, or to the named files."""
    wanted = {name: file for name, file in files.items() if file is not None}
    printed = [f"--{name} -" for name, file in wanted.items() if str(file) == "-"]
    printed += [f"--{form}"] if form else []
    if len(printed) > 1:
        msg = f"expected one form on standard output, found {' and '.join(printed)}; give a file name for the others"
        raise ConfigError(msg)
    found = _read(path)
    # Everything is rendered before the first file is written, so that an error leaves no files behind.
    contents = {name: _rendered(found, name) for name in wanted}
    for name, file in wanted.items():
        _write(file, contents[name])
    if form or not wanted:
        click.echo(found.to_json() if form == "json" else to_text(found), nl=False)


def _read(path: Path) -> Report:
    try:
        return Report.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        msg = f"{path}: expected a report.json that evalguard wrote, found: {error}"
        raise ConfigError(msg) from error


def _rendered(found: Report, form: str) -> bytes:
    from evalguard.reporting.html import to_html
    from evalguard.reporting.junit import to_junit
    from evalguard.reporting.png import to_png
    from evalguard.reporting.svg import to_svg

    if form == "png":
        content = to_png(found)
    else:
        renderers = {"html": to_html, "markdown": Report.to_markdown, "junit": to_junit, "svg": to_svg}
        content = renderers[form](found).encode()
    if not content:
        msg = f"--{form}: the report contains no alignment to plot (verdict {found.verdict}); use --html"
        raise ConfigError(msg)
    return content


def _write(file: Path, content: bytes) -> None:
    if str(file) == "-":
        click.echo(content, nl=False)
        return
    try:
        write_whole(file, content)
    except OSError as error:
        msg = f"{file}: cannot be written: {error.strerror}"
        raise ConfigError(msg) from error
