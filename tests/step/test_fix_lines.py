"""The lines of a fix keep what else the user has in a section."""

import pytest
import yaml

from evalguard.step.fix_lines import flow, written

LABELS = {"path": "labels.csv", "label": "y"}


@pytest.mark.parametrize(
    ("given", "line", "expected"),
    [
        (LABELS, "labels: {key: id}", "labels: {path: labels.csv, label: y, key: id}"),
        (LABELS, "labels: {path: ...}  # new", "labels: {path: ..., label: y}  # new"),
        (LABELS, "labels: {from: stream}", "labels: {from: stream}"),
        (None, "labels: {path: ...}", "labels: {path: ...}"),
        (LABELS, "x = x[order]", "x = x[order]"),
        (LABELS, "labels: {path: 'it's.csv'}", "labels: {path: 'it's.csv'}"),
        ({"path": "a", "label": None}, "labels: {label: null}", "labels: {path: a}"),
    ],
)
def test_a_changed_section_keeps_the_options_that_still_apply(given, line, expected):
    assert written({} if given is None else {"labels": given}, line, True) == expected


def test_before_the_change_a_section_is_shown_as_it_is():
    assert written({"labels": LABELS}, "labels: {path: 'x.csv'}  # row by row", False) == (
        "labels: {path: labels.csv, label: y}  # row by row"
    )


@pytest.mark.parametrize("options", [{"key": "a: b, c"}, {"key": "#"}, {"classes": ["no", "1", "x y"]}, {"key": "\n"}])
def test_options_in_one_line_are_read_back(options):
    assert yaml.safe_load(flow(options)) == options
    assert "\n" not in flow(options)
