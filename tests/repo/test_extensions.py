"""The package of the page on extensions, and a medium: each works without an edit."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.repo.docs_blocks import ROOT, blocks_of
from tests.repo.installing import install

pytestmark = pytest.mark.system

Run = Callable[..., dict[str, Any]]

PACKAGE = {
    block.note[1].removeprefix("tidepool/"): block.text
    for block in blocks_of(ROOT / "docs" / "guides" / "extend.md")
    if block.note[0] == "file"
}
PIPELINE = PACKAGE["pipelines/pools/pipeline.toml"]
SERIES_TOO = """
[project.entry-points."headrace.media"]
series = "tidepool.series"
"""

LINE = '''
"""One dense layer over a series."""

MEDIUM = "series"
YIELDS = "vector"
RECIPE = {"epochs": 20, "batch_size": 16, "optimizer": "adam", "learning_rate": 0.01}
LEAST_STEPS = 100


def build(data, units=16):
    import keras
    from headrace.media import preprocessing

    dense = keras.layers.Dense(units, activation="relu")
    return preprocessing(data), keras.Sequential([keras.Input(data.shape), dense])
'''

SERIES = '''
"""Series of whole numbers, a text file each: ``3 14 15 92``."""

import zlib

import numpy as np

from headrace.errors import InputError, SpecError
from headrace.media.forms import Decoded, Expectation, Fitted, Problem, Sizes
from headrace.media.interface import Medium
from headrace.records import Form

FIELDS = {
    "points": (
        "int | None",
        {"default": None, "ge": 1, "description": "numbers in each series"},
    )
}


class Series(Medium):
    DTYPE = np.dtype(np.int16)
    DEFAULT_BUILDER = "line"
    BEST_BUILDER = "line"
    UNITS = "numbers"
    SAMPLE_INCHES = (3, 2)
    SUFFIXES = (".series",)
    MEDIA_TYPES = ("text/x-series",)
    EXAMPLE = ("series", "series")
    SOURCES = "Give a folder with one sub-folder of .series files per class."

    def form_of(self, data):
        if data.shape:
            raise SpecError("data.shape is set; series have none.", "Set data.points.")
        shape = (data.points,) if data.points else None
        return Form(shape=shape, options={"base": 10})

    def decode_array(self, array, form, names, where, high=None):
        return array.astype(self.DTYPE), ""

    def sizes(self, files, form):
        counts = [2 * len(data) for data in files]
        return Sizes.of(counts, counts)

    def decode_files(self, files, form):
        return Decoded.of([self._decoded(data, form.options["base"]) for data in files])

    def _decoded(self, data, base):
        try:
            return np.array([int(word, base) for word in data.split()], self.DTYPE)
        except (ValueError, OverflowError) as error:
            return Problem("unreadable", f"it is no series: {error}")

    def suggest(self, chunks):
        return {"points": max(len(data.split()) for c in chunks for data in c.items)}

    def usual_shape(self, shapes, form):
        return form.shape or super().usual_shape(shapes, form)

    def fit(self, payload, shape):
        fits = payload.shape[1:] == shape
        kept = np.full(len(payload), fits)
        problem = None if fits else Problem("form", f"it has not {shape[0]} numbers")
        items = payload if fits else np.empty((0, *shape), self.DTYPE)
        return Fitted(items, kept, problem)

    def columns(self, payload, labels, data):
        codes = [zlib.crc32(series.tobytes()) for series in payload]
        return {
            "mean": payload.mean(axis=1, dtype=float),
            "blank": payload.min(axis=1) == payload.max(axis=1),
            "fingerprint": np.array(codes, np.uint64),
        }

    def expectations(self, data):
        limits = {"column": "mean", "min_value": -500, "max_value": 500}
        name = "expect_column_values_to_be_between"
        return [Expectation("mean", name, limits, "it is far from zero", warns=True)]

    def raw(self, payload):
        return payload.astype(np.float32)

    def check_input(self, x, data):
        array = np.asarray(x, np.float32)
        if array.shape[1:] != data.shape:
            raise InputError(f"The input has shape {array.shape}.", "Give (n, n).")
        return array

    def preprocessing(self, data):
        import keras

        return keras.Sequential([keras.Input(data.shape), keras.layers.Rescaling(0.01)])

    def as_html(self, sample, data):
        return " ".join(map(str, sample.tolist()))

    def draw_sample(self, axes, sample, data):
        axes.plot(sample)


MEDIUM = Series()
'''

WAVES = """
medium = "series"

