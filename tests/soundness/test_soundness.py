"""A few hundred random evaluation programs against the laws; `make soundness N=20000 SEED=…` runs more."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.soundness import blocks, oracle, trial, watchman
from tests.soundness.machine import lying
from tests.soundness.programs import Call, Program
from tests.soundness.scripts import script
from tests.soundness.smaller import smallest

MENDED = json.loads(Path(__file__).with_name("mended.json").read_text())
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("number", range(5))
def test_no_random_program_breaks_a_law(number):
    # In a separate process, where the same seed writes the same programs; `make soundness` writes other ones.
    for line in blocks.in_blocks(1, blocks.written, [(number, 60)], 60):
        for breach in line["breaches"]:
            program = Program.from_json(json.dumps(line["program"]))
            # What threads do rarely may not happen again; the long run counts it.
            if found := happens_again(program, breach["law"]):
                small, found = smallest(program, found)
                pytest.fail(f"{found}\n{script(small, found.what)}")


def happens_again(program, law):
    """A breach of the same law in one of three more runs."""
    return next((each for _ in range(3) for each in trial.run(program).breaches if each.law == law), None)


@pytest.mark.parametrize("kind", MENDED)
def test_what_broke_a_law_once_breaks_none_now(kind):
    assert trial.run(Program.from_json(json.dumps(MENDED[kind]))).breaches == []


def few_programs():
    """One program for each kind of model, each with another source and another fault."""
    sources = ("generator", "pydataset", "array", "tf_tensors", "tf_generator", "frame", "tf_mapped", "endless")
    models = ("echo", "two_outputs", "reversing", "put_back", "inner_reverse", "noisy", "echo", "echo")
    lies = ("permuted", "shifted", "none", "skipped_row", "batch_order", "foreign_row", "replaced_row", "wrapped")
    for source, model, lie in zip(sources, models, lies, strict=True):
        call = Call(source=source, parts=lying(lie, 11, 4, 3), lie=lie, y="same")
        yield Program(n=11, model=model, identity="reference", entries=((call,),))


@pytest.mark.parametrize(
    "program", list(few_programs()), ids=lambda program: program.model + "-" + program.calls[0].source
)
def test_the_oracle_knows_from_the_program_which_rows_come_out(program):
    written = oracle.moved(program, program.calls[0], oracle.emitted(program, program.calls[0]))
    space = trial.space_of(program)
    model = space["built"]()
    trial.reset_seeds(model)
    returned: list[Any] = []
    space["evaluation"](model, None, returned)
    named = oracle.named(program, program.calls[0], returned[0])
    known = [sample if sample < 3 * program.n else oracle.FOREIGN for sample in written]
    assert list(named) == known


def test_a_script_runs_alone_and_shows_what_the_machine_saw(tmp_path):
    call = Call(source="pydataset", parts=lying("swapped", 11, 4, 3), lie="swapped")
    program = Program(n=11, identity="reference", entries=((call,),))
    file = tmp_path / "program.py"
    file.write_text(script(program, "two samples are swapped"))
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (report,) = trial.run(program).reports
    assert done.stdout.strip() == repr(report)
    assert "FAIL" in repr(report)


def test_rows_are_judged_as_they_came_back_also_where_a_later_call_is_refused():
    repeated = Call(source="array", parts=lying("repeated_batch", 12, 4, 2), lie="repeated_batch")
    refused = Call(method="predict_on_batch", source="batches", parts=lying("swapped", 12, 4, 3), lie="swapped")
    program = Program(
        labels="file", identity="key", model="collide", on_failure="repair", entries=((repeated, refused),)
    )
    done = trial.run(program)
    assert [str(report.verdict) for report in done.reports] == ["REPAIRED", "FAIL"]
    assert not done.breaches


@pytest.mark.parametrize("used_as", ["with", "decorator", "nested", "wrap"])
def test_calls_at_the_same_time_return_what_they_return(used_as):
    calls = tuple(Call(parts=lying(half, 12, 4, 3), slow=20) for half in ("half", "other_half"))
    program = Program(scope="session", used_as=used_as, together=True, entries=(calls,))
    space = trial.space_of(program)
    returned: list[Any] = []
    space["evaluation"](space["built"](), None, returned)
    assert [len(rows) for rows in returned] == [6, 6]


def test_the_script_of_one_call_is_no_longer_than_forty_lines():
    # What fails is made smaller first: most kinds come down to one call.
    programs: list[Program] = []
    blocks.write(0, 400, programs.append)
    lengths = [script(program).count("\n") for program in programs if len(program.calls) == 1]
    assert len(lengths) > 100
    assert max(lengths) <= 40


def test_a_program_that_fails_is_made_smaller():
    program = Program.from_json(json.dumps(MENDED["tf_keras draws other random numbers"]))
    breach = trial.Breach("c", "breaks with tf_keras")
    with pytest.MonkeyPatch.context() as patch:
        breaches = {"tf_keras": [breach], "keras": []}
        patch.setattr(trial, "run", lambda program: SimpleNamespace(breaches=breaches[program.engine]))
        small, found = smallest(replace(program, used_as="nested", entries=(program.entries[0][:1] * 2,)), breach)
    assert len(small.calls) == 1
    assert (small.used_as, small.engine) == ("with", "tf_keras")
    assert found is breach


def test_a_program_survives_the_way_through_json():
    for program in few_programs():
        assert Program.from_json(program.to_json()) == program


def test_rows_of_equal_inputs_are_interchangeable_and_others_are_not():
    program = Program(n=4, values="twins", entries=((Call(),),))
    assert oracle.right(program, oracle.Unit(((1, 0, 2, 3),), (False,), None, None))
    assert not oracle.right(program, oracle.Unit(((2, 1, 0, 3),), (False,), None, None))


def test_metrics_are_right_in_any_order_of_pairs_that_belong_together():
    program = Program(n=4, entries=((Call(method="evaluate"),),))
    assert oracle.right(program, oracle.Unit(((3, 1, 0, 2),), (True,), None, (3, 1, 0, 2)))
    assert not oracle.right(program, oracle.Unit(((3, 1, 0, 2),), (True,), None, (0, 1, 2, 3)))
    assert not oracle.right(program, oracle.Unit(((3, 1, 0, 0),), (True,), None, (3, 1, 0, 0)))
    assert np.isfinite(oracle.target(program, 3))


def test_a_recorded_program_is_the_same_when_it_runs_again():
    call = Call(source="array", parts=lying("swapped", 11, 4, 3), lie="swapped")
    line = blocks.line_of(trial.run(Program(n=11, identity="reference", entries=((call,),))))
    recorded = json.loads(json.dumps(line))
    assert blocks.again([recorded])[0]["observed"] == recorded["observed"]
    assert recorded["observed"][0]["verdict"] == "FAIL"


@pytest.mark.parametrize("broken", watchman.BROKEN, ids=[broken.what for broken in watchman.BROKEN])
def test_the_lines_that_the_watchman_breaks_are_there(broken):
    assert (watchman.ROOT / "evalguard" / broken.file).read_text().count(broken.line) == 1


def test_equal_inputs_are_interchangeable_whatever_their_targets():
    unit = oracle.Unit(((0, 0, 2, 2, 4, 4),), (False,), None, None)
    assert oracle.as_claimed(Program(n=6, values="twins"), unit, "labels")


@pytest.mark.parametrize(
    ("rows", "proof", "claimed"),
    [
        ((0, 1, 5, 3, 4, 2), "labels", True),
        ((0, 1, 5, 3, 4, 2), "identity", False),
        ((1, 0, 2, 3, 4, 5), "labels", False),
        ((0, 1, 2, 3, 4, 2), "labels", False),
        ((0, 1, oracle.FOREIGN, 3, 4, 5), "labels", False),
    ],
)
def test_samples_of_one_class_may_be_swapped_where_targets_prove_the_rows(rows, proof, claimed):
    unit = oracle.Unit((rows,), (False,), None, None)
    assert oracle.as_claimed(Program(n=6), unit, proof) is claimed
