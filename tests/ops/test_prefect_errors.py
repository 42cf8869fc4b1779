"""What Prefect's client raises becomes an error that says what to do."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest

from headrace.errors import DependencyError, UsageError
from headrace_ops.prefect_inside import translate_errors

Home = Any
ADDRESS = "http://prefect:4200/api"


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (401, UsageError, "PREFECT_API_AUTH_STRING"),
        (403, UsageError, "PREFECT_API_AUTH_STRING"),
        (409, UsageError, "answers 409: no such field"),
        (503, DependencyError, "answers 503"),
    ],
)
def test_a_status_is_a_usage_error_or_one_to_try_again(monkeypatch, status, kind, said):
    monkeypatch.setenv("PREFECT_API_URL", ADDRESS)
    request = httpx.Request("GET", ADDRESS)
    answer = httpx.Response(status, text="no such field", request=request)
    with pytest.raises(kind, match=said) as caught, translate_errors():
        answer.raise_for_status()
    assert ADDRESS in str(caught.value)


def test_no_answer_is_to_be_tried_again():
    with pytest.raises(DependencyError, match="does not answer"), translate_errors():
        raise httpx.ConnectError("refused")


DAY = ("--from", "2026-01-30", "--to", "2026-01-30", "--set", "description=day {date}")


@pytest.fixture
def closed_server():
    """A Prefect server's address that is well and lets nobody in."""

    class Closed(BaseHTTPRequestHandler):
        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200 if self.path.endswith("/health") else 401)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps({"exception_message": "Unauthorized"}).encode())

        do_GET = do_POST = answer

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Closed)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/api"
    server.shutdown()
    server.server_close()


@pytest.mark.system
@pytest.mark.parametrize(
    "command",
    [
        ("run", "blobs", "--json"),
        ("deploy", "--json"),
        ("worker", "--pool", "cpu"),
        ("backfill", "blobs", *DAY, "--json"),
    ],
    ids=lambda command: command[0],
)
def test_a_missing_login_is_exit_2_and_names_the_variable(home, closed_server, command):
    process = home.start(*command, PREFECT_API_URL=closed_server)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 2, err
    assert "PREFECT_API_AUTH_STRING" in err
    assert "Traceback" not in err
