"""A home with a model of each medium, its servers on one core, load on the other."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from headrace.media import medium
from headrace.models.engines import build_engine
from headrace.models.engines.stored import read_stored
from headrace.settings import Settings
from headrace.state.ledger import Ledger
from headrace.state.tracking import Tracking

from .bench import HEADRACE, HERE, ROOT, Bench, Unavailable, answer_of
from .load import Load
from .machine import seconds_of
from .media import write_sounds, write_texts

SERVER_CORE, LOAD_CORE = 0, 1
SECONDS = 5.0
ENGINE = "headrace.models.engines.answering"


@dataclass(frozen=True, slots=True)
class Asked:
    """A model, and a request for one item.

    Attributes:
        name: of the pipeline.
        body: the file with the item.
        type: of the body.
        limit_ms: for the slowest hundredth of answers.
        path: where it is posted.
    """

    name: str
    body: Path
    type: str
    limit_ms: float
    path: str


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is up, on a core of its own.

    Attributes:
        process: with its children, but for the shadow's.
    """

    process: psutil.Process
    port: int

    def cpu_seconds(self) -> float:
        """What it has taken so far."""
        children = self.process.children(recursive=True)
        own = [child for child in children if ENGINE not in child.cmdline()]
        return sum(map(seconds_of, (self.process, *own)))

    def ask(self, asked: Asked, **options: Any) -> dict[str, Any]:
        """Load it from the other core; see `load.Load`."""
        load = Load(
            port=self.port,
            path=asked.path,
            body=str(asked.body),
            type=asked.type,
            core=LOAD_CORE,
            **{"seconds": SECONDS, **options},
        )
        script = [sys.executable, str(HERE / "load.py"), json.dumps(asdict(load))]
        done = subprocess.run(script, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(f"the load failed: {done.stderr[-300:]}")
        return dict(json.loads(done.stdout))

    def cpu_a_request(self, asked: Asked, **options: Any) -> float:
        """CPU seconds for one answer; see `load.Load` for the options."""
        before = self.cpu_seconds()
        statuses = self.ask(asked, **options)["statuses"]
        if set(statuses) != {"200"}:
            raise Unavailable(f"not all was answered: {statuses}")
        return (self.cpu_seconds() - before) / float(statuses["200"])


class Online:
    """A home with a model of each medium, and servers of it.

    Args:
        bench: its commands and places.

    Attributes:
        images, texts, sounds: a request of each.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench, self.home = bench, bench.new_home()
        self.place = place = bench.place / "online"
        place.mkdir()
        texts = write_texts(place / "texts.parquet", 4000)
        sounds = write_sounds(place / "sounds", 600)
        self._run("digits", "--set", "model.builder=mlp")
        self._run("digits", "--set", "training.seed=2")
        self._run("messages", "--data", str(texts))
        self._run("few_spoken_digits", "--data", str(sounds))
        self.settings = Settings(project=ROOT, home=self.home)
        self.ledger = Ledger(self.settings.database_url)
        self.images = self._asked("digits", "application/octet-stream", 10)
        self.texts = self._asked("messages", "text/plain; charset=utf-8", 10)
        self.sounds = self._asked("few_spoken_digits", "application/octet-stream", 15)
        for name in ("digits/1", "digits/2", "messages", "few_spoken_digits"):
            build_engine(self.ledger.find(name), self.settings)

    def _run(self, pipeline: str, *options: str) -> None:
        fast = ("--set", "gates=[]", "--set", "training.epochs=2", "--json")
        command = ("run", pipeline, *options, *fast)
        answer = answer_of(self._bench.headrace(*command, home=self.home))
        version = str(answer["version"])
        reason = ("--force", "--reason", "benchmark", "--json")
        promote = ("promote", pipeline, version, *reason)
        answer_of(self._bench.headrace(*promote, home=self.home))

    def _asked(self, name: str, media_type: str, limit_ms: float) -> Asked:
        version = self.ledger.find(name)
        content = Tracking(self.settings).version_golden(version)
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            items = file["items"]
        data = version.description
        if medium(data.medium).IS_TEXT:
            content = str(medium(data.medium).raw(items[:1])[0]).encode()
        else:
            content = items[0].tobytes()
        body = self._bench.place / f"{name}.item"
        body.write_bytes(content)
        path = f"/models/{name}/predict"
        return Asked(name, body, media_type, limit_ms, path)

    @contextlib.contextmanager
    def serve(
        self, *arguments: str, variables: Mapping[str, str] = {}
    ) -> Iterator[Server]:
        """``headrace serve``, on the server's core."""
        command = [HEADRACE, "serve", *arguments, "--port", "0", "--json"]
        environment = self._bench.environment_of(self.home) | variables
        with started(command, environment) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise Unavailable("the server did not start")
            port = int(json.loads(line)["url"].rpartition(":")[2])
            yield Server(psutil.Process(process.pid), port)

    @contextlib.contextmanager
    def bare(self) -> Iterator[Server]:
        """The barest server, around the same engine's file."""
        port = free_port()
        command = [sys.executable, str(HERE / "bare_server.py")]
        command += [str(bare_model(self)), str(port), "28,28,1"]
        with started(command, self._bench.environment) as process:
            wait_for(port)
            yield Server(psutil.Process(process.pid), port)


def bare_model(online: Online) -> Path:
    """The file of the engine that the digits have, outside of its store."""
    kept = read_stored(online.ledger.find("digits"), online.settings)
    if kept is None or kept.record.engine != "onnx":
        raise Unavailable("digits has no engine of ONNX Runtime")
    path = online.place / "bare.onnx"
    path.write_bytes(next(v for k, v in kept.files.items() if k.endswith(".onnx")))
    return path


@contextlib.contextmanager
def started(
    command: Sequence[str], environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A server in a process group on a core of its own, ended by Ctrl-C."""
    process = subprocess.Popen(
        ["taskset", "--cpu-list", str(SERVER_CORE), *command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A port that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    """Wait until something listens at a port; raises Unavailable."""
    for _ in range(1200):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.1)
    raise Unavailable("the server did not start")
