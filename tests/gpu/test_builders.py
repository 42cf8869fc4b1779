"""The model builders on a GPU, on another Keras backend than training uses."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from headrace import models

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="JAX is not installed")
@pytest.mark.skipif(not shutil.which("nvidia-smi"), reason="no NVIDIA GPU is here")
def test_the_builders_learn_on_a_gpu_under_jax() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.gpu.builders"],
        check=False,
        cwd=ROOT,
        env=os.environ | {"KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["platform"] == "gpu"
    names = models.builder_names("image") + models.builder_names("audio")
    assert list(answer["builders"]) == names
    for found in answer["builders"].values():
        assert found["losses"][-1] < found["losses"][0]
        assert found["sums"] == pytest.approx([1, 1], abs=1e-4)
        assert found["accuracy"] >= 0.9
