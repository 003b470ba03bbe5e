"""The runner of field cases: each run is judged by the rows that it really returned, and by the folder's table."""

import json
import sys
from pathlib import Path

import pytest

from evalguard.guards.guard import Guard
from tests.field import run_cases
from tests.field.run_cases import Expected, right, table_of

CASE = """
import keras, numpy as np

N = 12
X = np.arange(N, dtype="float32")[:, None]
CALLS = []


def build():
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Identity()(inputs))

    def call():
        CALLS.append(1)
        rows = X[ORDER]
        return AFTER(model.predict(rows, verbose=0))

    return {"call": call, "labels": np.arange(N) % 3, "x": X, "truth": KIND, "why": ""}


def check(case):
    try:
        got = case["call"]()
    except Exception as error:
        return {"observed": "error", "error": str(error)}
    assert len(CALLS) == 1, "the rows of another run"
    return {"observed": "aligned" if np.array_equal(got, X) else "misaligned"}


def AFTER(rows):
    return rows


ORDER, KIND = np.arange(N), "aligned"
"""
ADAPTERS = """
CONFIRMED = {"207", "208"}


def options(number, case):
    return {"labels": case["labels"], "reference": case["x"]}
"""
TABLE = """
| case | the user also has | verdict, proof | cause named |
|---|---|---|---|
| 201, 202 in another order | reference x | FAIL | `shuffle=True` |
| 203 in order | reference x | PASS, identity | - |
| 204 not in order after all | reference x, confirmed | never PASS | - |
| 205 in order | reference x | PASS, labels | - |
| 209 in another order | reference x | FAIL | stream wrapped |
"""
REORDERED = 'ORDER, KIND = np.random.default_rng(7).permutation(N), "misaligned"\n'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Cases that run in this process, whose modules are not kept."""
    (tmp_path / "adapters.py").write_text(ADAPTERS)
    (tmp_path / "README.md").write_text(TABLE)
    for name in ("adapters", "case_under_test"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(run_cases, "run_case", run_cases.judge_case)
    return tmp_path


def case(folder: Path, name: str, rest: str = "") -> Path:
    path = folder / f"{name}.py"
    path.write_text(CASE + rest)
    return path


def run(folder, *more):
    """Exit status, and the results by case number."""
    status = run_cases.main([str(folder), *more, "--jobs", "1", "--json", str(folder / "found.json")])
    found = json.loads((folder / "found.json").read_text())
    return status, {run_cases.number_of(result["case"]): result for result in found}


def test_a_case_is_checked_with_the_rows_of_its_guarded_call(folder):
    case(folder, "203_in_order")
    case(folder, "201_reordered", REORDERED)
    status, found = run(folder)
    assert status == 0
    assert [(item["observed"], item["verdict"], item["proof"]) for item in found.values()] == [
        ("misaligned", "FAIL", "identity"),
        ("aligned", "PASS", "identity"),
    ]


def test_a_race_that_did_not_happen_is_an_aligned_run(folder, capsys):
    case(folder, "201_race", 'KIND = "misaligned"\n')
    status, found = run(folder)
    assert (status, found["201"]["observed"], found["201"]["verdict"]) == (0, "aligned", "PASS")
    printed = capsys.readouterr().out
    assert "(the case is misaligned)" in printed
    assert "causes named" not in printed, "there was no cause"
    assert "1 of 1 right, 0 missed, 0 false FAIL, 0 aligned not proven" in printed


def test_a_wrong_row_that_was_not_seen_is_no_matter_of_a_second_try(folder, capsys):
    case(folder, "206_put_in_another_order", 'KIND = "misaligned"\ndef AFTER(rows):\n    return rows[::-1]\n')
    status, found = run(folder)
    assert (status, found["206"]["observed"], found["206"]["verdict"]) == (1, "misaligned", "PASS")
    assert "0 of 1 right, 1 missed" in capsys.readouterr().out


def test_what_the_call_raises_is_what_the_check_gets(folder):
    case(folder, "203_raises", 'def AFTER(rows):\n    raise OSError("the disk is gone")\n')
    status, found = run(folder)
    assert (status, found["203"]["observed"], found["203"]["verdict"]) == (1, "error", "OSError: the disk is gone")


def test_options_that_cannot_be_used_are_not_waited_for(folder):
    (folder / "adapters.py").write_text(ADAPTERS.replace('"reference"', '"referenz"'))
    case(folder, "203_in_order")
    status, found = run(folder)
    assert status == 1
    assert found["203"]["observed"] == "error"
    assert found["203"]["verdict"].startswith("ArgumentError: unknown option 'referenz'")


def test_the_result_of_a_confirmed_case_is_confirmed_before_the_guard_ends(folder, monkeypatch):
    confirmed = []

    def confirm(guard, rows):
        confirmed.append((len(rows), repr(guard)))
        return rows

    monkeypatch.setattr(Guard, "confirm", confirm, raising=False)
    case(folder, "207_whole")
    case(folder, "208_cut", 'KIND = "misaligned"\ndef AFTER(rows):\n    return rows[:5]\n')
    case(folder, "203_in_order")
    _, found = run(folder)
    assert [rows for rows, _ in confirmed] == [12, 5]
    assert [found[number]["observed"] for number in ("203", "207", "208")] == ["aligned", "aligned", "misaligned"]


def test_cases_are_chosen_by_their_numbers_from_several_folders(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("second")
    (other / "adapters.py").write_text(ADAPTERS)
    for place, name in ((folder, "203_a"), (folder, "20_b"), (other, "301_c"), (other, "302_d")):
        case(place, name)
    assert list(run(folder, str(other))[1]) == ["203", "20", "301", "302"]
    assert list(run(folder, str(other), "--only", "20,301")[1]) == ["20", "301"]
    assert list(run(folder, str(other), "--skip", "203,302")[1]) == ["20", "301"]


def test_a_folder_without_adapters_is_refused(folder, tmp_path_factory, capsys):
    for given in ([], [str(folder), str(tmp_path_factory.mktemp("empty"))]):
        with pytest.raises(SystemExit):
            run_cases.main(given)
        assert "expected folders with case scripts and adapters.py" in capsys.readouterr().err


def test_the_table_names_verdict_proof_and_cause_of_each_case_in_a_row(folder):
    shuffled = Expected(("FAIL",), "", "`shuffle=True`")
    assert table_of(folder) == {
        "201": shuffled,
        "202": shuffled,
        "203": Expected(("PASS",), "identity"),
        "204": Expected(("FAIL", "UNPROVEN")),
        "205": Expected(("PASS",), "labels"),
        "209": Expected(("FAIL",), "", "stream wrapped"),
    }
    (folder / "README.md").unlink()
    assert table_of(folder) == {}


@pytest.mark.parametrize(
    ("said", "verdicts", "proof"),
    [
        ("FAIL", ("FAIL",), ""),
        ("FAIL, 8 missing", ("FAIL",), ""),
        ("FAIL, `classes`", ("FAIL",), ""),
        ("FAIL for the second member", ("FAIL",), ""),
        ("FAIL; REPAIRED under repair", ("FAIL",), ""),
        ("FAIL, identity", ("FAIL",), "identity"),
        ("PASS or UNPROVEN, never FAIL", ("PASS", "UNPROVEN"), ""),
        ("PASS (the outputs say nothing; identity must not come from them)", ("PASS",), ""),
        ("never PASS", ("FAIL", "UNPROVEN"), ""),
    ],
)
def test_a_verdict_is_read_from_the_words_of_the_table(folder, said, verdicts, proof):
    (folder / "README.md").write_text(f"| 201 a case | nothing | {said} | - |\n")
    assert table_of(folder) == {"201": Expected(verdicts, proof)}


def test_a_table_without_a_verdict_is_refused(folder):
    (folder / "README.md").write_text("| 201 a case | nothing | wrong | - |\n")
    with pytest.raises(ValueError, match="expected a verdict in the table, found 'wrong'"):
        table_of(folder)


NEVER_PASS = Expected(("FAIL", "UNPROVEN"))


@pytest.mark.parametrize(
    ("truth", "observed", "verdict", "expected", "is_right"),
    [
        pytest.param("misaligned", "misaligned", "FAIL", None, True, id="misaligned"),
        pytest.param("misaligned", "misaligned", "UNPROVEN", None, False, id="misaligned, not proven"),
        pytest.param("misaligned", "misaligned", "UNPROVEN", NEVER_PASS, True, id="never PASS, not proven"),
        pytest.param("misaligned", "misaligned", "FAIL", NEVER_PASS, True, id="never PASS, failed"),
        pytest.param("misaligned", "misaligned", "PASS", NEVER_PASS, False, id="never PASS, passed"),
        pytest.param("misaligned", "misaligned", "TypeError: x", NEVER_PASS, False, id="never PASS, raised"),
        pytest.param("misaligned", "aligned", "PASS", Expected(("FAIL",)), True, id="no race, passed"),
        pytest.param("misaligned", "aligned", "UNPROVEN", NEVER_PASS, True, id="no race, not proven"),
        pytest.param("misaligned", "aligned", "FAIL", Expected(("FAIL",)), False, id="no race, failed"),
        pytest.param("misaligned", "aligned", "TypeError: x", None, False, id="no race, raised"),
        pytest.param("misaligned", "error", "FAIL", Expected(("FAIL",)), False, id="the call raised"),
        pytest.param("aligned", "aligned", "PASS", None, True, id="aligned"),
        pytest.param("aligned", "aligned", "UNPROVEN", None, False, id="aligned, not proven"),
        pytest.param("aligned", "aligned", "UNPROVEN", Expected(("PASS", "UNPROVEN")), True, id="one of two"),
        pytest.param("aligned", "aligned", "PASS", Expected(("PASS",), "labels"), False, id="another proof"),
        pytest.param("aligned", "misaligned", "PASS", Expected(("PASS",)), False, id="misaligned after all"),
        pytest.param("?", "?", "no answer in 300 s", None, False, id="no answer"),
    ],
)
def test_a_result_is_right_by_what_was_observed_and_what_the_table_says(truth, observed, verdict, expected, is_right):
    result = {"truth": truth, "observed": observed, "verdict": verdict, "proof": "identity"}
    assert right(result, expected) is is_right


def test_the_first_cause_is_compared_with_the_table_where_something_went_wrong(folder, capsys):
    case(folder, "201_reordered", REORDERED)
    case(folder, "202_race", 'KIND = "misaligned"\n')
    case(folder, "209_reordered", REORDERED)
    run(folder)
    assert "1 of 2 causes named as in the tables (50%, at least 90%: BROKEN)" in capsys.readouterr().out


@pytest.mark.slow
def test_a_case_runs_in_a_separate_process(tmp_path):
    (tmp_path / "adapters.py").write_text(ADAPTERS)
    done = run_cases.run_case(case(tmp_path, "203_in_order"))
    assert (done["case"], done["truth"], done["observed"], done["verdict"]) == (
        "203_in_order", "aligned", "aligned", "PASS",
    )  # fmt: skip
    broken = run_cases.run_case(case(tmp_path, "204_broken", 'raise OSError("no such module")\n'))
    assert (broken["truth"], broken["observed"]) == ("?", "?")
    assert broken["verdict"].startswith("exit 1: ")
    assert "no such module" in broken["verdict"]
