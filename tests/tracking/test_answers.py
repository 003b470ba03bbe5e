"""Who answers at an address: asked with the user's own login, in one attempt, by real requests."""

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from evalguard.errors import SinkError
from evalguard.tracking.answers import obstacle
from evalguard.tracking.gate.gate import gate
from tests.mlflow_stores import Proxy, free_port, hanging

BASIC = "Basic " + base64.b64encode(b"me:secret").decode()


class WithLogin(BaseHTTPRequestHandler):
    """Answers as MLflow does, if the request has the login that it expects."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        right = self.headers.get("Authorization") in {BASIC, "Bearer t0ken"}
        self.send_response(200 if right else 401)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"experiments": []}' if right else b'{"message": "Unauthorized"}')

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def with_login() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), WithLogin)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("variables", "answers"),
    [
        pytest.param({}, False, id="none"),
        pytest.param({"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "secret"}, True, id="password"),
        pytest.param({"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "old"}, False, id="old-password"),
        pytest.param({"MLFLOW_TRACKING_TOKEN": "t0ken"}, True, id="token"),
        pytest.param({"MLFLOW_TRACKING_TOKEN": "revoked"}, False, id="revoked-token"),
    ],
)
def test_the_login_is_that_of_the_user(with_login, monkeypatch, variables, answers):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    why = obstacle(with_login)
    assert why.startswith("it refuses the login (status 401); set or correct MLFLOW_TRACKING_USERNAME") is not answers
    assert bool(why) is not answers
    assert not any(value in why for value in variables.values())


def test_a_login_in_the_address_is_used_and_not_shown(with_login):
    assert obstacle(with_login.replace("://", "://me:secret@")) == ""
    why = obstacle(with_login.replace("://", "://me:wrong@"))
    assert "it refuses the login" in why
    assert "wrong" not in why


@pytest.mark.parametrize("uri", ["", "mlruns", "sqlite:///x.db", "file:///x", "databricks", "unknown://x"])
def test_what_is_no_http_server_is_not_asked(uri):
    assert obstacle(uri) == ""


def test_what_does_not_answer_is_no_mlflow():
    assert obstacle(f"http://127.0.0.1:{free_port()}").startswith("no connection (Connection refused);")
    with hanging() as uri:
        assert obstacle(uri, 0.3).startswith("no answer within 0.3 s;")


@pytest.mark.slow
def test_mlflow_itself_is_no_obstacle(mlflow_server):
    assert obstacle(mlflow_server) == obstacle(f"{mlflow_server}/") == ""


def test_the_gate_names_what_answers():
    with Proxy("http://127.0.0.1:9") as proxy:
        proxy.fault = lambda method, path: (200, "<html>Sign in</html>")
        with pytest.raises(SinkError, match=r"gate: MLflow at .* could not be queried: another service answers at"):
            gate(run="0" * 32, tracking_uri=proxy.uri)
