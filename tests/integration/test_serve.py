"""`headrace serve`: a real server, and clients that know nothing of it."""

import http.client
import io
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import psutil
import pytest
import tritonclient.http as triton
from tests.homes import Home
from tests.waiting import until

from headrace.models.engines.stored import golden_bytes
from headrace.settings import Settings
from headrace.state.ledger import Ledger

pytestmark = pytest.mark.integration

RAW = {"content-type": "application/octet-stream"}
PATH = "/models/blobs/predict"
PIXELS = bytes(64)


class Serving:
    """A running server of the model ``blobs``."""

    def __init__(self, home, *arguments):
        self.home = home
        command = ("serve", "blobs", "--port", "0", "--json", *arguments)
        self.process = home.start(*command)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        self.ready = json.loads(line)
        self.place = self.ready["url"].partition("://")[2]
        self.port = int(self.place.rpartition(":")[2])

    @property
    def settings(self):
        return Settings(project=self.home.project, home=self.home.path, user="ada@lab")

    @property
    def ledger(self):
        return Ledger(self.settings.database_url)

    def connect(self):
        return http.client.HTTPConnection(self.place, timeout=30)

    def send(
        self,
        method,
        path,
        body=None,
        headers={},  # noqa: B006
    ):
        """One request by a connection of its own."""
        connection = self.connect()
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return reply.status, reply.headers, reply.read()
        finally:
            connection.close()

    def get(self, path):
        return json.loads(self.send("GET", path)[2])

    @property
    def version(self):
        status, headers, body = self.send("POST", PATH, PIXELS, RAW)
        assert status == 200, body
        return int(headers["x-model-version"])

    def socket(self, data=b""):
        opened = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        opened.sendall(data)
        return opened

    def memory(self):
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=60)
        return self.process.returncode, err


def first_line(opened):
    """The status line of the reply, once the server has closed the connection."""
    data = b""
    while part := opened.recv(65536):
        data += part
    return data.partition(b"\r\n")[0].decode()


@pytest.fixture(scope="module")
def server(second, copy_of, tmp_path_factory):
    """A server of a home with two versions, the first of them the champion."""
    place = copy_of(second[0].path, tmp_path_factory.mktemp("serve") / "home")
    home = Home(place, second[0].project)
    started = Serving(home)
    yield started
    if started.process.poll() is None:
        code, err = started.end()
        assert code == 0, err


def promote(serving, version):
    ledger = serving.ledger
    last = ledger.sequence("blobs")
    ledger.promote(
        "blobs",
        version,
        who="ada",
        why="a test",
        expected_sequence=last,
        forced=True,
    )


def other_than(version):
    return 3 - version


def test_its_process_has_no_tensorflow_and_no_pandas(server):
    assert server.version
    unwritten = b'headrace_log_rows_total{state="written"} 0.0\n'
    until(lambda: unwritten not in server.send("GET", "/metrics")[2])
    maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    for name in ("tensorflow", "libpandas", "mlflow", "pandas/_libs"):
        assert name not in maps


def test_tritons_client_gets_what_it_asks_for(server):
    client = triton.InferenceServerClient(server.place)
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("blobs")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    model = client.get_model_metadata("blobs")
    (own,) = model["inputs"]
    assert (own["name"], own["datatype"]) == ("image", "UINT8")
    version = server.version
    row = server.ledger.version("blobs", version)
    with np.load(io.BytesIO(golden_bytes(row, server.settings))) as golden:
        items, outputs = golden["items"][:5], golden["outputs"][:5]
    assert client.is_model_ready("blobs", str(version))
    for binary in (True, False):
        tensor = triton.InferInput("image", list(items.shape), "UINT8")
        tensor.set_data_from_numpy(items, binary_data=binary)
        wanted = triton.InferRequestedOutput("probabilities", binary_data=binary)
        for several in (None, [wanted]):
            answer = client.infer("blobs", [tensor], outputs=several, request_id="r1")
            assert np.abs(answer.as_numpy("probabilities") - outputs).max() < 1e-5
            response = answer.get_response()
            assert (response["id"], response["model_version"]) == ("r1", str(version))
    with pytest.raises(triton.InferenceServerException, match="There is no model"):
        client.get_model_metadata("blob")
    client.close()


