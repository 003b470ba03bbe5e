"""The commands that read MLflow: the gate for promotion, and the addresses in the dashboard."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import click

from evalguard.core.policy import Require
from evalguard.core.report_counts import counted
from evalguard.errors import ConfigError, LabelsError, SinkError
from evalguard.reporting.escape import visible
from evalguard.step.exit_codes import GateExit, ViewExit, listed
from evalguard.tracking.client import redacted_uri
from evalguard.tracking.deadline import ASK_S
from evalguard.tracking.gate.assessment import Evaluation, GateResult
from evalguard.tracking.gate.gate import gate as ask
from evalguard.tracking.signing import new_key
from evalguard.tracking.store import Store
from evalguard.tracking.views import FILTERS, VIEW_NAME, address, view_address, view_tag

GATE_HELP = f"""\b
Examples:
  evalguard gate --model models:/digits/3 --labels labels.csv --max-age 30d
  evalguard gate --run 5f0c… --accept REPAIRED --require identity
  evalguard gate --experiment nightly --since 1d --json
  evalguard gate --model models:/digits@challenger --labels test.csv --superseded 5f0c…
  evalguard gate --model models:/digits/3 --trust ci.pub --head 5f0c…
  evalguard gate --attestation out/attestation.json model.keras labels.csv out/predictions.parquet

{listed(GateExit)}"""


_SECONDS = click.FloatRange(min=0, min_open=True)
_TIMEOUT = click.option("--timeout", "timeout_s", type=_SECONDS, default=ASK_S, show_default=True, help="Seconds.")


@contextlib.contextmanager
def _answering(codes: type[GateExit | ViewExit]) -> Iterator[None]:
    """Turn errors of a command into a message and an exit code: a wrong option, or a server that does not answer."""
    try:
        yield
    except (ConfigError, LabelsError) as error:
        click.echo(f"evalguard: {error}", err=True)
        sys.exit(codes.USAGE)
    except SinkError as error:
        click.echo(f"evalguard: {error}", err=True)
        sys.exit(codes.NO_ANSWER)


@click.command(epilog=GATE_HELP)
@click.argument("files", metavar="[FILES]...", nargs=-1)
@click.option(
    "--model",
    metavar="models:/NAME/VERSION",
    help="All evaluations of this registered version, or of the one that models:/NAME@ALIAS names now.",
)
@click.option("--run", metavar="RUN_ID", help="All evaluations of this run and of the runs nested in it.")
@click.option("--experiment", metavar="NAME", help="All evaluations of all runs of this experiment.")
@click.option(
    "--attestation",
    metavar="FILE",
    help="The evaluation that an attestation.json states, for FILES (model, labels, predictions).",
)
@click.option("--allow-unchecked", is_flag=True, help="With --attestation: open although FILES lack one that it names.")
@click.option("--since", metavar="WHEN", help="With --experiment: runs started since a date, or an age such as 7d.")
@click.option(
    "--accept",
    multiple=True,
    metavar="REPAIRED",
    help="Accept this verdict in addition to PASS. Only REPAIRED is possible.",
)
@click.option(
    "--require",
    type=click.Choice(get_args(Require)),
    default="labels",
    show_default=True,
    help="Refuse evaluations with a weaker proof.",
)
@click.option("--max-age", metavar="AGE", help="Refuse evaluations that are older, such as 12h, 30d.")
@click.option(
    "--labels",
    multiple=True,
    metavar="FILE|DIGEST",
    help="The labels that count: a file, or the digest in a report. Each needs an evaluation that passes; others are "
    "listed, and a FAIL on more labels closes. May be repeated.",
)
@click.option("--label", metavar="COLUMN", help="Column of the labels file with the labels; default: as evaluated.")
@click.option("--key", metavar="COLUMN", help="Column of the labels file with the keys; default: as evaluated.")
@click.option(
    "--trust",
    multiple=True,
    metavar="KEY.pub",
    help="Accept as proof only what this key signed, see `evalguard keygen`. May be repeated.",
)
@click.option("--trust-dir", metavar="FOLDER", help="As --trust, for each *.pub in a folder.")
@click.option(
    "--head",
    multiple=True,
    metavar="DIGEST",
    help="With --trust: a record that must be there, as `evalguard run` printed it. May be repeated.",
)
@click.option("--deleted", multiple=True, metavar="DIGEST", help="With --trust: a record that was deleted on purpose.")
@click.option(
    "--superseded",
    multiple=True,
    metavar="RUN_ID",
    help="A run whose evaluations do not count any more. May be repeated.",
)
@click.option("--tag-version", is_flag=True, help="With --model: write the outcome to the model version's tags.")
@_TIMEOUT
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
@_answering(GateExit)
def gate(*, labels: tuple[str, ...], label: str | None, key: str | None, as_json: bool, **options: Any) -> None:
    """Check whether a model may be promoted: only if every evaluation in question is proven by its record.

    Queries the MLflow server of MLFLOW_TRACKING_URI. With --attestation it queries no server, and compares
    the statement with FILES. It moves no alias and no stage.
    """
    files, digests = _files_and_digests(labels)
    result = ask(labels=files, label_column=label, labels_key=key, labels_digest=digests, **options)
    click.echo(result.to_json() if as_json else "\n".join([*_lines(result), ""]), nl=False)
    if result.not_tagged:
        click.echo(f"evalguard: not tagged: {visible(result.not_tagged)}", err=True)
    if not result:
        sys.exit(GateExit.CLOSED)
    sys.exit(GateExit.NOT_TAGGED if result.not_tagged else GateExit.OPEN)


def _files_and_digests(labels: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """The files, and the digests, that `--labels` names."""
    files = [item for item in labels if Path(item).is_file()]
    digests = [item for item in labels if item not in files]
    for item in digests:
        if not re.fullmatch(r"[0-9a-f]{16}", item):
            msg = f"--labels: expected a file, or a digest of 16 hexadecimal digits; found {item[:60]!r}"
            raise ConfigError(msg)
    return files, digests


def _lines(result: GateResult) -> Iterator[str]:
    """The answer for a terminal: open or closed, every evaluation, then the reasons."""
    yield f"gate {'OPEN' if result else 'CLOSED'}: {visible(result.asked)}"
    listed_ones = (*result.evaluations, *result.aside, *result.superseded)
    width = max((len(visible(item.name, 40)) for item in listed_ones), default=0)
    for item in result.evaluations:
        yield _line(item, width, "refused" if item.refused else "counts")
    for run_id in result.unguarded:
        yield f"  UNGUARDED  run {visible(run_id)}"
    for path, subject in result.files.items():
        yield f"  same       {visible(path)} is {visible(subject)}"
    for subject in result.unchecked:
        yield f"  not asked  {visible(subject)}"
    for item in result.aside:
        yield _line(item, width, "other labels")
    for item in result.superseded:
        yield _line(item, width, "superseded")
    if result.reasons:
        yield "closed because"
        yield from (f"  {visible(reason, 400)}" for reason in result.reasons)
    if result.notes:
        yield "not known"
        yield from (f"  {visible(note, 400)}" for note in result.notes)


def _line(item: Evaluation, width: int, mark: str) -> str:
    when = datetime.fromtimestamp(item.checked_at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    about = [f"proof {visible(item.proof, 20)}"] if item.proof else []
    number = "labels" if item.n_labels is None else counted(item.n_labels, "label")
    about += [f"{number} {visible(item.labels, 36)}"] if item.labels else []
    about += [f"model {visible(item.model, 80)}"] if item.model else []
    about = [f"run {visible(item.run_id, 40)}", *about, _signature(item)] if item.run_id else about
    details = ", ".join([*about, when])
    return f"  {visible(item.verdict, 9):9}  {visible(item.name, 40):{width}}  {mark}: {details}"


def _signature(item: Evaluation) -> str:
    words = {"unsigned": "unsigned", "not verified": "signature not verified"}
    return words.get(item.signature) or f"signed by {item.signature[:16]}"


VIEW_HELP = f"""\b
Examples:
  evalguard view nightly
  evalguard view nightly --save-view

