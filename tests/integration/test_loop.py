"""The whole loop: what is asked changes, a training follows, and the server recovers.

A camera that is turned by 90 degrees makes lying bands stand.
"""

from __future__ import annotations

import csv
import http.client
import io
import json
import shutil
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from tests.blobs import blobs

from headrace.settings import Settings
from headrace.state.home import Home
from headrace.state.requests import Asked, read_requests

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

Labels = npt.NDArray[np.int64]
FILE = """
description = "Three classes of 8 x 8 images, whose camera will be turned"
medium = "image"
data.source = "images"
model.arguments.hidden = [16]
training = { epochs = 20, batch_size = 16, learning_rate = 0.05, seed = 1 }
gates = [{ name = "accuracy", threshold = 0.85 }, { name = "champion" }]

[deploy]
on_drift = true

[deploy.flows.monitor]
parameters = { labels = "labels.csv" }
"""


def until(met, what, seconds=120):
    limit = time.monotonic() + seconds
    while not (found := met()):
        assert time.monotonic() < limit, what
        time.sleep(0.2)
    return found


def pictures(rows, seed, *, turned):
    images, labels = blobs(rows, seed)
    return np.ascontiguousarray(images.swapaxes(1, 2)) if turned else images, labels


@dataclass(frozen=True)
class Answers:
    """What the server answered to labelled images, in their order."""

    labels: list[str]
    answers: list[dict[str, Any]]

    @property
    def versions(self):
        return {answer["version"] for answer in self.answers}

    @property
    def accuracy(self):
        pairs = zip(self.answers, self.labels, strict=True)
        return float(np.mean([answer["label"] == label for answer, label in pairs]))


class Server:
    """`headrace serve` of the model ``turned``."""

    def __init__(self, services):
        command = ("serve", "turned", "--port=0", "--json")
        self.process = services.start(*command)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        self.place = json.loads(line)["url"].partition("://")[2]

    def ask(self, images, labels):
        connection = http.client.HTTPConnection(self.place, timeout=30)
        answers = []
        for image in images:
            file = io.BytesIO()
            Image.fromarray(image).save(file, "png")
            status, answer = post(connection, file.getvalue())
            assert status == 200, answer
            answers.append(answer)
        connection.close()
        return Answers([str(label) for label in labels], answers)


def post(connection, body):
    headers = {"content-type": "image/png"}
    connection.request("POST", "/models/turned/predict", body, headers)
    reply = connection.getresponse()
    return reply.status, json.loads(reply.read())


@dataclass
class Visitor:
    """Somebody who asks all the time, by one connection, and is never refused."""

    server: Server
    versions: list[int] = field(default_factory=list)
    failures: list[Any] = field(default_factory=list)

    def __post_init__(self):
        self._gone = threading.Event()
        self._thread = threading.Thread(target=self._visit)
        self._thread.start()

    def _visit(self):
        file = io.BytesIO()
        Image.fromarray(blobs(1, seed=99)[0][0]).save(file, "png")
        connection = http.client.HTTPConnection(self.server.place, timeout=30)
        while not self._gone.wait(0.02):
            try:
                status, answer = post(connection, file.getvalue())
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(error)
                connection.close()
                continue
            if status == 200:
                self.versions.append(answer["version"])
            else:
                self.failures.append(answer)
        connection.close()

    def leave(self):
        self._gone.set()
        self._thread.join()


