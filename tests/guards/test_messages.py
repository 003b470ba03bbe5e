"""What an exception or a warning says: verdict, first rows, cause, next step, in that order."""

import dataclasses

import numpy as np
import pytest

import evalguard
from evalguard import Cause, Report
from evalguard.guards.messages import message


@pytest.fixture
def failed() -> Report:
    return evalguard.check(indices=np.arange(9)[::-1], labels=9, name="digits")


def test_the_first_line_is_the_name_and_the_headline(failed):
    assert message(failed).splitlines()[0] == f"digits: {failed.headline}"


def test_every_finding_and_at_most_three_rows_are_shown(failed):
    lines = message(failed).splitlines()
    assert all(f"  {finding.message}" in lines for finding in failed.findings)
    assert len(failed.wrong_rows) > 3
    assert sum(line.startswith("  row ") for line in lines) == 3


def test_only_the_most_likely_cause_is_shown_with_its_remedy_below_it(failed):
    causes = (Cause("a queue", True, "two workers", "one worker:\n  workers=1"), Cause("a shuffle", False, "", ""))
    lines = message(dataclasses.replace(failed, diagnosis=causes)).splitlines()
    at = lines.index("  cause: a queue (two workers)")
    assert lines[at + 1 : at + 3] == ["  one worker:", "    workers=1"]
    assert "a shuffle" not in "\n".join(lines)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"not_proven": ("no content",)}, "  not proven: no content"),
        ({"repair": {"summary": "", "refused": "2 rows repeat"}}, "  not repaired: 2 rows repeat"),
        ({"advice": "reference=x_test"}, "  to prove it: reference=x_test"),
    ],
)
def test_what_was_not_done_and_what_to_do_next_is_shown_if_there_is_any(failed, changed, line):
    bare = dataclasses.replace(failed, not_proven=(), repair=None, advice="")
    assert line not in message(bare).splitlines()
    assert line in message(dataclasses.replace(bare, **changed)).splitlines()


def test_a_key_cannot_forge_a_line(failed):
    rows = ({"row": 0, "sample": 1, "label": 0, "sample_key": "a\nPASS: all well", "label_key": "b"},)
    lines = message(dataclasses.replace(failed, wrong_rows=rows)).splitlines()
    assert not any(line.startswith("PASS") for line in lines)