[data]
source = "waves"
points = 12

[deploy.flows.audit]
cron = "0 3 * * *"
parameters = { depth = 2 }
"""


def write_waves(folder):
    chance = np.random.default_rng(1)
    for number in range(240):
        slope = (number % 3 - 1) * 20
        values = slope * np.arange(12) + chance.integers(-40, 40, 12)
        place = folder / ("falling", "level", "rising")[number % 3]
        place.mkdir(parents=True, exist_ok=True)
        place.joinpath(f"{number}.series").write_text(" ".join(map(str, values)))


def write_data(path):
    chance = np.random.default_rng(0)
    lines = ["RASTER 6"]
    for number in range(240):
        image = chance.integers(0, 60, (6, 6))
        image[2 * (number % 3) : 2 * (number % 3) + 2] += 150
        lines.append(" ".join([f"band{number % 3}", *map(str, image.ravel())]))
    path.write_text("\n".join(lines))


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """An environment of its own, which sees this one's packages and the new wheel."""
    place = tmp_path_factory.mktemp("extension")
    source = place / "source"
    declared = PACKAGE["pyproject.toml"] + SERIES_TOO
    declared = declared.replace("patches =", 'line = "tidepool.line"\npatches =')
    modules = {"__init__": "", "line": LINE, "series": SERIES}
    files = {f"tidepool/{name}.py": code for name, code in modules.items()}
    for name, text in (PACKAGE | files | {"pyproject.toml": declared}).items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
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


@pytest.fixture
def headrace(python, tmp_path):
    """The command of that environment, in a project of its own."""

    def run(*words, server=False):
        environment = {
            k: v for k, v in os.environ.items() if server or "PREFECT" not in k
        }
        environment |= {"HEADRACE_HOME": str(tmp_path / "home"), "PYTHONPATH": ""}
        done = subprocess.run(
            [str(python), "-m", "headrace_cli", *words, "--json"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        answer = json.loads(done.stdout)
        return answer

    return run


def write_pipeline(project, name, text):
    folder = project / "pipelines" / name
    folder.mkdir(parents=True)
    (folder / "pipeline.toml").write_text(text)


def test_a_pipeline_runs_with_a_family_a_reader_and_a_gate_of_a_wheel(
    headrace, tmp_path
):
    write_pipeline(tmp_path, "pools", PIPELINE)
    write_data(tmp_path / "pipelines" / "pools" / "pools.raster")
    assert "patches was built on items" in headrace("check", "pools")["reason"]
    answer = headrace("run", "pools")
    assert answer["status"] == "promoted"
    gates = {gate["name"]: gate["passed"] for gate in answer["gates"]}
    assert gates["even"] is True


def test_a_pipeline_runs_on_a_medium_of_a_wheel(headrace, tmp_path):
    write_waves(tmp_path / "waves")
    drafted = headrace("new", "drafted", "--medium", "series", "--data", "waves")
    assert drafted["data"]["points"] == 12
    text = WAVES.replace("waves", str(tmp_path / "waves")).partition("[deploy")[0]
    write_pipeline(tmp_path, "waves", text)
    answer = headrace("run", "waves")
    assert answer["status"] == "promoted"
    assert answer["metrics"]["test_accuracy"] > 0.9
    assert headrace("run", "waves")["status"] == "unchanged"


def test_a_flow_of_a_wheel_is_deployed(headrace, tmp_path, prefect_server):
    write_waves(tmp_path / "waves")
    text = WAVES.replace("waves", str(tmp_path / "waves"))
    write_pipeline(tmp_path, "waves", text)
    made = headrace("deploy", server=True)["deployments"]
    assert {one["name"] for one in made} >= {"train/waves", "audit/waves"}
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        audit = client.read_deployment_by_name("audit/waves")
        for deployment in client.read_deployments():
            client.delete_deployment(deployment.id)
    assert audit.entrypoint == "tidepool.audit.audit"
    assert audit.parameters["depth"] == 2
    assert audit.parameters["pipeline"]["name"] == "waves"
    assert audit.parameters["folder"].startswith("sha256:")


def test_without_the_package_the_family_is_unknown(tmp_path):
    write_pipeline(tmp_path, "pools", PIPELINE)
    done = subprocess.run(
        [sys.executable, "-m", "headrace_cli", "check", "pools"],
        cwd=tmp_path,
        env={**os.environ, "HEADRACE_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "gates.1.kind = 'spread': there is no such kind of gate." in done.stderr
