"""Other servers of the same model: MLflow's own, and LitServe where it is installed."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

from .bench import HERE, Unavailable
from .online import Asked, Online, Server, bare_model, free_port, started, wait_for


@contextlib.contextmanager
def mlflow(online: Online) -> Iterator[tuple[Server, Asked]]:
    """MLflow's scoring server, with the logged Keras model."""
    version, port = online.ledger.find("digits"), free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve"]
    command += ["--model-uri", version.model_uri, "--env-manager", "local"]
    command += ["--port", str(port), "--workers", "1"]
    environment = dict(online.environment)
    folder = str(Path(sys.executable).parent)  # it calls uvicorn by its name
    environment["PATH"] = f"{folder}:{environment['PATH']}"
    environment["MLFLOW_TRACKING_URI"] = online.settings.tracking_uri
    body = online.images.body.with_suffix(".json")
    item = np.frombuffer(online.images.body.read_bytes(), np.uint8)
    body.write_text(json.dumps({"instances": item.reshape(1, 28, 28, 1).tolist()}))
    asked = Asked("digits", body, "application/json", 0, path="/invocations")
    with started(command, environment) as process:
        wait_for(port)
        yield Server(psutil.Process(process.pid), port), asked


@contextlib.contextmanager
def litserve(online: Online) -> Iterator[tuple[Server, Asked]]:
    """LitServe around the same session of ONNX Runtime."""
    if importlib.util.find_spec("litserve") is None:
        raise Unavailable("litserve is not installed")
    port = free_port()
    command = [sys.executable, str(HERE / "litserve_server.py")]
    command += [str(bare_model(online)), str(port), "28,28,1"]
    body = online.images.body.with_suffix(".lit.json")
    body.write_text(json.dumps({"pixels": list(online.images.body.read_bytes())}))
    asked = Asked("digits", body, "application/json", 0, path="/predict")
    with started(command, online.environment) as process:
        wait_for(port)
        yield Server(psutil.Process(process.pid), port), asked


OTHERS = {"MLflow's scoring server": mlflow, "LitServe": litserve}
