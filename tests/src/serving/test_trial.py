"""A canary in the application: what it does not answer, the champion does."""

import asyncio
import threading
import time

import numpy as np
import pytest
from tests.src.serving.conftest import IMAGE, Site, Toy, serving

from headrace.errors import DependencyError
from headrace.records import DataDescription
from headrace.serving import trial as module
from headrace.serving.canary import MOST_FAILURES, Canary
from headrace.serving.trial import CanaryTrial

RAW = {"content-type": "application/octet-stream"}
PATH = "/models/toy/predict"
ITEM = bytes(16)


class Failing(Toy):
    """An engine that does what a test wants before it answers."""

    def __init__(self, before):
        super().__init__(3, 2)
        self.before = before

    def __call__(self, items):
        self.before()
        return super().__call__(items)


def raises(error):
    def before():
        raise error

    return before


class Case:
    """A site with version 1 and a canary, version 2, that gets half of the requests."""

    def __init__(self, home, engine=None):
        self.champion = serving(IMAGE, 1)
        self.engine = engine or Toy(3, 2)
        self.served = serving(IMAGE, 2, engine=self.engine)
        self.served.role = "canary"
        self.site = Site(self.champion)
        self.slot = self.site.slots["toy"]
        self.canary = Canary("toy", 2, 0.5, home)
        self.trial = CanaryTrial(self.slot, self.canary, self.served)
        self.seen = []
        self.site.models.observers += [self.canary, self.seen.append]
        self.site.models.replaced.append(self.trial.replaced)

    async def answers(self, count, path=PATH):
        """The versions that answered some requests, which all succeed."""
        versions = []
        for number in range(count):
            headers = {**RAW, "x-request-id": f"r{number}"}
            reply = await self.site.send("POST", path, (ITEM,), headers)
            assert reply.status == 200, reply.body
            assert reply.json["version"] == int(reply.headers["x-model-version"])
            versions.append(reply.json["version"])
        return versions

    def ask(self, count, path=PATH):
        """As `answers`, without an event loop."""
        return asyncio.run(self.answers(count, path))

    @property
    def listed(self):
        (model,) = self.site.ask("GET", "/models").json["models"]
        return dict(model["canary"])


@pytest.fixture
def case(tmp_path):
    return Case(tmp_path)


def test_the_hash_of_the_id_decides_what_answers(case):
    versions = case.ask(200)
    expected = [2 if case.canary.takes(f"r{n}") else 1 for n in range(200)]
    assert versions == expected
    assert set(versions) == {1, 2}
    assert case.ask(200) == versions
    assert [a.role for a in case.seen] == [
        "canary" if version == 2 else "champion" for version in versions * 2
    ]
    assert case.listed == {"version": 2, "share": 0.5}
    assert case.canary.answered == 2 * versions.count(2)


def test_the_metrics_have_the_canary_while_it_gets_requests(case):
    own = 'headrace_engine_info{model="toy",version="2",engine="toy",role="canary"} 1'
    waiting = 'headrace_waiting{model="toy",version="2"} 3'
    case.served.waiting = 2
    case.slot.pinned[2] = pinned = serving(IMAGE, 2)
    pinned.role, pinned.waiting = "pinned", 1
    lines = case.site.ask("GET", "/metrics").body.decode().splitlines()
    assert lines.count(own) == lines.count(waiting) == 1
    assert len([line for line in lines if line.startswith(waiting[:-1])]) == 1
    case.canary.end("for a test", is_remembered=False)
    assert own not in case.site.ask("GET", "/metrics").body.decode()


def test_inference_has_a_canary_too(case):
    names = []
    for number in range(40):
        tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 4, 4, 1]}
        body = {"id": "c", "inputs": [{**tensor, "data": [0] * 16}]}
        reply = case.site.ask(
            "POST", "/v2/models/toy/infer", body, {"x-request-id": f"r{number}"}
        )
        assert reply.status == 200
        names.append(reply.json["model_version"])
    assert names == ["2" if case.canary.takes(f"r{n}") else "1" for n in range(40)]


