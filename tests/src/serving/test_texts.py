"""The server's side of the process that writes texts, with one that only echoes."""

import asyncio
import os
import signal
import sys
import time

import psutil
import pytest
import uvloop
from tests.src.serving.conftest import IMAGE, Site, Toy, serving

from headrace.errors import DependencyError
from headrace.serving import texts as module
from headrace.serving.replies import HttpError
from headrace.serving.texts import TextProcess
from headrace.use.generating import TextRequest

ECHO = """
import socket, time
from headrace.state.frames import begun, receive, send
connection = socket.socket(fileno=0)
def begin(header):
    if header["settings"] == "hangs":
        time.sleep(600)
    if header["settings"] == "crashes":
        raise SystemExit(1)
    if header["settings"] == "fails":
        raise OSError("no file")
    return None, {}
begun(connection, begin)
while True:
    wish, _ = receive(connection)
    if "ends" not in wish:
        for piece in wish["prompt"]:
            send(connection, {"number": wish["number"], "text": piece})
        if wish["prompt"] != "for ever":
            send(connection, {"number": wish["number"]})
"""


class Given:
    """A version, or settings, as they are sent to the process."""

    def __init__(self, value):
        self._value = value

    def __str__(self):
        return "notes/1"

    def model_dump(self, mode):
        return self._value

    def for_child(self):
        return self._value


@pytest.fixture
def make(tmp_path, monkeypatch):
    (tmp_path / "echo_of_texts.py").write_text(ECHO)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setattr(module, "MODULE", "echo_of_texts")
    made = list[TextProcess]()

    def start(mode="", **options):
        given = Given(mode)
        made.append(TextProcess(given, given, **options))
        return made[-1]

    yield start
    for process in made:
        process.close()


async def written(process, prompt):
    return "".join(
        [piece async for piece in process.stream(TextRequest(prompt=prompt))]
    )


def test_the_first_texts_may_be_asked_for_at_once(make):
    process = make()

    async def ask():
        return await asyncio.gather(*(written(process, f"text {n}") for n in range(9)))

    assert uvloop.run(ask()) == [f"text {n}" for n in range(9)]


@pytest.mark.system
@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("fails", "failed: OSError: no file"),
        ("crashes", "ended with 1"),
        ("hangs", "did not answer within 2 s"),
    ],
)
def test_a_process_that_does_not_start_says_why(make, mode, message):
    with pytest.raises(DependencyError, match=f"texts of notes/1 {message}"):
        make(mode, start_seconds=2 if mode == "hangs" else 60)


def test_a_killed_process_ends_its_texts_and_is_noticed(make):
    uvloop.run(asyncio.sleep(0))  # it keeps some files open
    process = make()
    files = psutil.Process().num_fds()

    async def ask():
        endless = asyncio.ensure_future(written(process, "for ever"))
        await asyncio.sleep(0.2)
        assert not process.failure
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(HttpError, match="was killed by signal 9") as refused:
            await endless
        assert refused.value.status == 503
        assert "was killed by signal 9" in process.failure
        with pytest.raises(HttpError, match="was killed by signal 9"):
            await written(process, "more")
        await asyncio.sleep(0.1)

    uvloop.run(ask())
    assert psutil.Process().num_fds() < files


def test_a_process_that_is_killed_before_its_first_text_is_noticed(make):
    process = make()
    os.kill(process.pid, signal.SIGKILL)
    limit = time.monotonic() + 10
    while not process.failure:
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_texts_are_refused_until_the_process_is_started_again(make):
    async def ask():
        served, other = (serving(IMAGE, engine=Toy(3, 0)) for _ in range(2))
        served.texts, other.texts = make(), make()
        os.kill(served.texts.pid, signal.SIGKILL)
        while not served.failure:
            await asyncio.sleep(0.01)
        site = Site(served)

        async def write():
            wish = TextRequest(prompt="again")
            pieces = site.slots["toy"].champion().write_text(wish)
            return "".join([piece async for piece in pieces])

        with pytest.raises(HttpError, match="Try again in a few seconds") as refused:
            await write()
        assert refused.value.status == 503
        site.models.replace(site.slots["toy"], other)
        assert await write() == "again"

    uvloop.run(ask())
