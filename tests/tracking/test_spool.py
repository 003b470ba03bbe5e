"""Records in the spool: none is lost, none counts twice, and none overwrites a newer one."""

import json
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from evalguard.cli.app import cli
from evalguard.errors import SinkError
from evalguard.tracking import spool
from evalguard.tracking.mlflow_sink import MlflowSink
from evalguard.tracking.record import choose_slot, record_content
from evalguard.tracking.replay import replay
from evalguard.tracking.send import send
from evalguard.tracking.slots import Slot
from evalguard.tracking.target import Target
from tests.tracking.records import Store, now_ms, record, report

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "spool"


def verdict(store, run, slot=None):
    return store.tags(run).get(f"evalguard.{slot}.verdict" if slot else "evalguard.verdict")


def test_a_record_is_read_as_it_was_put(folder):
    put = replace(record("http://x", "r"), artifacts={"a.png": b"\xff\x00", "report.json": "ü".encode()})
    assert spool.read(spool.put(put)) == put


def test_a_record_can_be_read_by_its_owner_only(folder):
    path = spool.put(record("http://me:secret@x", "r"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"EVALGUARD_SPOOL": "/a", "XDG_STATE_HOME": "/b", "HOME": "/c"}, "/a"),
        ({"XDG_STATE_HOME": "/b", "HOME": "/c"}, "/b/evalguard/spool"),
        ({"HOME": "/c"}, "/c/.local/state/evalguard/spool"),
    ],
)
def test_where_the_spool_is(variables, expected, monkeypatch):
    for name in ("EVALGUARD_SPOOL", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert spool.spool_directory() == Path(expected)


def test_replay_sends_what_is_left_once_in_effect(anywhere):
    run = anywhere.run()
    kept = record(anywhere.uri, run)
    spool.put(kept)
    spool.put(kept)
    done = replay()
    assert (done.sent, done.left, done.failures) == (2, 0, ())
    assert verdict(anywhere, run) == "FAIL"
    assert anywhere.metrics(run)["evalguard/violations"] == 1
    assert {key.split(".")[1] for key in anywhere.tags(run) if key.count(".") == 2 and "evalguard" in key} == {"digits"}
    assert len(anywhere.client.get_metric_history(run, "evalguard/violations")) == 1
    assert len(anywhere.client.get_run(run).inputs.dataset_inputs) == 1
    assert not list(spool.waiting())
    assert replay().sent == 0


@pytest.mark.parametrize("old_verdict", ["PASS", "FAIL", "ERROR"])
@pytest.mark.parametrize("new_verdict", ["PASS", "FAIL"])
def test_an_older_verdict_never_replaces_a_newer_one(store, old_verdict, new_verdict):
    run, now = store.run(), now_ms()
    send(record(store.uri, run, new_verdict, at=now, mark="pending-new"))
    spool.put(record(store.uri, run, old_verdict, at=now - 1000, mark="pending-old"))
    done = replay()
    assert (done.sent, done.superseded) == (0, 1)
    assert verdict(store, run) == verdict(store, run, "digits") == new_verdict
    assert not list(spool.waiting())


def test_an_older_verdict_is_kept_beside_one_that_is_pending(store):
    """Nobody knows yet whether both are on the same labels."""
    run, now = store.run(), now_ms()
    send(record(store.uri, run, "PENDING", at=now, mark="pending-new", files=False))
    spool.put(record(store.uri, run, "FAIL", at=now - 1000, mark="pending-old"))
    assert replay().sent == 1
    assert verdict(store, run, "digits") == "PENDING"
    assert verdict(store, run) == verdict(store, run, "digits-ng-old") == "FAIL"


def test_records_of_one_run_arrive_in_the_order_in_which_they_were_judged(store):
    run, now = store.run(), now_ms()
    for at, name in ((now, "PASS"), (now - 500, "FAIL"), (now - 1000, "ERROR")):
        spool.put(record(store.uri, run, name, at=at, mark=f"pending-{name}"))
    assert replay().sent == 3
    assert verdict(store, run) == "PASS"


# -- evaluations of one name at one time ----------------------------------------------


TIMES = st.tuples(st.integers(1, 7), st.integers(1, 7)).map(lambda pair: (min(pair), max(pair)))


@given(TIMES, TIMES)
def test_two_evaluations_of_one_name_are_both_kept_exactly_when_they_overlap(ours, theirs):
    mine = record("u", "r", began=ours[0], at=ours[1], mark="pending-mine")
    there = {**mine.fields, "record": "x", "began_at_ms": str(theirs[0]), "checked_at_ms": str(theirs[1])}
    chosen = choose_slot(mine, {"digits": Slot("digits", there)})
    if theirs[1] < ours[0]:
        assert chosen == "digits", "theirs was over before ours began: newest wins"
    elif ours[1] < theirs[0]:
        assert chosen is None, "theirs began when ours was over: newest wins"
    else:
        assert chosen == "digits-g-mine"


@pytest.mark.parametrize("other", [{"labels": "f" * 16}, {"model": "models:/other/1"}])
def test_an_evaluation_of_other_labels_or_another_model_is_kept_beside_it(other):
    mine = record("u", "r", "PASS", began=5, at=6, mark="pending-mine")
    there = {**mine.fields, "verdict": "FAIL", "record": "x", "began_at_ms": "1", "checked_at_ms": "2", **other}
    assert choose_slot(mine, {"digits": Slot("digits", there)}) == "digits-g-mine"


@pytest.mark.parametrize("ended", ["PENDING", "ERROR"])
def test_an_evaluation_that_was_killed_or_raised_leaves_nothing_once_it_is_made_again(store, ended):
    run, now = store.run(), now_ms()
    send(record(store.uri, run, "FAIL", at=now - 1000, mark="pending-first"))
    send(record(store.uri, run, ended, at=now - 500, began=now - 600, mark="pending-second", files=False))
    assert verdict(store, run, "digits-second") == ended
    for name, at in (("PENDING", now - 100), ("PASS", now)):
        send(record(store.uri, run, name, at=at, began=now - 100, mark="pending-third", files=name == "PASS"))
    assert {key.split(".")[1] for key in store.tags(run) if key.startswith("evalguard.d")} == {"digits"}
    assert verdict(store, run) == verdict(store, run, "digits") == "PASS"


def test_another_process_that_uses_the_same_name_loses_nothing(store):
    run, now = store.run(), now_ms()
    ours, theirs = "pending-ours", "pending-theirs"
    send(record(store.uri, run, "PENDING", began=now, at=now, mark=ours, files=False))
    send(record(store.uri, run, "PENDING", began=now + 5, at=now + 5, mark=theirs, files=False))
    send(record(store.uri, run, "FAIL", began=now, at=now + 50, mark=ours))
    send(record(store.uri, run, "PASS", began=now + 5, at=now + 60, mark=theirs))
    assert (verdict(store, run, "digits"), verdict(store, run, "digits-g-ours")) == ("PASS", "FAIL")
    assert verdict(store, run) == "FAIL"


def test_a_verdict_leaves_the_slot_of_an_evaluation_that_began_before_and_wrote_later(store):
    run, now = store.run(), now_ms()
    send(record(store.uri, run, "PENDING", began=now, at=now, mark="pending-ours", files=False))
    slow = {"verdict": "PENDING", "record": "pending-slow", "began_at_ms": str(now - 5), "checked_at_ms": str(now - 5)}
    for key, value in Slot("digits", slow).to_tags().items():
        store.client.set_tag(run, key, value)
    send(record(store.uri, run, "PASS", began=now, at=now + 50, mark="pending-ours"))
    assert (verdict(store, run, "digits"), verdict(store, run, "digits-g-ours")) == ("PENDING", "PASS")


def test_a_process_that_was_killed_leaves_pending_and_its_successor_takes_over(store):
    run, now = store.run(), now_ms()
    send(record(store.uri, run, "PENDING", began=now - 900, at=now - 900, mark="pending-killed", files=False))
    assert verdict(store, run) == "PENDING"
    send(record(store.uri, run, "PENDING", began=now - 500, at=now - 500, mark="pending-next", files=False))
    send(record(store.uri, run, "PASS", began=now - 500, at=now, mark="pending-next"))
    assert verdict(store, run) == "PASS"


# -- what can be wrong with a spool -----------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="cut"),
        pytest.param("[]", id="list"),
        pytest.param("null", id="null"),
        pytest.param('{"version": 99}', id="later-version"),
        pytest.param('{"version": 2, "run_id": "x"}', id="incomplete"),
        pytest.param("\x00\xff", id="binary"),
    ],
)
def test_a_corrupt_record_is_reported_renamed_and_does_not_stop_the_others(store, folder, text):
    run = store.run()
    spool.put(record(store.uri, run))
    (folder / "0-broken.evalguard.json").write_text(text, encoding="latin-1")
    done = replay()
    assert done.sent == 1
    (failure,) = done.failures
    assert "0-broken.evalguard.json: expected a record that evalguard wrote" in str(failure)
    assert (folder / "0-broken.evalguard.json.corrupt").exists()
    assert replay().failures == ()


