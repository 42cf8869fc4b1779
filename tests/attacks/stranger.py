"""Another user of this machine: code that runs with a second user's rights."""

import base64
import encodings.idna  # noqa: F401 he cannot read it, and http.client wants it
import http.client
import json
import multiprocessing
import os
import secrets
import socket
from urllib.parse import urlsplit

import pytest

NOBODY = 65534
_WS = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "prefect",
}


def as_stranger(work, *arguments):
    """What a function returns to another user; skipped where nobody can become one."""
    if os.geteuid() != 0:
        pytest.skip("becoming another user of this machine needs root")
    fork = multiprocessing.get_context("fork")  # he need not be able to read our code
    here, there = fork.Pipe(duplex=False)
    process = fork.Process(target=_become_and_do, args=(there, work, arguments))
    process.start()
    there.close()
    try:
        assert here.poll(240), "no answer"
        kind, found = here.recv()
    finally:
        process.join(10)
    assert kind == "returned", found
    return found


def _become_and_do(there, work, arguments):
    try:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        assert os.geteuid() == NOBODY
        there.send(("returned", work(*arguments)))
    except BaseException as error:
        there.send(("raised", repr(error)))


def statuses(server, routes, headers=None):
    """The status that each route answers with; ``WS`` opens a WebSocket."""
    place = urlsplit(server)
    found = {}
    for method, path in routes:
        given = {"Content-Type": "application/json", **(headers or {})}
        if method == "WS":
            key = base64.b64encode(secrets.token_bytes(16)).decode()
            given |= {**_WS, "Sec-WebSocket-Key": key}
        connection = http.client.HTTPConnection(
            place.hostname or "", place.port, timeout=60
        )
        body = None if method in {"GET", "WS"} else json.dumps({"name": "stranger"})
        try:
            verb = "GET" if method == "WS" else method
            connection.request(verb, path, body, given)
            found[method, path] = connection.getresponse().status
        finally:
            connection.close()
    return found


def opened(paths):
    """Those of some files, folders and sockets that can be read or connected to."""
    got = []
    for path in paths:
        try:
            if path.endswith(".s.PGSQL.5432"):
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(path)
            elif os.path.isdir(path):
                os.listdir(path)
            else:
                with open(path, "rb") as file:
                    file.read(1)
        except OSError:
            continue
        got.append(path)
    return got


def listening_ports():
    """The TCP ports of this machine's loopback that answer, as anyone can see."""
    ports = set()
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in list(table)[1:]:
            local, state = line.split()[1], line.split()[3]
            if state == "0A":
                ports.add(int(local.rpartition(":")[2], 16))
    return sorted(ports)
