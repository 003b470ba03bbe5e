"""The command line. Exit codes: 0 good, 1 FAIL, 2 usage, 3 could not judge, 4 judged but not logged."""

from __future__ import annotations

import json
from pathlib import Path

import click

from evalguard import __version__
from evalguard.core.report import Report
from evalguard.errors import ConfigError
from evalguard.render import artifacts, to_text
from evalguard.review import gate, view
from evalguard.step.commands import check, doctor, guarded, init, run, schema

USAGE, NOT_LOGGED = 2, 4

EXIT_CODES = """\b
Exit codes:
  0  PASS or REPAIRED
  1  FAIL
  2  usage, configuration or unreadable input
  3  could not judge: UNPROVEN, or the evaluation itself raised
  4  judged but not logged, where logging was required
"""


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="evalguard")
def cli() -> None:
    """Prove that the predictions of a Keras model stand at their own labels."""


cli.add_command(gate)
cli.add_command(run)
cli.add_command(check)
cli.add_command(init)
cli.add_command(doctor)
cli.add_command(schema)
cli.add_command(view)


@cli.command(epilog="\b\nExample:\n  evalguard report out/report.json --text")
@click.argument("path", metavar="REPORT.json", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--text", "form", flag_value="report.txt", default=True, help="For a terminal (the default).")
@click.option("--json", "form", flag_value="report.json", help="As it was written.")
def report(path: Path, form: str) -> None:
    """Render a report again."""

    def work() -> int:
        try:
            found = Report.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            msg = f"{path}: expected a report.json that evalguard wrote, found: {error}"
            raise ConfigError(msg) from error
        click.echo(to_text(found) if form == "report.txt" else artifacts(found)[form], nl=False)
        return 0

    guarded(work)


@cli.command(epilog="\b\nExample:\n  evalguard replay")
def replay() -> None:
    """Send the verdicts that wait on disk because MLflow did not answer."""

    def work() -> int:
        from evalguard.sinks.replaying import replay as send_waiting

        done = send_waiting()
        older = f", {done.superseded} dropped: a newer verdict is there" if done.superseded else ""
        click.echo(f"{done.sent} sent, {done.left} left{older}")
        for failure in done.failures:
            click.echo(f"evalguard: {failure}", err=True)
        return NOT_LOGGED if done.left else 0

    guarded(work)


def main() -> None:
    """Entry point of the ``evalguard`` command."""
    cli(prog_name="evalguard")
