"""An installed wheel, tried outside of the repository: from a project to an answer."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
from tests.blobs import png

OURS = ("HEADRACE_", "PREFECT_", "MLFLOW_", "PYTHONPATH")
SECONDS = 600


def install(wheel, lock, environment):
    """Install a wheel, and the rest from a lock by its hashes; returns its Python."""
    python = str(environment / "bin" / "python")
    _uv("venv", "--python", sys.executable, str(environment))
    _uv("pip", "install", "--python", python, "--require-hashes", "-r", str(lock))
    _uv("pip", "install", "--python", python, "--no-deps", str(wheel))
    _uv("pip", "check", "--python", python)
    return Path(python)


def _uv(*arguments):
    subprocess.run([sys.executable, "-m", "uv", "--quiet", *arguments], check=True)


class Installed:
    """The command of an installation; its calls answer with their JSON.

    Args:
        python: of the installation.
        folder: in which it is called.
    """

    def __init__(self, python, folder):
        self._command, self._folder = python.with_name("headrace"), folder

    def start(self, *arguments):
        """Start a command that answers with JSON."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
        return subprocess.Popen(
            [str(self._command), *arguments, "--json"],
            cwd=self._folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments):
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, out + err
        return json.loads(out)


def use(python, place):
    """Make a project in a folder, run its pipeline, ask a server, and verify the home.

    Returns:
        the command in the project, and the answers of ``run``, ``/predict`` and
        ``verify``.
    """
    assert Installed(python, place)("init", "project")["pipeline"] == "digits"
    headrace = Installed(python, place / "project")
    ran = headrace("run", "digits")
    assert ran["status"] == "promoted", ran
    answered = _ask(headrace)
    assert answered["version"] == 1
    verified = headrace("verify")
    return headrace, ran, answered, verified


def _ask(headrace):
    """What a server of the champion answers to one image."""
    with headrace.start("serve", "digits", "--port", "0") as server:
        try:
            url = json.loads(server.stdout.readline())["url"]
            request = urllib.request.Request(
                f"{url}/models/digits/predict",
                png(np.zeros((28, 28), np.uint8)),
                {"content-type": "image/png"},
            )
            with urllib.request.urlopen(request, timeout=SECONDS) as reply:
                answer = json.load(reply)
        finally:
            server.terminate()
            _, err = server.communicate(timeout=SECONDS)
    assert server.returncode == 0, err
    return answer
