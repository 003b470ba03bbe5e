"""The entry point of the command line, which puts the commands together."""

from __future__ import annotations

import os
import sys

import click
from click.shell_completion import get_completion_class

from evalguard import __version__
from evalguard.cli.check_record import QUIET
from evalguard.cli.commands import check, doctor, init, run, schema
from evalguard.cli.gate_and_view import gate, keygen, view
from evalguard.cli.report import report
from evalguard.cli.running import Stopped, guarded, leave_at_once
from evalguard.step.exit_codes import ExitCode, listed

NAME = "evalguard"
SHELLS = ("bash", "zsh", "fish")


def _print_completion(context: click.Context, _option: click.Parameter, shell: str | None) -> None:
    kind = None if shell is None else get_completion_class(shell)
    if kind is not None:
        click.echo(kind(cli, {}, NAME, f"_{NAME.upper()}_COMPLETE").source())
        context.exit()


@click.group(epilog=listed(ExitCode), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=NAME)
@click.option(
    "--completion",
    type=click.Choice(SHELLS),
    is_eager=True,
    expose_value=False,
    callback=_print_completion,
    help="Print the script that makes a shell complete commands, options and files.",
)
def cli() -> None:
    """Prove that the predictions of a Keras model match their labels."""


for command in (gate, keygen, run, check, init, doctor, schema, view, report):
    cli.add_command(command)


@cli.command(epilog="\b\nExample:\n  evalguard replay")
@guarded()
def replay() -> None:
    """Send the verdicts that were spooled because MLflow did not answer."""
    os.environ.setdefault(QUIET, "true")
    from evalguard.tracking import spool
    from evalguard.tracking.replay import replay as send_waiting

    done = send_waiting()
    older = f", {done.superseded:,} dropped because MLflow has a newer verdict" if done.superseded else ""
    click.echo(f"{done.sent:,} sent{older}\nspool {spool.counted()}")
    for failure in done.failures:
        click.echo(f"evalguard: {failure}", err=True)
    # The counts are those of `evalguard doctor`.
    if done.left:
        sys.exit(ExitCode.NOT_LOGGED)


def main() -> None:
    """Entry point of the ``evalguard`` command."""
    try:
        cli(prog_name=NAME)
    except Stopped as stopped:
        leave_at_once(stopped)
