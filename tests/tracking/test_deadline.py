"""The deadline: how long a caller waits, and what continues afterwards."""

import threading
import time

import pytest

from evalguard.core.own_errors import OwnError, not_ours
from evalguard.errors import SinkError
from evalguard.tracking.deadline import (
    DeadlineExceeded,
    DeadlineRunner,
    deadline_runner,
    do_in_time,
    send_seconds,
    under_way,
)


def test_work_in_time_is_done_and_its_error_is_raised():
    done = []
    DeadlineRunner().do(lambda: done.append(1), 5)
    assert done == [1]
    with pytest.raises(ZeroDivisionError):
        DeadlineRunner().do(lambda: 1 / 0, 5)


def test_no_caller_waits_longer_than_the_deadline_or_twice():
    release, messenger = threading.Event(), DeadlineRunner()
    start = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        messenger.do(release.wait, 0.2)
    first = time.monotonic() - start
    for _ in range(5):
        with pytest.raises(DeadlineExceeded):
            messenger.do(lambda: None, 30)
    assert time.monotonic() - start < first + 1
    assert 0.2 <= first < 2
    release.set()


def test_work_after_late_work_is_done_once_that_has_ended():
    release, messenger, order = threading.Event(), DeadlineRunner(), list[str]()

    def late():
        release.wait()
        order.append("late")

    with pytest.raises(DeadlineExceeded):
        messenger.do(late, 0.05)
    release.set()
    deadline = time.monotonic() + 5
    while messenger.stuck and time.monotonic() < deadline:
        time.sleep(0.01)
    messenger.do(lambda: order.append("next"), 5)
    assert order == ["late", "next"]


def test_two_threads_take_turns_at_one_server():
    messenger, running, most = DeadlineRunner(), [], []

    def work():
        running.append(1)
        most.append(len(running))
        time.sleep(0.02)
        running.pop()

    threads = [threading.Thread(target=messenger.do, args=(work, 5)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 5


def test_a_stuck_server_does_not_delay_another():
    release = threading.Event()
    with pytest.raises(DeadlineExceeded):
        deadline_runner("http://stuck").do(release.wait, 0.05)
    deadline_runner("http://other").do(lambda: None, 5)
    assert deadline_runner("http://stuck").stuck
    release.set()


def test_the_thread_of_late_work_does_not_keep_the_program_from_ending():
    release = threading.Event()
    with pytest.raises(DeadlineExceeded):
        DeadlineRunner().do(release.wait, 0.05)
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "evalguard-mlflow")
    release.set()


@pytest.mark.parametrize("error", [RuntimeError("server says no"), OwnError()], ids=["foreign", "ours"])
def test_work_in_another_thread_ends_with_its_error(error):
    def work():
        raise error

    with pytest.raises(type(error)):
        under_way(work).result()


def test_work_in_another_thread_can_be_waited_for_twice():
    release, done = threading.Event(), []
    begun = under_way(lambda: done.append(release.wait()))
    with pytest.raises(TimeoutError):
        begun.result(0.01)
    assert not begun.done()
    release.set()
    begun.result()
    assert done == [True]
    assert begun.done()


def test_a_server_that_fails_or_hangs_is_a_sink_error_without_its_password():
    release = threading.Event()

    def refuse():
        with not_ours():
            raise LookupError(42)

    where = "postgresql://user:secret@host/x"
    with pytest.raises(SinkError) as caught:
        do_in_time(where, refuse, 5, "did not take it", ". It is kept.")
    assert str(caught.value) == "MLflow at postgresql://host/x did not take it: LookupError: 42. It is kept."
    with pytest.raises(SinkError) as caught:
        do_in_time(where, release.wait, 0.01, "did not take it", ". It is kept.")
    assert str(caught.value) == "MLflow at postgresql://host/x did not take it within 0.01 s. It is kept."
    release.set()


def test_an_error_of_ours_on_the_way_to_a_server_is_loud_in_strict_mode():
    with pytest.raises(OwnError):
        do_in_time("http://ours", lambda: 1 / 0, 5, "did not take it", "")


def test_a_store_of_files_has_more_time_than_a_server():
    servers = [
        "http://127.0.0.1:5000",
        "https://x.cloud",
        "databricks",
        "databricks://profile",
        "postgresql://db/mlflow",
    ]
    assert {send_seconds(uri) for uri in servers} == {10.0}
    assert {send_seconds(uri) for uri in ("sqlite:///mlflow.db", "file:///home/mlruns", "/home/mlruns")} == {120.0}
