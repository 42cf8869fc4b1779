"""What all measurements share: the commands, empty homes, a server, what was seen."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from .measure import Measured, measure

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
SETTLE_SECONDS = 2
HEADRACE = str(Path(sys.executable).with_name("headrace"))


class Unavailable(Exception):
    """A figure cannot be had; the message says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure, and how thoroughly.

    Attributes:
        data: an npz in the layout of Keras's ``mnist.npz``.
        data_note: what is to be known of it.
        repeats: of each pair.
        rows: of the large data set; a tenth of them is the small one.
    """

    data: Path
    data_note: str
    repeats: int = 5
    rows: int = 4_000_000


@dataclass
class Bench:
    """The state of one benchmark.

    Attributes:
        options: see `Options`.
        place: an empty folder for all that is made.
        console: where progress goes.
        seen: every command that was measured.
    """

    options: Options
    place: Path
    console: Console
    seen: list[Measured] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in list(os.environ):
            if name.startswith(("HEADRACE_", "PREFECT_", "MLFLOW_")):
                del os.environ[name]
        self.environment = dict(os.environ)
        self._homes = 0

    def say(self, text: str) -> None:
        """A line of progress."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def new_home(self) -> Path:
        """The path of a home that does not exist yet."""
        self._homes += 1
        return self.place / f"home-{self._homes}"

    def environment_of(self, home: Path) -> dict[str, str]:
        """The environment of a command of Headrace."""
        return {**self.environment, "HEADRACE_HOME": str(home)}

    def headrace(
        self,
        *arguments: str,
        home: Path,
        beside: Sequence[psutil.Process] = (),
    ) -> Measured:
        """Measure a command of Headrace.

        Args:
            arguments: as on its command line.
            home: where its state lives.
            beside: the processes of `up` in this home.
        """
        return self.run(
            [HEADRACE, *arguments],
            self.environment_of(home),
            beside,
        )

    def python(self, script: str, *arguments: str) -> Measured:
        """Measure a script of this folder."""
        command = [sys.executable, str(HERE / script), *arguments]
        return self.run(command, self.environment, [])

    def code(self, text: str) -> Measured:
        """Measure some Python."""
        return self.run([sys.executable, "-c", text], self.environment, [])

    def run(
        self,
        command: list[str],
        environment: dict[str, str],
        beside: Sequence[psutil.Process],
    ) -> Measured:
        """Measure any command."""
        measured = measure(command, environment, folder=ROOT, beside=beside)
        self.seen.append(measured)
        return measured

    @contextlib.contextmanager
    def up(self, home: Path) -> Iterator[list[psutil.Process]]:
        """The processes of an idle ``headrace up`` without workers."""
        process = psutil.Popen(
            [HEADRACE, "up", "--no-workers", "--json"],
            cwd=ROOT,
            env=self.environment_of(home),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            if not process.stdout.readline():
                raise Unavailable("`headrace up` did not start")
            time.sleep(SETTLE_SECONDS)
            yield [process, *process.children(recursive=True)]
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


def answer_of(measured: Measured) -> dict[str, Any]:
    """`read_answer` of a measured command."""
    return read_answer(measured.exit_code, measured.stdout, measured.stderr)


def read_answer(exit_code: int, stdout: str, stderr: str) -> dict[str, Any]:
    """What a command of Headrace answered with ``--json``.

    Raises:
        Unavailable: there is no such command or option, or it failed otherwise than
            by a refusal.
    """
    try:
        answer = json.loads(stdout)
    except ValueError:
        answer = {}
    if exit_code in (0, 1) and answer:
        return dict(answer)
    last = (stderr.strip().splitlines() or ["no message"])[-3:]
    said = answer.get("reason") or " ".join(line.strip() for line in last)
    raise Unavailable(f"exit code {exit_code}: {said}")