def test_a_record_with_a_path_out_of_its_folder_is_corrupt(store, folder):
    path = spool.put(record(store.uri, store.run()))
    path.write_text(path.read_text().replace('"report.json": "e30="', '"../../evil": "e30="'))
    assert "evil" in path.read_text()
    assert "outside of its folder" in str(replay().failures[0])


@given(st.data())
def test_no_damage_to_a_record_is_more_than_a_sink_error(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    path = spool.put(record("http://x", "r"), folder)
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(whole[:place] + data.draw(st.binary(max_size=3)) + whole[place + 1 :])
    try:
        spool.read(path)
    except SinkError:
        return


def test_a_run_that_was_deleted_is_tried_again_on_request_only(store):
    run = store.run()
    spool.put(record(store.uri, run))
    store.client.delete_run(run)
    assert "Restore the run" in str(replay().failures[0])
    assert not list(spool.waiting())
    assert replay(retry_refused=False).failures == ()
    store.client.restore_run(run)
    assert replay().sent == 1
    assert verdict(store, run) == "FAIL"
    assert not list(spool.refused_records())


def test_a_server_that_is_down_is_tried_once_and_does_not_delay_another(store, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    run = store.run()
    for _ in range(3):
        spool.put(record("http://127.0.0.1:9", run, at=5))
    spool.put(record(store.uri, run))
    done = replay()
    assert (done.sent, done.left, len(done.failures)) == (1, 3, 1)


def test_waiting_records_are_sent_at_the_next_call_that_reaches_their_server(store):
    run, other = store.run(), store.run()
    spool.put(record(store.uri, other))
    spool.put(record("http://127.0.0.1:9", other, "PASS"))
    store.sink(run).write(report(), {})
    assert verdict(store, other) == "FAIL"
    assert [spool.read(path).tracking_uri for path in spool.waiting()] == ["http://127.0.0.1:9"]


def test_a_spool_that_cannot_be_written_does_not_keep_the_verdict_from_the_server(store, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EVALGUARD_SPOOL", str(tmp_path / "file"))
    run = store.run()
    store.sink(run).write(report(), {})
    assert verdict(store, run) == "PASS"
    assert "without being spooled first" in caplog.text


def test_if_neither_spool_nor_server_accepts_a_verdict_both_errors_are_reported(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EVALGUARD_SPOOL", str(tmp_path / "file"))
    sink = MlflowSink(Target(f"sqlite:///{tmp_path}/gone.db", "0" * 32))
    with pytest.raises(SinkError, match=r"did not accept the verdict PASS: .*could not be spooled either: could"):
        sink.write(report(), {})


# -- several processes -------------------------------------------------------------------


def test_a_record_that_another_process_is_sending_is_left_alone(store, folder):
    run = store.run()
    path = spool.put(record(store.uri, run))
    with spool.claimed(path) as mine:
        assert mine
        done = replay()
        assert (done.sent, done.left, done.failures) == (0, 1, ())
    assert replay().sent == 1


@pytest.mark.slow
def test_a_process_killed_while_sending_releases_its_record(store, folder):
    run = store.run()
    path = spool.put(record(store.uri, run))
    program = (
        "import sys, time, pathlib; from evalguard.tracking import spool\n"
        f"with spool.claimed(pathlib.Path({str(path)!r})) as mine: print(mine, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().strip() == "True"
    assert replay().sent == 0
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert replay().sent == 1


@pytest.mark.slow
def test_several_replays_at_once_send_each_record_once_in_effect(store, folder):
    run = store.run()
    for count in range(12):
        spool.put(record(store.uri, run, "PASS", name=f"e{count}"))
    threads = [threading.Thread(target=replay) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not list(spool.waiting())
    assert [verdict(store, run, f"e{count}") for count in range(12)] == ["PASS"] * 12
    assert store.metrics(run)["evalguard/n_labels"] == 12 * 5


def log_one(uri, run, spool_folder, name, delivered, barrier):
    """One of many processes that log into one run at the same time."""
    os.environ["EVALGUARD_SPOOL"] = spool_folder
    sink = Store(uri).sink(run, timeout_s=60)
    barrier.wait()
    sink.begin(name)
    # Predicting takes longer than writing a tag: all processes have begun before the first one is judged.
    barrier.wait()
    judged = report(delivered)
    sink.write(judged, {"report.json": judged.to_json()})


@pytest.mark.slow
@pytest.mark.parametrize("names", ["their-own", "one-and-the-same"])
def test_twelve_processes_logging_at_once_lose_nothing(anywhere, folder, names):
    run = anywhere.run()
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(12)
    wrong = {3, 8}
    processes = [
        context.Process(
            target=log_one,
            args=(
                anywhere.uri,
                run,
                str(folder),
                f"rank{number}" if names == "their-own" else "digits",
                [1, 0, 2, 3, 4] if number in wrong else range(5),
                barrier,
            ),
        )
        for number in range(12)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 12
    tags = anywhere.tags(run)
    verdicts = sorted(
        value
        for key, value in tags.items()
        if key.startswith("evalguard.") and key.count(".") == 2 and key.endswith(".verdict")
    )
    assert verdicts == ["FAIL"] * 2 + ["PASS"] * 10
    assert tags["evalguard.verdict"] == "FAIL"
    metrics = anywhere.metrics(run)
    assert (metrics["evalguard/violations"], metrics["evalguard/n_labels"]) == (2, 60)
    assert not list(spool.waiting(folder))


# -- the command ----------------------------------------------------------------------------


def test_the_command_reports_what_happened_to_each_record(store, folder):
    run, now = store.run(), now_ms()
    send(record(store.uri, run, "PASS", at=now))
    spool.put(record(store.uri, run, at=now - 1000, mark="pending-b"))
    spool.put(record(store.uri, run, name="other"))
    result = CliRunner().invoke(cli, ["replay"])
    sent, held = result.output.splitlines()
    assert (result.exit_code, sent) == (0, "1 sent, 1 dropped because MLflow has a newer verdict")
    assert held == f"spool {folder}: 0 waiting, 0 refused by their server, 0 not readable as records"
    (folder / "x.evalguard.json").write_text("{")
    result = CliRunner().invoke(cli, ["replay"])
    assert result.exit_code == 4
    assert "renamed to x.evalguard.json.corrupt" in result.output


def test_the_spool_holds_json_that_says_what_it_is(folder):
    data = json.loads(spool.put(record("http://x", "r")).read_text())
    assert (data["version"], data["run_id"], data["fields"]["verdict"]) == (2, "r", "FAIL")


def test_a_record_that_an_earlier_version_spooled_keeps_its_digest(folder):
    path = spool.put(record("http://x", "r"))
    data = json.loads(path.read_text())
    del data["about"]
    path.write_text(json.dumps(data))
    read = spool.read(path)
    assert read == record("http://x", "r", at=read.checked_at_ms)
    assert "about" not in json.loads(record_content(read, "digits"))
    assert "about" in json.loads(record_content(replace(read, about={"caller": {}}), "digits"))
