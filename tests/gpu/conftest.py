"""Runs on a GPU through Keras on JAX, each in a process of its own."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def on_gpu():
    """Run a module of this folder; gives its answer."""
    if not importlib.util.find_spec("jax"):
        pytest.skip("JAX is not installed")
    if not shutil.which("nvidia-smi"):
        pytest.skip("no NVIDIA GPU is here")

    def run(module):
        done = subprocess.run(
            [sys.executable, "-m", f"tests.gpu.{module}"],
            check=False,
            cwd=ROOT,
            env=os.environ | {"KERAS_BACKEND": "jax"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        answer = json.loads(done.stdout.splitlines()[-1])
        assert answer["platform"] == "gpu"
        return answer

    return run
