"""The lines of a fix keep what else the user has in a section."""

import pytest
import yaml

from evalguard.step.config.read import Settings, read_all
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


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("labels: {path: 'x.csv'}", "labels: {path: labels.csv, label: y}  # step.yaml:12"),
        ("labels: {path: 'x.csv'}  # row by row", "labels: {path: labels.csv, label: y}  # step.yaml:12, row by row"),
        ("checks: {key: id}", "checks: {key: id}"),
    ],
)
def test_a_section_of_the_file_is_shown_with_its_line(line, expected):
    assert written({"labels": LABELS}, line, False, {"labels": "step.yaml:12", "checks": "step.yaml:14"}) == expected
    assert "step.yaml" not in written({"labels": LABELS}, line, True, {"labels": "step.yaml:12"})


def test_each_section_has_the_line_of_its_name(tmp_path):
    (tmp_path / "step.yaml").write_text(
        "version: 1\nname: one\nmodel: {path: m.keras}\ndata: {arrays: x.npy}\nchecks:\n  key: id\n"
        "evaluations:\n  - name: first\n    labels: {path: y.csv}\n  - name: second\n    labels: {path: z.csv}\n"
    )
    first, second = read_all(tmp_path / "step.yaml", Settings(("predict.batch_size=8",)))
    assert (first.places["labels"], second.places["labels"]) == ("step.yaml:9", "step.yaml:11")
    assert (first.places["data"], first.places["checks"]) == ("step.yaml:4", "step.yaml:5")
    assert "predict" not in first.places


@pytest.mark.parametrize("options", [{"key": "a: b, c"}, {"key": "#"}, {"classes": ["no", "1", "x y"]}, {"key": "\n"}])
def test_options_in_one_line_are_read_back(options):
    assert yaml.safe_load(flow(options)) == options
    assert "\n" not in flow(options)
