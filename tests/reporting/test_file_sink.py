"""Reports as files: whole or not at all, and never an old one in place of a new."""

import os

import pytest

from evalguard.errors import SinkError
from evalguard.reporting.file_sink import FileSink, write_output
from tests.tracking.records import FAILED, report


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_every_artifact_is_written_and_nothing_else(tmp_path):
    sink = FileSink(tmp_path / "a" / "b")
    sink.begin("digits")
    sink.write(report(), {"report.json": "{}", "plot.png": b"\x89PNG\xff"})
    assert names(tmp_path / "a" / "b") == ["plot.png", "report.json"]
    assert (tmp_path / "a" / "b" / "plot.png").read_bytes() == b"\x89PNG\xff"


def test_the_last_report_is_taken_away_before_the_next_evaluation(tmp_path):
    (tmp_path / "report.json").write_text("old")
    (tmp_path / "report-7.html").write_text("old")
    (tmp_path / "report.json.bak").write_text("the user's")
    (tmp_path / "notes.txt").write_text("the user's")
    FileSink(tmp_path).begin("digits")
    assert names(tmp_path) == ["notes.txt", "report.json.bak"]


def test_a_later_report_of_one_entry_hides_no_failure(tmp_path):
    sink = FileSink(tmp_path)
    sink.begin("digits")
    for judged in (report(FAILED), report()):
        sink.write(judged, {"report.json": judged.verdict.value})
    assert (tmp_path / "report.json").read_text() == "FAIL"
    assert (tmp_path / "report-2.json").read_text() == "PASS"


def test_a_folder_that_is_a_file_is_named_with_the_reason(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(SinkError, match=r"could not write .*out/report.json: .*(File exists|Not a directory)"):
        FileSink(tmp_path / "out").write(report(), {"report.json": "{}"})


def test_a_report_that_cannot_be_removed_is_reported(tmp_path):
    (tmp_path / "report.json").mkdir()
    with pytest.raises(SinkError, match="not the report of this evaluation"):
        FileSink(tmp_path).begin("digits")


def test_an_output_that_cannot_be_written_says_that_the_verdict_stands_and_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    path.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SinkError, match=r"No space left on device\. The verdict stands"):
        write_output(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["report.json"]


def test_an_earlier_report_is_replaced_and_the_others_stay(tmp_path):
    sink = FileSink(tmp_path)
    sink.begin("digits")
    for judged in (report(), report(FAILED)):
        sink.write(judged, {"report.json": judged.verdict.value})
    sink.replace(0, report(FAILED), {"report.json": "replaced"})
    sink.replace(1, report(), {"report.json": "too"})
    sink.write(report(), {"report.json": "third"})
    assert names(tmp_path) == ["report-2.json", "report-3.json", "report.json"]
    texts = [(tmp_path / name).read_text() for name in ("report.json", "report-2.json", "report-3.json")]
    assert texts == ["replaced", "too", "third"]


def test_a_report_that_cannot_be_replaced_is_reported(tmp_path):
    sink = FileSink(tmp_path)
    sink.write(report(), {"report.json": "{}"})
    (tmp_path / "report.json").unlink()
    (tmp_path / "report.json").mkdir()
    with pytest.raises(SinkError, match="could not write"):
        sink.replace(0, report(FAILED), {"report.json": "{}"})
