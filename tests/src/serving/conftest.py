"""An application with toy engines, and a client that asks it without a socket."""

from __future__ import annotations

import asyncio
import json
from typing import NamedTuple

import numpy as np
import pytest

from headrace.models.engines.hosted import Batching
from headrace.serving.app import App
from headrace.serving.bodies import Bodies
from headrace.serving.doors import Doors
from headrace.serving.listing import Slot
from headrace.serving.metrics import Metrics
from headrace.serving.routes import Models
from headrace.serving.served import Served
from headrace.settings import Settings
from headrace.state.ledger import Version

CLASSES = {"target": {"classes": ["cat", "dog", 'a "fox" %']}}
IMAGE = {"medium": "image", "shape": [4, 4, 1], **CLASSES}
TEXT = {"medium": "text", "shape": [64], **CLASSES}
AUDIO = {"medium": "audio", "shape": [80], "sample_rate_hz": 8000, **CLASSES}
NUMBER = {"medium": "image", "shape": [4, 4, 1], "task": "regression"}


# By name, or pairs as they are sent.


class Toy:
    """Answers with the version's number modulo the classes; counts its calls."""

    name = "toy"

    def __init__(self, width, favourite):
        self.width, self.favourite = width, favourite
        self.rows = []
        self.is_closed = False

    def __call__(self, items):
        self.rows.append(len(items))
        outputs = np.full((len(items), self.width), 0.25, np.float32)
        outputs[:, self.favourite % self.width] = 0.5
        return outputs

    def close(self):
        self.is_closed = True


def a_row(model, version, description):
    """A version's row in the ledger."""
    return Version(
        model=model,
        version=version,
        training=f"t{version}",
        run_id="r",
        model_uri="models:/m-1",
        model_digest="m",
        weights_digest="w",
        snapshot_digest="s",
        created_by="ada",
        details={"description": {"task": "classification", **description}},
    )


def serving(description, version=1, *, model="toy", engine=None, inline_rows=64):
    """A version with a toy engine."""
    row = a_row(model, version, description)
    width = 3 if "target" in description else 1
    served = Served(row, Toy(width, version), "champion", Settings())
    if engine is not None:
        served.engine, served._queue = engine, Batching(engine)
    served.inline_rows = inline_rows
    return served


class Reply(NamedTuple):
    """A reply, as a client gets it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class Site:
    """An application with some models, and a client of it."""

    def __init__(self, *several, doors=None, bodies=None):
        self.slots = {}
        for served in several:
            slot = self.slots.setdefault(served.model, Slot(served.model))
            if slot.current is None:
                slot.current = served
            else:
                slot.pinned[served.version] = served
        bodies = bodies or Bodies(Settings().max_body_bytes)
        self.app = App(doors or Doors(), bodies, Metrics())
        self.models = Models(self.app, list(self.slots.values()))

    async def send(self, method, path, parts=(b"",), headers=(), receive=None):
        """Send a request whose body comes in parts."""
        path, _, query = path.partition("?")
        if not isinstance(headers, list):
            own = {"host": "localhost", **dict(headers)}
            headers = [(name.encode(), own[name].encode()) for name in own]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": headers,
        }
        left = list(parts)
        sent = []

        async def give():
            if not left:
                return {"type": "http.disconnect"}
            body = left.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(left)}

        async def take(message):
            sent.append(message)

        await self.app(scope, receive or give, take)
        if not sent:
            raise ConnectionError("there was no reply")
        named = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        body = b"".join(message.get("body", b"") for message in sent[1:])
        assert named["content-length"] == str(len(body))
        return Reply(sent[0]["status"], named, body)

    def ask(self, method, path, body=b"", headers=()):
        """Send a request whose body comes at once."""
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        return asyncio.run(self.send(method, path, (data,), headers))

    def predict(self, body, kind, query=""):
        """Ask the plain route of the model ``toy``."""
        path = f"/models/toy/predict{query}"
        return self.ask("POST", path, body, {"content-type": kind})

    def infer(self, body, length=None):
        """Ask the model ``toy`` for inference."""
        named = (
            {} if length is None else {"inference-header-content-length": f"{length}"}
        )
        return self.ask("POST", "/v2/models/toy/infer", body, named)


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "home"))
    yield