def test_a_version_that_is_named_answers(case):
    case.ask(1, "/models/toy/versions/1/predict")
    path = "/models/toy/versions/2/predict"
    assert case.site.ask("POST", path, ITEM, RAW).status == 404


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("no memory"), "RuntimeError: no memory"),
        (DependencyError("The process ended.", "Try again."), "503|does not answer"),
    ],
    ids=["fault", "crash"],
)
def test_failures_are_answered_by_the_champion_and_end_it(tmp_path, error, reason):
    case = Case(tmp_path, Failing(raises(error)))
    assert case.ask(60) == [1] * 60
    assert case.canary.failures == MOST_FAILURES
    assert any(part in case.canary.ended for part in reason.split("|"))
    assert case.listed["ended"] == case.canary.ended
    assert {a.role for a in case.seen} == {"champion"}
    assert case.site.app.metrics.faults == 0


def test_an_answer_that_is_not_finite_is_the_champions(tmp_path):
    class Nan(Toy):
        def __call__(self, items):
            return np.full((len(items), 3), np.nan, np.float32)

    case = Case(tmp_path, Nan(3, 2))
    assert case.ask(60) == [1] * 60
    assert "not finite" in case.canary.ended


def test_a_canary_that_hangs_is_not_waited_for(tmp_path, monkeypatch):
    go = threading.Event()
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.05)
    case = Case(tmp_path, Failing(go.wait))

    async def ask():
        try:
            return await case.answers(60)
        finally:
            go.set()
            await asyncio.sleep(0.2)  # its thread hands the late answers over

    assert asyncio.run(ask()) == [1] * 60
    assert "no answer within 0.05 s" in case.canary.ended


def test_a_canary_without_time_is_no_failure(case, monkeypatch):
    monkeypatch.setattr(module, "WAITING_LIMIT", 0)
    assert case.ask(60) == [1] * 60
    assert case.canary.failures == 0
    assert case.canary.busy > 10
    assert case.canary.ended == ""


def test_its_engine_is_closed_when_it_is_ended(case):
    case.canary.end("a test")
    deadline = time.monotonic() + 30
    while not case.engine.is_closed:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert case.ask(20) == [1] * 20
    assert case.slot.choose is None


def test_a_canary_that_did_not_load_gets_nothing(tmp_path):
    site = Site(serving(IMAGE, 1))
    canary = Canary("toy", 2, 0.5, tmp_path)
    canary.end("it does not load: a test", is_remembered=False)
    CanaryTrial(site.slots["toy"], canary, None)
    assert site.slots["toy"].choose is None
    (model,) = site.ask("GET", "/models").json["models"]
    assert model["canary"]["ended"] == "it does not load: a test"


def replace(case, served):
    async def swap():
        case.site.models.replace(case.slot, served)

    asyncio.run(swap())


def test_another_champion_begins_the_comparison_anew(case):
    replace(case, serving(IMAGE, 1))
    assert case.canary.ended == ""
    assert 2 in case.ask(20)


def test_its_promotion_ends_it(case):
    replace(case, serving(IMAGE, 2))
    assert case.canary.ended == "it is the champion"
    assert "canary" not in case.site.ask("GET", "/models").json["models"][0]
    assert case.ask(20) == [2] * 20
    assert [a.role for a in case.seen] == ["champion"] * 20


def test_one_that_was_ended_and_promoted_all_the_same_is_not_listed(case):
    case.canary.end("a test", is_remembered=False)
    assert case.listed == {"version": 2, "ended": "a test"}
    replace(case, serving(IMAGE, 2))
    assert "canary" not in case.site.ask("GET", "/models").json["models"][0]


def test_a_champion_with_other_answers_ends_it(case):
    other = {**IMAGE, "target": {"classes": ["cat", "dog", "owl"]}}
    assert DataDescription.model_validate({"task": "classification", **other})
    replace(case, serving(other, 3))
    assert case.canary.ended == "toy version 3 takes other items, or has other answers"
    assert case.ask(20) == [3] * 20
