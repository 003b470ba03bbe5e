"""The commands `run` and `init` for step files, `check` for tables, `doctor` and `schema`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from evalguard.cli.check_record import AUTO, HELP, QUIET, check_sink, record
from evalguard.cli.running import command_line, guarded, with_logging
from evalguard.cli.silence import silenced
from evalguard.core.policy import Order, Padding, Require
from evalguard.core.report import Report
from evalguard.core.report_schema import json_schema
from evalguard.reporting import print_report
from evalguard.reporting.text import LABEL_WIDTH
from evalguard.step.exit_codes import DoctorExit, ExitCode, exit_code, listed, worst

if TYPE_CHECKING:
    from evalguard.step.run import Result

PROGRESS = ("auto", "plain", "none")
_with_progress = click.option(
    "--progress", type=click.Choice(PROGRESS), default="auto", show_default=True, help="On stderr; none with -q."
)


def _with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option(
        "--set", "values", multiple=True, metavar="KEY.PATH=VALUE", help="Put a value into the file; may be repeated."
    )(command)
    return click.option(
        "--set-env-file",
        "variables",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="File of NAME=value lines; ${NAME} is looked up there first, then in the environment.",
    )(command)


@click.command(
    epilog="\b\nExample:\n  evalguard run configs/digits.yaml\n"
    "  evalguard run step.yaml --set checks.require=identity --progress plain"
)
@click.argument("step", type=click.Path(path_type=Path))
@_with_settings
@click.option(
    "--dry-run",
    is_flag=True,
    help="Check everything that the file names, and whether MLflow answers, without predicting. With mlflow.required, "
    "the exit code is 4 if the verdict could not be recorded.",
)
@_with_progress
@click.option("-q", "--quiet", is_flag=True, help="Print the verdict line only.")
@with_logging
@guarded()
def run(
    step: Path, values: tuple[str, ...], variables: Path | None, *, dry_run: bool, progress: str, quiet: bool
) -> None:
    """Run the evaluations described in STEP.yaml and judge them."""
    # TensorFlow's start-up messages would appear above the verdict; the user's own setting has priority.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from evalguard.step.config.read import Settings
    from evalguard.step.config.yaml_file import read_variables

    settings = Settings(values, None if variables is None else read_variables(variables))
    if dry_run:
        from evalguard.step.plan import plan_all

        problems = []
        for plan in plan_all(step, settings):
            click.echo(plan.text)
            problems += [plan.problem] if plan.problem else []
        for problem in problems:
            click.echo(f"evalguard: {problem}", err=True)
        sys.exit(ExitCode.NOT_LOGGED if problems else ExitCode.GOOD)
    from evalguard.step.run import run_all

    codes = []
    results = run_all(step, settings, "none" if quiet else progress, command_line())  # type: ignore[arg-type]
    for result in _silently(results) if quiet else results:
        if result.report is not None:
            show(result.report, result.places, quiet=quiet)
        if result.message:
            click.echo(f"evalguard: {result.message}", err=True)
        codes.append(result.code)
    sys.exit(worst(codes))


def _silently(results: Iterator[Result]) -> Iterator[Result]:
    """Yield the results, and hide what is printed meanwhile unless an evaluation raised."""
    while True:
        with silenced() as said:
            result = next(results, None)
        if result is None:
            return
        if result.report is None and result.code == ExitCode.NOT_JUDGED:
            click.echo(said(), nl=False, err=True)
        yield result


def show(report: Report, places: Mapping[str, str], *, quiet: bool = False) -> None:
    """Print a report and where it was written, or only its headline."""
    if quiet:
        click.echo(f"{report.name}: {report.in_one_line}")
        return
    print_report(report)
    for what, where in places.items():
        click.echo(f"  {what:<{LABEL_WIDTH - 2}}{where}")


@click.command(
    epilog="\b\nExample:\n  evalguard check predictions.csv labels.csv --key id\n"
    "  evalguard check out/predictions.parquet labels.csv --key key --labels-key file --output out/check"
)
@click.argument("predictions", type=click.Path(path_type=Path))
@click.argument("labels", type=click.Path(path_type=Path))
@click.option("--key", help="Column in both tables with the key of each sample.")
@click.option("--labels-key", metavar="COLUMN", help="Key column of LABELS, if it has another name.")
@click.option("--index", help="Column of PREDICTIONS with the label row of each prediction.")
@click.option(
    "--label",
    help="Column of LABELS with the labels; compared with a column of that name in PREDICTIONS, unless --prediction "
    "names it.",
)
@click.option("--require", type=click.Choice(get_args(Require)), default="declared", show_default=True)
@click.option("--padding", type=click.Choice(get_args(Padding)), default="forbid", show_default=True)
@click.option(
    "--order",
    type=click.Choice(get_args(Order)),
    default="same",
    show_default=True,
    help="same: row i is scored against label i. any: rows and labels are joined by key before they are scored; each "
    "label needs exactly one row.",
)
@click.option(
    "--prediction", multiple=True, metavar="COLUMN", help="Column of PREDICTIONS for --metric; may be repeated."
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="Metric to report as scored and after realignment: accuracy, sklearn:f1_macro, …",
)
@click.option("--name", help="Name of the evaluation in the report; default: the file name of PREDICTIONS.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Folder for the reports.")
@click.option("--mlflow", default=AUTO, show_default=True, metavar="[auto|RUN_ID|none]", help=HELP)
@click.option(
    "--mlflow-experiment", metavar="NAME", help="Record in a new run in this experiment, which is created if needed."
)
@click.option(
    "--show-keys/--hide-keys",
    default=True,
    show_default=True,
    help="Show keys in the report, or salted digests of them.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@_with_progress
@click.option("-q", "--quiet", is_flag=True, help="Print the verdict line only.")
@with_logging
@guarded()
def check(
    predictions: Path,
    labels: Path,
    *,
    name: str | None,
    output: Path | None,
    mlflow: str,
    mlflow_experiment: str | None,
    as_json: bool,
    progress: str,
    quiet: bool,
    **options: Any,
) -> None:
    """Judge a table of predictions against a table of labels, without a model.

    Both may be CSV, Parquet, JSONL or Arrow; as PREDICTIONS, a .npy file holds label rows, or keys with --key.
    Files of any size: DuckDB joins their keys, in half of the memory at most.

    The verdict is recorded in MLflow where the environment or --mlflow says so, and signed with EVALGUARD_SIGNING_KEY.
    If it was asked for by an option and did not arrive, the exit code is 4.
    """
    from evalguard.guards.check_tables import TableCheck, compare
    from evalguard.reporting.long_stages import long_stages
    from evalguard.step.outputs import shown_path
    from evalguard.tracking.mlflow_sink import places_of

    table_check = TableCheck(predictions, labels, name=name or predictions.name, **options)
    places: dict[str, str] = {}
    # Standard output is the report's.
    os.environ.setdefault(QUIET, "true")
    recorded, required = check_sink(mlflow, mlflow_experiment, table_check.name), False
    problems: list[str] = []
    with long_stages("none" if quiet else progress, table_check.name):  # type: ignore[arg-type]
        report = replace(compare(table_check), caller={"command": command_line()})
        if output is not None or recorded is not None:
            from evalguard.data.digests import files_sha256
            from evalguard.reporting import artifacts

            files = artifacts(report, files_sha256([predictions, labels]))
        if output is not None:
            from evalguard.reporting.file_sink import FileSink

            problem = record(FileSink(output), report, files)
            places |= {} if problem else {"report": shown_path(output / "report.html")}
            problems, required = [problem], bool(problem)
        if recorded is not None:
            problem = record(recorded, report, files)
            places |= {} if problem else places_of(recorded)
            problems.append(problem)
            required |= bool(problem) and (mlflow != AUTO or mlflow_experiment is not None)
    click.echo(report.to_json(), nl=False) if as_json else show(report, places, quiet=quiet)
    for problem in filter(None, problems):
        click.echo(f"evalguard: {problem}", err=True)
    sys.exit(ExitCode.NOT_LOGGED if required else exit_code(report))


@click.command(epilog="\b\nExample:\n  evalguard init model.keras images/ labels.csv")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), default=Path("evalguard.yaml"), show_default=True
)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@guarded()
def init(paths: tuple[Path, ...], output: Path, *, force: bool) -> None:
    """Write a commented step file for the model, data and labels at PATH...: files, or folders that contain them."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from evalguard.cli.scaffold import write_step

    click.echo(write_step(paths, output, force=force))


@click.command(epilog=f"\b\nExample:\n  evalguard doctor\n\n{listed(DoctorExit)}")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@guarded()
def doctor(*, as_json: bool) -> None:
    """Report what is installed, whether MLflow answers, what the spool holds, and which known defects apply."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from evalguard.cli.doctor import examine

    findings = list(examine())
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            click.echo(f"{'   ' if finding.good else '!! '}{finding.topic}: {finding.text}")
    sys.exit(DoctorExit.HEALTHY if all(finding.good for finding in findings) else DoctorExit.PROBLEM)


@click.command(epilog="\b\nExample:\n  evalguard schema step > step.schema.json")
@click.argument("what", type=click.Choice(["step", "report", "reference"]), default="step")
@guarded()
def schema(what: str) -> None:
    """Print the JSON Schema of a step file or of report.json, or a reference of the step file in Markdown."""
    from evalguard.step.config.json_schema import step_schema
    from evalguard.step.config.markdown import markdown

    if what == "reference":
        click.echo(markdown(), nl=False)
        return
    click.echo(json.dumps(step_schema() if what == "step" else json_schema(), indent=2, sort_keys=True))
