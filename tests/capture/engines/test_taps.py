"""Taps before the functions of a model, in one process; of two processes that predict together nothing is claimed."""

import json
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evalguard.capture.contract import CaptureOptions, Untagged
from evalguard.capture.engines.taps import Tap, several_workers, tapped
from evalguard.capture.recording.recorder import Recorder

WORKER = Path(__file__).with_name("worker_of_two.py")
ROOT = WORKER.parents[3]


def free_ports():
    holders = [socket.socket() for _ in range(2)]
    for holder in holders:
        holder.bind(("127.0.0.1", 0))
    ports = [str(holder.getsockname()[1]) for holder in holders]
    for holder in holders:
        holder.close()
    return ",".join(ports)


@pytest.mark.slow
@pytest.mark.parametrize("kit", ["keras", "tf_keras"])
def test_what_other_processes_computed_is_not_judged_here(kit):
    ports = free_ports()
    workers = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(rank), ports, kit],
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(ROOT.home()), "EVALGUARD_STRICT": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        done = [worker.communicate(timeout=240) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    for out, err in done:
        assert out, err[-2000:]
        told = json.loads(out.splitlines()[-1])
        assert told["same"]
        assert sorted(told["rows"]) == list(range(21))
        assert told["verdict"] == "UNPROVEN"
        assert "this process receives the rows of 1 of 2 replicas" in " ".join(told["why"])


def strategy(here, replicas):
    extended = SimpleNamespace(worker_devices=range(here))
    return SimpleNamespace(distribute_strategy=SimpleNamespace(extended=extended, num_replicas_in_sync=replicas))


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (object(), ""),
        (strategy(1, 1), ""),
        (strategy(2, 2), ""),
        (strategy(2, 4), "this process receives the rows of 2 of 4 replicas"),
    ],
)
def test_rows_are_observed_where_all_replicas_run_in_this_process(model, why):
    assert several_workers(model).startswith(why)
    assert bool(several_workers(model)) is bool(why)


class Model:
    """Has the parts of a Keras model that a tap uses."""

    predict_function: Any = None

    def make_predict_function(self, force=False):
        if self.predict_function is None or force:
            self.predict_function = lambda data: [2 * x for x in data]
        return self.predict_function

    def predict(self, data):
        self.make_predict_function()
        return self.predict_function(data)


class Negating(Tap):
    stops = 0

    def feed(self, recorder, data):
        batches = [-x for x in data]
        return batches, self.function(batches)

    def stop(self):
        type(self).stops += 1


def test_a_tap_stands_before_the_function_for_the_length_of_the_block_and_in_this_thread_only():
    model, recorder = Model(), Recorder(CaptureOptions())
    with tapped(model, recorder, {"predict": Negating}):
        assert model.predict([1, 2]) == [-2, -4]
        # Called inside: made again, and still one tap before it.
        model.predict_function = None
        assert model.predict([1]) == [-2]
        with ThreadPoolExecutor(1) as other:
            assert other.submit(model.predict, [1]).result() == [2]
        with tapped(model, recorder, {"predict": Negating}):
            assert model.predict([1]) == [-2]
        assert model.predict([1]) == [-2]
    assert model.predict([1, 2]) == [2, 4]
    assert set(vars(model)) == {"predict_function"}
    assert not isinstance(model.predict_function, Tap)


def test_a_stopped_call_is_stopped_after_its_execution():
    model, recorder = Model(), Recorder(CaptureOptions(), stopped="a fault")
    with tapped(model, recorder, {"predict": Negating}):
        model.predict([1])
    assert Negating.stops == 1


def test_a_method_that_reads_ahead_gets_the_callers_batches_and_nothing_is_recorded():
    class Tagged(Untagged):
        def without_tag(self, data):
            return data[0]

    class Reading(Model):
        def read(self, iterator):
            return [batches for *_, part in iterator for batches in part], iterator.steps

    class Epoch(list[Any]):
        steps = 3

    model, recorder = Reading(), Recorder(CaptureOptions(), Tagged())
    with tapped(model, recorder, {}, readers=("read",)):
        assert model.read(iterator=Epoch([(0, 1, [("x", "tag")])])) == (["x"], 3)
    assert not len(recorder.tags)
    assert "read" not in vars(model)
