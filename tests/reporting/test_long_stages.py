"""What takes long is shown on stderr: one line on a terminal, lines in a log, nothing elsewhere."""

import contextlib
import io
import time

import numpy as np
import pandas as pd
import pytest

import evalguard
from evalguard.core.stages import stage
from evalguard.reporting import long_stages as module
from evalguard.reporting.long_stages import CLEAR, long_stages


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Gone(Terminal):
    def write(self, text):
        raise OSError(text)


@pytest.fixture
def stderr(monkeypatch):
    """A function that makes it what stderr is, and does not wait two seconds."""
    monkeypatch.setattr(module, "AFTER_S", 0.02)
    monkeypatch.setattr(module, "UPDATE_S", 0.02)
    monkeypatch.setattr(module, "EVERY_S", 0.02)

    def made(stream):
        monkeypatch.setattr("sys.stderr", stream)
        return stream

    return made


def test_a_terminal_gets_one_line_that_is_gone_at_the_end(stderr):
    stream = stderr(Terminal())
    with long_stages("auto", "digits"), stage("reading labels.csv", 10) as reading:
        time.sleep(0.1)
        reading.rows = 5
        with stage("checking\x1b[31m" + "x" * 500):
            time.sleep(0.1)
        time.sleep(0.1)
    lines = stream.getvalue().split(CLEAR)
    assert (lines[0], lines[-1]) == ("", "")
    assert lines[1] == "evalguard: digits: reading labels.csv … 0 s"
    assert "evalguard: digits: reading labels.csv: 5 of 10 rows … 0 s" in lines
    assert any(line.startswith("evalguard: digits: checking\\u001b[31mxxx") for line in lines)
    assert all(len(line) < 81 and "\n" not in line for line in lines)


def test_a_guard_in_a_program_shows_stages_on_a_terminal_only(stderr):
    with stage("judging 5 rows"):
        time.sleep(0.1)
    stream = stderr(Terminal())
    with stage("fingerprinting the reference", 10), stage("reading labels.csv"):
        time.sleep(0.1)
    assert set(stream.getvalue().split(CLEAR)) == {"", "evalguard: reading labels.csv … 0 s"}


def test_a_log_gets_lines(stderr):
    stream = stderr(io.StringIO())
    with long_stages("plain", "digits"), stage("judging 5 rows"):
        time.sleep(0.1)
    assert set(stream.getvalue().splitlines()) == {"evalguard: digits: judging 5 rows … 0 s"}


@pytest.mark.parametrize(("how", "stream"), [("auto", io.StringIO()), ("none", Terminal())], ids=["file", "none"])
def test_nothing_is_shown_without_being_asked(stderr, how, stream):
    stderr(stream)
    with long_stages(how, "digits"), stage("judging 5 rows"):
        time.sleep(0.1)
    assert stream.getvalue() == ""


def test_what_is_quick_is_not_shown(stderr, monkeypatch):
    stream = stderr(Terminal())
    monkeypatch.setattr(module, "AFTER_S", 10.0)
    began = time.monotonic()
    with long_stages("auto", "digits"), stage("judging 5 rows"):
        pass
    assert stream.getvalue() == ""
    assert time.monotonic() - began < 5


def test_a_terminal_that_is_gone_does_not_end_the_evaluation(stderr):
    stderr(Gone())
    with long_stages("auto", "digits"), stage("judging 5 rows"):
        time.sleep(0.1)


def test_tables_labels_and_references_are_stages(stderr, tmp_path, monkeypatch):
    pd.DataFrame({"id": np.arange(50), "label": np.arange(50) % 3}).to_csv(tmp_path / "labels.csv", index=False)
    seen = []

    class Seen:
        def __init__(self, name, *, on_terminal):
            assert (name, on_terminal) == ("digits", True)

        @contextlib.contextmanager
        def __call__(self, current):
            seen.append(current)
            yield

    monkeypatch.setattr(module, "_Ticker", Seen)
    stderr(Terminal())
    with long_stages("auto", "digits"):
        labels = evalguard.Labels.read(tmp_path / "labels.csv", label="label", key="id")
        evalguard.Labels.collect(lambda: iter([(np.zeros((8, 2)), np.zeros(8))]))
        evalguard.check(keys=np.arange(50), labels=labels)
    shown = [str(current) for current in seen]
    assert shown == ["reading labels.csv", "reading labels.csv", "collecting labels: 8 rows", "judging 50 rows"]
