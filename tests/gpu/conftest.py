"""What runs on a GPU: through Keras on JAX, and through TensorFlow.

``pytest tests/gpu`` runs what suits the machine. With TEST_DEVICE=cpu all of
it runs on the CPU instead, which tells whether it would run on a GPU.
"""

import functools
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEVICE = os.environ.get("TEST_DEVICE", "gpu")
_COUNT = "import tensorflow as tf; print(len(tf.config.list_physical_devices('GPU')))"


def environment_of(**variables):
    """Of a process that computes on the device under test."""
    hidden = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
    return os.environ | (hidden if DEVICE == "cpu" else {}) | variables


@functools.cache
def _gpus_of_tensorflow():
    done = subprocess.run(
        [sys.executable, "-c", _COUNT], check=False, capture_output=True, text=True
    )
    return int(done.stdout.split()[-1]) if done.returncode == 0 else 0


@pytest.fixture
def on_jax():
    """Run a module of this folder on JAX; gives its answer."""
    if not importlib.util.find_spec("jax"):
        pytest.skip("JAX is not installed: pip install 'jax[cuda12]'")
    if DEVICE == "gpu" and not shutil.which("nvidia-smi"):
        pytest.skip("no NVIDIA GPU is here; TEST_DEVICE=cpu runs it without")

    def run(module):
        done = subprocess.run(
            [sys.executable, "-m", f"tests.gpu.{module}"],
            check=False,
            cwd=ROOT,
            env=environment_of(KERAS_BACKEND="jax"),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        answer = json.loads(done.stdout.splitlines()[-1])
        assert answer["platform"] == DEVICE
        return answer

    return run


@pytest.fixture(scope="session")
def tensorflow_device():
    """The device that TensorFlow trains on, as a run records it."""
    if DEVICE == "gpu" and not shutil.which("nvidia-smi"):
        pytest.skip("no NVIDIA GPU is here; TEST_DEVICE=cpu runs it without")
    if DEVICE == "gpu" and not _gpus_of_tensorflow():
        pytest.skip("TensorFlow sees no GPU: pip install 'headrace[gpu]'")
    return DEVICE
