"""An engine in a process of its own: right answers in order, or one clear error."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from tests import versions

from headrace.errors import DependencyError, IntegrityError
from headrace.models.engines import EngineProcess, open_engine
from headrace.models.logged.loading import BLOCK
from headrace.state.ledger import Ledger
from headrace.state.tracking import MODEL_FILE, artifacts

pytestmark = pytest.mark.system

IMPOSTOR = """#!{python}
import os, socket, struct, sys, time
connection = socket.socket(fileno=0)
frame = lambda header: connection.sendall(
    struct.pack("!IQ", len(header), 0) + header
)
connection.recv(10_000_000)
{code}
time.sleep(600)
"""
READY = """
import json
figures = {"ready": "keras", "shape": [3], "difference": 0.0, "latency_ms": 1.0}
frame(json.dumps(figures).encode())
connection.recv(10_000_000)
"""


def version_of(settings, model):
    return Ledger(settings.database_url).version(model, 1)


@pytest.fixture
def opened(registered):
    """Opens the process of a version; all of them are closed at the end."""
    engines = []

    def make(model, **options):
        version = version_of(registered, model)
        engines.append(EngineProcess(version, registered, **options))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


@pytest.mark.parametrize("medium", ["image", "text", "audio"])
def test_keras_answers_any_number_of_items_as_it_did_in_training(
    registered, opened, medium
):
    engine = opened(f"{medium}s")
    expected = versions.expected(registered, version_of(registered, f"{medium}s"))
    assert engine.name == "keras"
    assert engine.difference <= 1e-5
    assert engine.latency_ms > 0
    for items in versions.forms(medium):
        assert np.abs(engine(items) - expected).max() <= 1e-5
        assert engine(items[:0]).shape == (0, 3)
        rows = 2 * BLOCK + 3
        many = engine(np.resize(items, (rows, *items.shape[1:])))
        assert many.dtype == np.float32
        assert np.abs(many - np.resize(expected, (rows, 3))).max() <= 1e-5
        asked = asyncio.run(engine.answer(items[:0]))
        assert asked.shape == (0, 3)
    assert "tensorflow" in _loaded(engine.pid)


def _loaded(pid):
    return " ".join(entry.path for entry in psutil.Process(pid).memory_maps())


def test_texts_of_any_script_arrive_as_they_were_sent(opened, registered):
    from headrace.models.logged.loading import load_version
    from headrace.state.tracking import Tracking

    version = version_of(registered, "texts")
    texts = np.array(["海水很深 🙂", "שלום", "e\u0301 \u202e abc", "x" * 5000], object)
    here = load_version(Tracking(registered), version)
    assert np.abs(opened("texts")(texts) - here(list(texts))).max() <= 1e-6


def test_outstanding_requests_are_answered_each_with_its_own(opened, registered):
    engine = opened("images")
    expected = versions.expected(registered, version_of(registered, "images"))
    pixels, floats = versions.forms("image")

    async def ask():
        sizes = [1 + n % 5 for n in range(200)]
        asked = [
            engine.answer((pixels if n % 3 else floats)[n % 11 : n % 11 + size])
            for n, size in enumerate(sizes)
        ]
        answers = asyncio.gather(*asked)
        beats = 0
        while not answers.done():  # the loop goes on meanwhile
            beats += 1
            await asyncio.sleep(0)
        assert beats > 1
        return await answers

    for n, given in enumerate(asyncio.run(ask())):
        own = expected[n % 11 : n % 11 + 1 + n % 5]
        assert given.shape == own.shape
        assert np.abs(given - own).max() <= 1e-5


def test_a_request_that_is_given_up_disturbs_no_other(opened, registered):
    engine = opened("images")
    (pixels, _), expected = (
        versions.forms("image"),
        versions.expected(registered, version_of(registered, "images")),
    )

    async def ask():
        asked = [asyncio.ensure_future(engine.answer(pixels)) for _ in range(20)]
        await asyncio.sleep(0)
        for task in asked[::2]:
            task.cancel()
        return await asyncio.gather(*asked, return_exceptions=True)

    for number, given in enumerate(asyncio.run(ask())):
        if number % 2:
            assert np.abs(given - expected).max() <= 1e-5
        else:
            assert isinstance(given, asyncio.CancelledError)


def test_a_crash_fails_what_waits_and_what_comes_later(opened):
    engine, (pixels, _) = opened("images"), versions.forms("image")

    async def ask():
        os.kill(engine.pid, signal.SIGSTOP)
        asked = [asyncio.ensure_future(engine.answer(pixels)) for _ in range(5)]
        await asyncio.sleep(0.1)
        os.kill(engine.pid, signal.SIGKILL)
        return await asyncio.gather(*asked, return_exceptions=True)

    for error in asyncio.run(ask()):
        assert isinstance(error, DependencyError)
        assert (
            "keras process of images version 1 was killed by signal 9" in error.message
        )
        assert error.action
    with pytest.raises(DependencyError, match="was killed by signal 9"):
        engine(pixels)
    assert "was killed by signal 9, perhaps by the kernel" in engine.failure


def test_a_process_that_hangs_is_ended(opened):
    engine, (pixels, _) = opened("images", answer_seconds=0.5), versions.forms("image")
    os.kill(engine.pid, signal.SIGSTOP)
    with pytest.raises(DependencyError, match=r"did not answer within 0\.5 s"):
        engine(pixels)
    assert not psutil.pid_exists(engine.pid)


def test_a_closed_engine_says_so(opened):
    engine = opened("images")
    engine.close()
    assert not psutil.pid_exists(engine.pid)
    with pytest.raises(DependencyError, match="images version 1 was closed"):
        engine(versions.forms("image")[0])
    engine.close()


@pytest.mark.usefixtures("cold")
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("sys.stderr.write('no memory\\n'); sys.exit(3)", "ended with 3: no memory"),
        ("os.close(0); connection.detach()", r"ended with None|ended with"),
        ("pass", r"did not answer within 2 s"),
        (
            READY + """frame(b'{"error": "", "message": "no kernel", "action": ""}')""",
            "failed: no kernel",
        ),
    ],
)
def test_a_process_that_fails_is_ended_and_says_why(
    registered, tmp_path, monkeypatch, code, message
):
    impostor = tmp_path / "impostor"
    text = IMPOSTOR.replace("{python}", sys.executable).replace("{code}", code)
    impostor.write_text(text)
    impostor.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(impostor))
    limits = {"start_seconds": 2.0, "answer_seconds": 2.0}
    with pytest.raises(DependencyError, match=message) as caught:
        engine = EngineProcess(version_of(registered, "images"), registered, **limits)
        try:
            engine(versions.forms("image")[0])
        finally:
            engine.close()
    assert "images version 1" in caught.value.message
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.ZombieProcess):  # of another test
            assert "impostor" not in " ".join(child.cmdline())


def test_a_changed_model_is_not_served(registered):
    version = version_of(registered, "images")
    place = artifacts.model_place(version, registered.artifacts)
    folder = artifacts.local_path(place)
    assert folder is not None
    with (folder / MODEL_FILE).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(IntegrityError, match="images"):
        EngineProcess(version, registered)


def test_a_model_with_other_answers_is_not_served(registered):
    """The golden answers of another model, as if they were this one's."""
    images, wild = (version_of(registered, name) for name in ("images", "wild"))
    other = images.model_copy(update={"run_id": wild.run_id, "details": wild.details})
    root = artifacts.local_path(registered.artifacts)
    assert root is not None
    (root / "images" / "run").rename(root / "images" / "aside")
    (root / "wild" / "run").rename(root / "images" / "run")
    with pytest.raises(IntegrityError, match="does not give its golden answers"):
        EngineProcess(other, registered)


