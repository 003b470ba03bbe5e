"""Stages: counted where they happen, shown where that was asked for, in this context only."""

import contextlib
import threading

import pytest

import evalguard
from evalguard.core.stages import Stage, stage, stages_shown


def test_a_stage_is_shown_with_the_rows_that_are_done():
    assert str(Stage("reading a.csv")) == "reading a.csv"
    assert str(Stage("reading a.csv", rows=12_000)) == "reading a.csv: 12,000 rows"
    assert str(Stage("joining", 1_000_000, 12_000)) == "joining: 12,000 of 1,000,000 rows"


def test_stages_are_shown_inside_the_block_and_end_with_an_error():
    seen = []

    @contextlib.contextmanager
    def show(current):
        seen.append(("begin", current.what))
        try:
            yield
        finally:
            seen.append(("end", current.what))

    with stage("before"):
        pass
    with stages_shown(show):
        with pytest.raises(ZeroDivisionError), stage("outer"), stage("inner"):
            _ = 1 / 0
        elsewhere = threading.Thread(target=lambda: stage("elsewhere").__enter__())
        elsewhere.start()
        elsewhere.join()
    with stage("after") as current:
        current.rows += 1
    assert seen == [("begin", "outer"), ("begin", "inner"), ("end", "inner"), ("end", "outer")]


def test_judging_is_a_stage():
    seen = []

    @contextlib.contextmanager
    def show(current):
        seen.append(str(current))
        yield

    with stages_shown(show):
        evalguard.check(indices=range(1200), labels=1200)
    assert seen == ["judging 1,200 rows"]
