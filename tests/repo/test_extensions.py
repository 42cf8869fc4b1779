"""An installed package adds a model family, a reader and a gate, without an edit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.repo.installing import install

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "mill"
version = "1.0"

[project.entry-points."headrace.models"]
stump = "mill.stump"

[project.entry-points."headrace.sources"]
raster = "mill.raster"

[project.entry-points."headrace.gates"]
even = "mill.even"
"""

STUMP = '''
"""One hidden layer."""

MEDIUM = "image"
YIELDS = "vector"
RECIPE = {"epochs": 20, "batch_size": 16, "optimizer": "adam", "learning_rate": 0.01}
LEAST_STEPS = 100


def build(data, units=16):
    import keras
    from headrace.media import preprocessing

    layers = [keras.Input(data.shape), keras.layers.Flatten()]
    layers.append(keras.layers.Dense(units, activation="relu"))
    return preprocessing(data), keras.Sequential(layers, name="stump")
'''

RASTER = '''
"""RASTER files: a line, then a line for each image with its label and its pixels."""

import numpy as np

from headrace.errors import SourceError
from headrace.media.chunks import Chunk

MAGIC = b"RASTER "


def read(data, head, source, settings):
    return rows(data, settings) if head.startswith(MAGIC) else None


def rows(file, settings):
    with file.open() as raw:
        lines = raw.read(settings.max_file_bytes).decode().splitlines()
    side = int(lines[0].split()[1])
    rows = [line.split() for line in lines[1:]]
    if any(len(row) != 1 + side * side for row in rows):
        raise SourceError(f"{file.where} has a row of another length.", "Mend it.")
    pixels = np.array([row[1:] for row in rows], np.uint8)
    items = pixels.reshape(-1, side, side)
    names = [f"line {number}" for number in range(2, len(rows) + 2)]
    yield Chunk(None, items, [row[0] for row in rows], names, "raster")
'''

EVEN = '''
"""That no class is right much less often than another."""

from headrace.records import GateResult


class Even:
    def judge(self, gate, metrics):
        recalls = [v for k, v in metrics.items() if k.endswith("/recall")]
        gap = max(recalls) - min(recalls)
        passed = gap <= gate.arguments["most"]
        return GateResult(name=gate.name, passed=passed, value=gap, reason="" if passed
                          else f"recalls differ by {gap:.2f}")


KIND = Even()
'''

PIPELINE = """
medium = "image"

[data]
source = "bands.raster"

[model]
builder = "stump"

[[gates]]
name = "accuracy"
threshold = 0.8

[[gates]]
name = "even"
kind = "even"
arguments = { most = 0.5 }
"""


def write_data(path: Path) -> None:
    chance = np.random.default_rng(0)
    lines = ["RASTER 6"]
    for number in range(240):
        image = chance.integers(0, 60, (6, 6))
        image[2 * (number % 3) : 2 * (number % 3) + 2] += 150
        lines.append(" ".join([f"band{number % 3}", *map(str, image.ravel())]))
    path.write_text("\n".join(lines))


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own, which sees this one's packages and the new wheel."""
    place = tmp_path_factory.mktemp("extension")
    source = place / "source"
    (source / "mill").mkdir(parents=True)
    (source / "pyproject.toml").write_text(PYPROJECT)
    modules = {"__init__": "", "stump": STUMP, "raster": RASTER, "even": EVEN}
    for name, code in modules.items():
        (source / "mill" / f"{name}.py").write_text(code)
    build = [
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "-t",
        "wheel",
        "-d",
        str(place),
    ]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    (wheel,) = place.glob("*.whl")
    return install(wheel, place / "env")


def test_a_pipeline_runs_with_what_an_installed_wheel_adds(
    python: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "pipelines" / "bands"
    folder.mkdir(parents=True)
    (folder / "pipeline.toml").write_text(
        PIPELINE.replace("bands.raster", str(tmp_path / "bands.raster"))
    )
    write_data(tmp_path / "bands.raster")
    environment = {k: v for k, v in os.environ.items() if "PREFECT" not in k}
    environment |= {"HEADRACE_HOME": str(tmp_path / "home"), "PYTHONPATH": ""}
    done = subprocess.run(
        [str(python), "-m", "headrace_cli", "run", "bands", "--json"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads(done.stdout)
    assert answer["status"] == "promoted"
    gates = {gate["name"]: gate["passed"] for gate in answer["gates"]}
    assert gates["even"] is True


def test_without_the_package_the_family_is_unknown(tmp_path: Path) -> None:
    folder = tmp_path / "pipelines" / "bands"
    folder.mkdir(parents=True)
    (folder / "pipeline.toml").write_text(PIPELINE)
    done = subprocess.run(
        [sys.executable, "-m", "headrace_cli", "check", "bands"],
        cwd=tmp_path,
        env={**os.environ, "HEADRACE_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "is of no known kind (ratio)" in done.stderr
