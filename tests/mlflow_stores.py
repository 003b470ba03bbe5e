"""MLflow stores and servers for tests: real ones, each in its own folder, and a proxy that breaks them."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

START_S = 120


@pytest.fixture(scope="session")
def mlflow_template(tmp_path_factory) -> Path:
    """An empty, migrated sqlite store: making the schema takes seconds, copying the file milliseconds."""
    from mlflow import MlflowClient

    path: Path = tmp_path_factory.mktemp("mlflow-template") / "mlflow.db"
    with chdir(path.parent):  # where the artifacts of its experiment 0 will be
        MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments(max_results=1)
    return path


@pytest.fixture(scope="session")
def mlflow_store(mlflow_template, tmp_path_factory) -> str:
    """Tracking URI of an sqlite store, with an experiment ``evaluations`` whose artifacts stay beside it."""
    from mlflow import MlflowClient

    folder = tmp_path_factory.mktemp("mlflow-store")
    shutil.copy(mlflow_template, folder / "mlflow.db")
    uri = f"sqlite:///{folder}/mlflow.db"
    MlflowClient(tracking_uri=uri).create_experiment("evaluations", artifact_location=str(folder / "artifacts"))
    return uri


@pytest.fixture(scope="session")
def mlflow_server(mlflow_template, tmp_path_factory) -> Iterator[str]:
    """Tracking URI of a real server on loopback, with an experiment ``evaluations``."""
    from mlflow import MlflowClient

    folder = tmp_path_factory.mktemp("mlflow-server")
    shutil.copy(mlflow_template, folder / "mlflow.db")
    with serving(folder) as uri:
        MlflowClient(tracking_uri=uri).create_experiment("evaluations")
        yield uri


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A real MLflow server on loopback, killed with its whole process group."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    uri = f"http://127.0.0.1:{port}"
    try:
        _wait_for(uri, process, folder / "log")
        yield uri
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(uri: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(f"{uri}/health", timeout=2):  # noqa: S310 - loopback
                return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)


def free_port() -> int:
    """A port without a listener: connections to it are refused."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def hanging() -> Iterator[str]:
    """Address of a port that accepts and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


Fault = Callable[[str, str], int | str | tuple[int, str] | None]


class Proxy:
    """Forwards requests to a server, or answers them itself with a fault.

    Attributes:
        fault: Method and path → None to hand the request on, a status to
            answer with as MLflow would, status and text of an HTML page,
            ``"hang"`` to keep it waiting, ``"drop"`` to hand it on and cut the
            line before the answer.
        seen: Method and path of every request.
    """

    def __init__(self, upstream: str) -> None:
        self.fault: Fault = lambda method, path: None
        self.seen: list[tuple[str, str]] = []
        self.released = threading.Event()
        address = urlsplit(upstream)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                proxy.seen.append((self.command, self.path))
                fault = proxy.fault(self.command, self.path)
                if fault == "hang":
                    proxy.released.wait()
                    self.close_connection = True
                elif isinstance(fault, tuple):
                    self.answer(fault[0], fault[1].encode(), "text/html; charset=utf-8")
                elif isinstance(fault, int):
                    self.answer(fault, b'{"error_code": "INTERNAL_ERROR", "message": "made up by a test"}')
                else:
                    self.hand_on(body, drop=fault == "drop")

            def hand_on(self, body: bytes, *, drop: bool) -> None:
                line = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
                headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                line.request(self.command, self.path, body, headers)
                reply = line.getresponse()
                content = reply.read()
                line.close()
                if drop:
                    self.close_connection = True
                else:
                    self.answer(reply.status, content, reply.headers.get("Content-Type", "application/json"))

            def answer(self, status: int, content: bytes, kind: str = "application/json") -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - the names of the base class

            def log_message(self, *_: object) -> None:
                """Print nothing: a test's output is its failures."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            # Hanging handlers and clients that gave up are expected here.
            block_on_close = False

            def handle_error(self, *_: object) -> None:
                """Print nothing: connections are cut on purpose."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