{listed(ViewExit)}"""
LOCAL = "http://127.0.0.1:5000"


@click.command(epilog=VIEW_HELP)
@click.argument("experiment")
@click.option(
    "--save-view", is_flag=True, help=f"Save a view {VIEW_NAME!r} with the verdict's columns in the experiment."
)
@click.option("--server", metavar="URL", help="Address of the MLflow UI, if it differs from the tracking server.")
@_TIMEOUT
@_answering(ViewExit)
def view(experiment: str, server: str | None, timeout_s: float, *, save_view: bool) -> None:
    """Print the dashboard's addresses for the verdicts of EXPERIMENT (its name): proven, not proven, never guarded."""
    store = Store(None, timeout_s, "view")
    found = store.get_existing(f"an experiment named {experiment!r}", "get_experiment_by_name", experiment)
    if save_view:
        store.call("set_experiment_tag", found.experiment_id, *view_tag(int(time.time() * 1000)))
    served = store.tracking_uri.startswith(("http://", "https://"))
    base = server or (redacted_uri(store.tracking_uri) if served else LOCAL)
    if not served and server is None:
        click.echo(
            f"No server is known. Start one: mlflow server --backend-store-uri {redacted_uri(store.tracking_uri)}"
        )
    addresses = {name: address(base, found.experiment_id, text) for name, text in FILTERS.items()}
    addresses |= {"saved view": view_address(base, found.experiment_id)} if save_view else {}
    width = max(map(len, addresses))
    for name, where in addresses.items():
        click.echo(f"{name:{width}}  {where}")


@click.command(
    epilog=f"""\b
Examples:
  evalguard keygen ci.pem
  EVALGUARD_SIGNING_KEY=ci.pem evalguard run step.yaml
  evalguard gate --model models:/digits/3 --trust ci.pem.pub

{listed(ViewExit)}"""
)
@click.argument("path", metavar="FILE")
@_answering(ViewExit)
def keygen(path: str) -> None:
    """Make a pair of keys to sign records: the private one in FILE, the public one in FILE.pub.

    A person who has the private key can sign any record: keep it in the secrets of your CI, where EVALGUARD_SIGNING_KEY
    takes its path or its text. Give the public one to the gate.
    """
    private, public, name = new_key(path)
    click.echo(f"private key  {private}  (EVALGUARD_SIGNING_KEY; keep it secret)")
    click.echo(f"public key   {public}  (evalguard gate --trust {public})")
    click.echo(f"id           {name}")