PARENT = """
import signal, sys, time
from headrace.models.engines import EngineProcess
from headrace.settings import Settings
from headrace.state.ledger import Ledger
settings = Settings()
version = Ledger(settings.database_url).version("images", 1)
engine = EngineProcess(version, settings)
print(engine.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_the_process_that_started_it(registered, number):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        env={**os.environ, "HEADRACE_HOME": str(registered.home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert psutil.pid_exists(pid)
    parent.send_signal(number)
    parent.wait()
    parent.stdout.close()
    for _ in range(200):
        if not psutil.pid_exists(pid):
            return
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return  # whoever adopted it has not waited for it yet
        time.sleep(0.05)
    raise AssertionError(f"{pid} outlives its parent")


@pytest.mark.usefixtures("cold")
def test_a_kept_engine_can_have_a_process_too(built):
    version = version_of(built, "images")
    engine = EngineProcess(version, built, "onnx")
    try:
        expected = versions.expected(built, version)
        for items in versions.forms("image"):
            assert np.abs(engine(items) - expected).max() <= 1e-5
        assert "tensorflow" not in _loaded(engine.pid)
    finally:
        engine.close()
    with pytest.raises(DependencyError, match="has no engine savedmodel"):
        EngineProcess(version, built, "savedmodel")


@pytest.mark.parametrize(("engines", "name"), [("auto", "onnx"), ("none", "keras")])
def test_the_process_finds_its_engine_itself(built, engines, name):
    settings = built.model_copy(update={"engines": engines})
    engine = EngineProcess(version_of(built, "images"), settings, "")
    assert engine.name == name
    engine.close()


def test_where_engines_are_off_keras_answers(built):
    off = built.model_copy(update={"engines": "none"})
    engine = open_engine(version_of(built, "images"), off)
    assert engine.name == "keras"
    engine.close()