class Loop:
    """The project of the pipeline ``turned``, and what Prefect says of it."""

    def __init__(self, services, project):
        self.services, self.project = services, project
        self.folder = project / "pipelines" / "turned"
        self.folder.mkdir(parents=True)
        (self.folder / "pipeline.toml").write_text(FILE)
        self.http = httpx.Client(
            base_url=f"{services.links['prefect']}/api",
            headers=services.authorization,
            timeout=30,
        )

    def headrace(self, *arguments, code=0):
        place = str(self.project)
        got, answer = self.services.headrace(*arguments, HEADRACE_PROJECT=place)
        assert got == code, answer
        found = answer
        return found

    def add(self, name, images, labels):
        """More data in the folder."""
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            place = self.folder / "images" / str(label)
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place / f"{name}-{number:03}.png")

    def label(self, asked):
        """The labels, which come late; returns when the log has their requests."""
        rows = [
            (answer["request_id"], label)
            for answer, label in zip(asked.answers, asked.labels, strict=True)
        ]
        path = self.folder / "labels.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([("request_id", "label"), *rows])
        wanted = {request_id for request_id, _ in rows}
        settings = Settings(project=self.project, home=self.services.home)

        def logged():
            tables = read_requests(Asked("turned"), Home(settings).store)
            return wanted <= {i for t in tables for i in t["request_id"].to_pylist()}

        until(logged, "the log lacks requests")
        return path

    def drifts(self):
        """The events of the pipeline."""
        now = datetime.now(UTC)
        wanted = {
            "event": {"name": ["headrace.drift"]},
            "resource": {"id": ["headrace.pipeline.turned"]},
            "occurred": {
                "since": (now - timedelta(hours=1)).isoformat(),
                "until": (now + timedelta(hours=1)).isoformat(),
            },
        }
        reply = self.http.post("/events/filter", json={"filter": wanted})
        found = reply.raise_for_status().json()["events"]
        return found

    def deployment(self, flow):
        """The id of a deployment."""
        return self.http.get(f"/deployments/name/{flow}/turned").json()["id"]

    def begin(self, flow):
        """Start a run of a deployment, as `prefect deployment run` does."""
        place = f"/deployments/{self.deployment(flow)}/create_flow_run"
        self.http.post(place, json={}).raise_for_status()

    def runs(self, flow):
        """The runs of a deployment, oldest first."""
        deployments = {"id": {"any_": [self.deployment(flow)]}}
        wanted = {"deployments": deployments, "sort": "START_TIME_ASC"}
        reply = self.http.post("/flow_runs/filter", json=wanted)
        found = reply.raise_for_status().json()
        return found

    def end_of(self, flow, number):
        """The state in which a run of a deployment ended; 0 is its first one."""

        def ended():
            runs = self.runs(flow)
            state = runs[number]["state"] if len(runs) > number else {"type": None}
            return state["type"] in {"COMPLETED", "FAILED", "CRASHED"} and state

        state = until(ended, f"{flow} does not end", 240)
        return state


@pytest.fixture
def loop(services, tmp_path):
    made = Loop(services, tmp_path / "loop")
    yield made
    shutil.rmtree(made.folder)
    made.headrace("deploy")


@pytest.fixture
def server(loop):
    """A server of the first champion; the pipeline is deployed."""
    loop.add("lying", *pictures(240, 1, turned=False))
    assert loop.headrace("run", "turned")["status"] == "promoted"
    states = {d["name"]: d["state"] for d in loop.headrace("deploy")["deployments"]}
    assert states.pop("verify/nightly") == "created"
    assert states == {"train/turned": "created", "monitor/turned": "created"}
    started = Server(loop.services)
    yield started
    started.process.terminate()
    _, err = started.process.communicate(timeout=60)
    assert started.process.returncode == 0, err


@pytest.fixture
def visitor(server):
    made = Visitor(server)
    yield made
    made.leave()


def test_a_drift_is_followed_by_a_training_and_the_server_recovers(
    loop, server, visitor
):
    before = server.ask(*pictures(60, 2, turned=False))
    assert before.accuracy > 0.9
    shifted = pictures(120, 3, turned=True)
    after = server.ask(*shifted)
    assert after.accuracy < 0.75

    # People label what was asked; the images go where the pipeline's data is.
    labels = loop.label(after)
    loop.add("standing", *shifted)
    loop.begin("monitor")
    state = loop.end_of("monitor", 0)
    assert state["name"] == "Degraded", state
    assert "120 labels show a mean score that breaks the bound 0.85" in state["message"]
    until(lambda: len(loop.drifts()) == 1, "the event is not emitted")

    # Another look at the same version within the cool-down.
    again = loop.headrace("monitor", "turned/1", "--labels", str(labels), code=1)
    assert (again["status"], again["event"]) == ("degraded", True)
    assert again["labelled"]["labels"] == 120
    until(lambda: len(loop.drifts()) == 2, "the second event is not emitted")

    state = loop.end_of("train", 0)
    assert state["name"] == "Promoted", state
    assert "significantly better than version 1" in state["message"]
    until(lambda: visitor.versions[-1] == 2, "version 2 does not answer", 30)
    recovered = server.ask(*pictures(60, 4, turned=True))
    assert recovered.versions == {2}
    assert recovered.accuracy > 0.9
    assert server.ask(*pictures(60, 5, turned=False)).accuracy > 0.9

    visitor.leave()
    assert not visitor.failures
    assert visitor.versions == sorted(visitor.versions)
    assert set(visitor.versions) == {1, 2}
    (training,) = loop.runs("train")
    assert training["created_by"]["type"] == "AUTOMATION"
    promoted = loop.headrace("history", "turned")["history"]
    assert [(one["from"], one["to"]) for one in promoted] == [(None, 1), (1, 2)]
    loop.label(recovered)
    well = loop.headrace("monitor", "turned", "--labels", str(labels))
    assert (well["version"], well["labelled"]["lost"]) == (2, False)