def test_an_endless_body_is_refused_while_it_is_sent(server):
    before = server.memory()
    head = f"POST {PATH} HTTP/1.1\r\nhost: localhost\r\n"
    head += "content-type: image/png\r\ntransfer-encoding: chunked\r\n\r\n"
    with server.socket(head.encode()) as opened:
        chunk = b"100000\r\n" + bytes(2**20) + b"\r\n"
        sent = 0
        with pytest.raises(OSError):
            opened.settimeout(0.5)
            while sent < 300:
                opened.sendall(chunk)
                sent += 1
        assert sent < 200
    assert server.memory() - before < 64 * 2**20
    declared = {**RAW, "content-length": str(300 * 2**20)}
    with server.socket() as opened:
        lines = [f"POST {PATH} HTTP/1.1", "host: localhost"]
        lines += [f"{name}: {value}" for name, value in declared.items()]
        opened.sendall("\r\n".join([*lines, "", ""]).encode())
        assert first_line(opened) == "HTTP/1.1 413 Request Entity Too Large"
    assert server.version


def test_slow_and_idle_clients_are_ended_and_others_served(server):
    line = f"POST {PATH} HTTP/1.1\r\nhost: localhost\r\n".encode()
    body = b"content-type: application/octet-stream\r\ncontent-length: 64\r\n\r\nab"
    idle = [server.socket() for _ in range(1000)]
    slow_header, slow_body = server.socket(line), server.socket(line + body)
    started = time.monotonic()
    times = []
    while time.monotonic() - started < 5:
        asked = time.monotonic()
        assert server.version
        times.append(time.monotonic() - asked)
    assert max(times) < 5
    assert first_line(slow_header) == "HTTP/1.1 408 Request Timeout"
    assert first_line(slow_body) == "HTTP/1.1 408 Request Timeout"
    assert {one.recv(1) for one in idle} == {b""}  # no answer to no request
    assert time.monotonic() - started < 30
    for one in (*idle, slow_header, slow_body):
        one.close()


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"GET /v2 HTTP/1.1\r\nhost localhost\r\n\r\n", "400 Bad Request"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000, "431 Request Header"),
        (b"GET /v2 HTTP/1.1\r\nhost: evil\r\nconnection: close\r\n\r\n", "403 Forb"),
    ],
)
def test_what_is_no_http_is_refused(server, data, line):
    with server.socket() as opened:
        try:
            opened.sendall(data)
            assert first_line(opened).startswith(f"HTTP/1.1 {line}")
        except ConnectionError:  # it stopped to read
            assert line.startswith("431")
    assert server.version


