"""An HTTP proxy that breaks what passes through it, as a test plans.

It stands before a real server. Every request is noted; a plan says of each what
becomes of it:

    ""        it is passed on, and so is the answer
    "busy"    503 SlowDown; the server never sees it
    "refuse"  403 InvalidAccessKeyId; the server never sees it
    "late"    passed on after two seconds
    "hang"    no answer, as long as the proxy lives
    "cut"     done, and half of the answer's body is sent
    "lost"    done, and the connection closes without an answer
"""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

LATE_SECONDS = 2.0
_OWN_HEADERS = {"connection", "transfer-encoding", "content-length", "expect"}
_ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>{}</Message></Error>"
_ANSWERS = {
    "busy": (503, _ERROR.format("SlowDown", "Reduce your request rate.")),
    "refuse": (403, _ERROR.format("InvalidAccessKeyId", "No such key.")),
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request that came.

    Attributes:
        number: from 1.
    """

    number: int
    method: str
    path: str


Plan = Callable[[Request], str]


def never(_request):
    """A plan by which nothing breaks."""
    return ""


def every(number, *faults):
    """A plan that breaks each so-many-th request, in turn by each of the faults."""
    turns = itertools.cycle(faults)
    return lambda request: next(turns) if request.number % number == 0 else ""


class FaultProxy:
    """The proxy, on a port of its own while the block lasts.

    Args:
        upstream: the server's address, ``http://host:port``.
        plan: may be changed at any time.

    Attributes:
        url: its own address.
        requests: all that came, and what became of each.
    """

    def __init__(self, upstream, plan=never):
        self.plan = plan
        self.upstream = urlsplit(upstream).netloc
        self.requests = []
        self.closed = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def note(self, method, path):
        """Note a request; what is to become of it."""
        with self._lock:
            request = Request(len(self.requests) + 1, method, path)
            fault = self.plan(request)
            self.requests.append((request, fault))
            return fault

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind, error, trace):
        self.closed.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    proxy: FaultProxy


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _pass(self):
        body = self._body()
        proxy = self.server.proxy
        fault = proxy.note(self.command, self.path)
        if fault in _ANSWERS:
            status, text = _ANSWERS[fault]
            self._send(status, [("Content-Type", "application/xml")], text.encode())
            return
        if fault == "hang":
            proxy.closed.wait()
            self.close_connection = True
            return
        if fault == "late":
            time.sleep(LATE_SECONDS)
        status, headers, answer = self._forward(body)
        if fault == "lost":
            self.close_connection = True
        elif fault == "cut":
            self._send(status, headers, answer, len(answer) // 2)
            self.close_connection = True
        else:
            self._send(status, headers, answer)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = _pass

    def _body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def _forward(self, body):
        connection = http.client.HTTPConnection(self.server.proxy.upstream, timeout=60)
        connection.putrequest(
            self.command, self.path, skip_host=True, skip_accept_encoding=True
        )
        for name, value in self.headers.items():
            if name.lower() not in _OWN_HEADERS:
                connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
        headers = answer.getheaders()
        connection.close()
        return answer.status, headers, content

    def _send(self, status, headers, body, sent=None):
        self.send_response_only(status)
        length = str(len(body))
        for name, value in headers:
            if name.lower() == "content-length":
                length = value  # of a HEAD, the length of what is not sent
            elif name.lower() not in _OWN_HEADERS:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:sent])

    def log_message(self, *_arguments):
        """Say nothing."""
