"""Write the files of a step other than its reports, each completely or not at all."""

from __future__ import annotations

import json
from pathlib import Path

from evalguard.core.report import Report
from evalguard.errors import ConfigError, SinkError
from evalguard.guards.guard import Guard
from evalguard.reporting.file_sink import FileSink, output_file, write_output

PREDICTIONS = "predictions.parquet"
METRICS = "metrics.json"
REPORT = "report.json"


def clear(directory: Path) -> None:
    """Remove the files of an earlier run, so that they are not taken for results of this one.

    Raises:
        ConfigError: A file cannot be removed.
    """
    try:
        FileSink(directory).begin("")
        for name in (PREDICTIONS, METRICS):
            (directory / name).unlink(missing_ok=True)
    except (SinkError, OSError) as error:
        msg = f"outputs.directory: {error}"
        raise ConfigError(msg) from error


def shown_path(path: Path) -> str:
    """A path to show: relative to the current folder if it is below it, else absolute."""
    path = path.resolve()
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def write_metrics(report: Report, path: Path) -> None:
    """Write ``metrics.json``: the metrics of a report and its verdict, for other tools.

    Raises:
        SinkError: The file could not be written.
    """
    content = {"name": report.name, "verdict": report.verdict.value, "metrics": report.to_dict()["impact"]}
    write_output(path, json.dumps(content, indent=2, sort_keys=True) + "\n")


def write_predictions(guard: Guard, path: Path) -> None:
    """Write a table of the last call: row, sample, key, y_true, sample_weight and prediction columns, as returned.

    ``y_true`` is the label of the row's sample, so each row is right for any
    verdict. The verdict is in the file's metadata.

    Raises:
        SinkError: The file could not be written.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = pa.Table.from_pandas(guard.to_frame(), preserve_index=False)
        about = {
            b"evalguard.verdict": guard.report.verdict.value.encode(),
            b"evalguard.name": guard.report.name.encode(),
        }
        with output_file(path) as stream:
            parquet.write_table(table.replace_schema_metadata(about), stream)
    except (pa.ArrowException, TypeError, ValueError) as error:
        msg = f"could not write {path}: {error}. The verdict stands; give another output folder."
        raise SinkError(msg) from error