def test_a_swap_under_load_fails_no_request(server):
    goldens = {}
    for version in (1, 2):
        row = server.ledger.version("blobs", version)
        with np.load(io.BytesIO(golden_bytes(row, server.settings))) as golden:
            goldens[version] = golden["items"], golden["outputs"]
    items = goldens[1][0]
    assert np.array_equal(items, goldens[2][0])
    wrong = []
    counts = {1: 0, 2: 0}
    ended = threading.Event()

    def load(number):
        connection = server.connect()
        while not ended.is_set():
            row = (number := number + 1) % len(items)
            connection.request("POST", PATH, items[row].tobytes(), RAW)
            reply = connection.getresponse()
            answer = json.loads(reply.read())
            if reply.status != 200:
                wrong.append(answer)
                continue
            given = list(answer["probabilities"].values())
            version = answer["version"]
            counts[version] += 1
            if np.abs(np.array(given) - goldens[version][1][row]).max() > 1e-5:
                wrong.append((version, row))
        connection.close()

    threads = [threading.Thread(target=load, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    try:
        first = server.version
        for version in (other_than(first), first):
            promote(server, version)
            until(lambda wanted=version: server.version == wanted)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert not wrong and min(counts.values()) > 0, (wrong[:3], counts)
    swaps = server.send("GET", "/metrics")[2].decode()
    assert 'headrace_swaps_total{model="blobs"} 2' in swaps


def test_without_its_ledger_it_serves_on_and_says_so(server):
    file = server.home.path / "headrace.db"
    away = file.with_name("away.db")
    file.rename(away)
    try:
        until(lambda: server.get("/v2/health/ready").get("ledger"))
        assert server.get("/v2/health/ready")["ready"] is True
        assert server.version
        assert "headrace_ledger_up 0" in server.send("GET", "/metrics")[2].decode()
    finally:
        away.rename(file)
    until(lambda: server.get("/v2/health/ready") == {"ready": True})


def test_a_signal_ends_it_after_the_last_answer(server, copy_of, tmp_path):
    home = Home(copy_of(server.home.path, tmp_path / "home"), server.home.project)
    own = Serving(home)
    idle = own.socket()
    line = f"POST {PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 64\r\n"
    started = own.socket(
        line.encode() + b"content-type: application/octet-stream\r\n\r\n"
    )
    time.sleep(0.5)
    own.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    with pytest.raises(ConnectionRefusedError):
        own.socket()
    started.sendall(PIXELS)
    assert first_line(started) == "HTTP/1.1 200 OK"
    _, err = own.process.communicate(timeout=30)
    assert own.process.returncode == 0 and "Traceback" not in err, err
    assert idle.recv(1) == b""
    assert not [p for p in psutil.process_iter() if _has_home(p, home.path)]


def _has_home(process, home):
    try:
        return process.environ().get("HEADRACE_HOME") == str(home)
    except psutil.Error:
        return False


def test_what_cannot_be_served_is_said_before_anything_is_loaded(server):
    home = server.home
    taken = home.headrace("serve", "blobs", "--port", str(server.port), "--json")
    assert taken.exit_code == 3 and "is taken" in taken.json["reason"]
    for arguments, words in (
        (("nothing",), "Known models: blobs"),
        (("blobs/9",), "no version 9"),
        (("blobs@best",), "is not a model"),
        (("blobs", "--host", "0.0.0.0"), "needs a token and TLS"),
        (("blobs", "--tls-cert", "c.pem"), "Only one of"),
        (("blobs", "--token-file", "absent"), "cannot be read"),
    ):
        refused = home.headrace("serve", *arguments, "--port", "0", "--json")
        assert refused.exit_code == 2 and words in refused.json["reason"]


def test_others_need_the_token_and_get_tls(server, tmp_path):
    certificate, key, token = (tmp_path / n for n in ("c.pem", "k.pem", "token"))
    openssl = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run([*openssl, *names, *files], check=True, capture_output=True)
    secret = "s3cret" * 8
    token.touch(0o600)
    token.write_text(secret)
    options = ("--host", "0.0.0.0", "--token-file", str(token))
    own = Serving(
        server.home, *options, "--tls-cert", str(certificate), "--tls-key", str(key)
    )
    context = ssl.create_default_context(cafile=str(certificate))

    def status(path, **headers):
        request = urllib.request.Request(own.ready["url"] + path, headers=headers)
        try:
            with urllib.request.urlopen(request, context=context, timeout=30) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as error:
            return error.code

    try:
        assert own.ready["url"].startswith("https://127.0.0.1:")
        assert status("/models") == 401
        assert status("/models", Authorization=f"Bearer {secret}") == 200
        assert status("/v2/health/ready") == 200
    finally:
        code, err = own.end(signal.SIGINT)
    assert code == 0 and secret not in err + json.dumps(own.ready), err
    pair = ("--tls-cert", str(key), "--tls-key", str(certificate))
    refused = server.home.headrace("serve", "blobs", "--port", "0", *pair, "--json")
    assert refused.exit_code == 2 and "not a pair of PEM" in refused.json["reason"]
    assert os.environ.get("HEADRACE_HOME") is None
