"""Two processes that predict together: each sees half of the rows, so nothing is claimed, and nothing is changed."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

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
        assert "2 replicas compute and this process sees the rows of 1" in " ".join(told["why"])
