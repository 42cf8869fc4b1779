"""The route that explains an answer, with engines that look at one place."""

import asyncio

import numpy as np
import pytest
from tests.src.serving.conftest import (
    AUDIO,
    CLASSES,
    IMAGE,
    NUMBER,
    TEXT,
    Site,
    a_row,
    serving,
)

from headrace.explanations import Verdict
from headrace.serving import explanation_route
from headrace.settings import Settings
from headrace.state.ledger import Evidence, Ledger

PASSED = Verdict(status="passed", reason="it was measured")
LARGE = {"medium": "image", "shape": [32, 32, 1], **CLASSES}
NOISE = np.random.default_rng(0).integers(0, 256, 1024, np.uint8).tobytes()


class Looks:
    """Says ``cat`` as surely as the first pixel is white, or the word is there."""

    name = "looks"

    def __init__(self):
        self.rows = []

    def __call__(self, items):
        self.rows.append(len(items))
        if items.dtype == object:
            seen = np.array([float("milk" in text) for text in items.ravel()])
        else:
            seen = np.asarray(items, np.float32).reshape(len(items), -1)[:, 0] / 255
        sure = (0.1 + 0.8 * seen).astype(np.float32)
        return np.stack([sure, 0.9 - sure, np.full_like(sure, 0.1)], axis=1)

    def close(self):
        pass


def looking(description):
    served = serving(description, engine=Looks())
    served.sanity = PASSED
    return served


RAW_HEADERS = {"content-type": "application/octet-stream"}


def explain(served, body, kind):
    headers = {"content-type": kind}
    return Site(served).ask("POST", "/models/toy/explain", body, headers)


def test_the_patch_that_decides_is_the_strongest():
    served = looking(LARGE)
    pixels = np.zeros((32, 32), np.uint8)
    pixels[0, 0] = pixels[20, 20] = 255
    given = explain(served, pixels.tobytes(), "application/octet-stream").json
    assert given["answer"]["label"] == "cat"
    first, second = given["parts"]
    assert first["name"].startswith("rows 1 to ")
    assert first["value"] > 1
    assert second["value"] == pytest.approx(0, abs=1e-6)
    corner = given["map"][0][0]
    assert corner == first
    values = [place["value"] for row in given["map"] for place in row]
    assert sum(value is not None for value in values) == 2


def test_words_are_in_their_order():
    given = explain(looking(TEXT), b"give milk now", "text/plain").json
    assert [place["name"] for place in given["map"][0]] == ["give", "milk", "now"]
    assert given["parts"][0]["name"] == "milk"


def test_it_asks_in_small_parts():
    served = looking({**TEXT, "shape": [640]})
    assert explain(served, b"give milk " * 60, "text/plain").json["map"]
    rows = served.engine.rows
    assert max(rows) <= 64 < sum(rows)


@pytest.mark.parametrize("status", ["failed", "unchecked"])
def test_what_has_not_passed_is_not_shown(status):
    served = looking(IMAGE)
    served.sanity = Verdict(status=status, reason="it does not decide")
    given = explain(served, bytes(16), "application/octet-stream").json
    assert (given["of"], given["parts"], given["map"]) == ("", [], [])
    assert given["sanity"]["reason"] == "it does not decide"
    assert given["answer"]["label"]


def test_what_was_not_checked_is_the_default():
    given = explain(serving(IMAGE), bytes(16), "application/octet-stream").json
    assert given["sanity"]["status"] == "unchecked"


def test_the_evidence_of_the_version_says_whether_it_is_explained(tmp_path):
    served = looking(IMAGE)
    served._settings = Settings(database_url=f"sqlite:///{tmp_path / 'ledger.db'}")
    ledger = Ledger(served._settings.database_url)
    ledger.add_version(a_row("toy", 1, IMAGE))
    served.read_sanity()
    assert served.sanity.status == "unchecked"
    (listed,) = Site(served).ask("GET", "/models").json["models"]
    assert "not checked" in listed["unexplained"]
    metrics = dict.fromkeys(["occlusion_random_weights", "occlusion_p_value"], 0.0)
    metrics |= {"occlusion_top_fifth": 2.0, "occlusion_random_fifth": 1.0}
    evidence = Evidence(
        model="toy",
        version=1,
        metrics=metrics | {"occlusion_random_weights_low": -0.1},
        champion_version=None,
        snapshot_digest="s",
        passed=True,
        gates=(),
        champion_sequence=0,
        run_id="r",
    )
    ledger.add_evidence(evidence)
    served.read_sanity()
    assert served.sanity.status == "passed"
    (listed,) = Site(served).ask("GET", "/models").json["models"]
    assert listed["explains"] is True


def test_numbers_are_explained_too():
    served = serving(NUMBER)
    served.sanity = PASSED
    body = bytes(range(16))
    given = explain(served, body, "application/octet-stream").json
    assert given["parts"]
    assert all(part["value"] == 0 for part in given["parts"])


def test_a_bad_item_is_refused_as_by_the_plain_route():
    reply = explain(looking(IMAGE), bytes(15), "application/octet-stream")
    assert reply.status == 422
    assert explain(looking(IMAGE), bytes(16), "text/plain").status == 415


@pytest.mark.parametrize("describe", [looking, serving])
def test_a_query_is_refused_explained_or_not(describe):
    """Such as for the class that is explained, as `headrace explain --of` takes it."""
    path = "/models/toy/explain?of=nope"
    reply = Site(describe(IMAGE)).ask("POST", path, bytes(16), RAW_HEADERS)
    assert reply.status == 400
    assert "The query is 'of=nope'" in reply.json["error"]


def test_a_task_without_explanations_says_so(monkeypatch):
    monkeypatch.setattr(
        explanation_route, "why_not", lambda data: "answers are sentences"
    )
    reply = explain(looking(AUDIO), bytes(160), "application/octet-stream")
    assert reply.status == 404
    assert reply.json["error"] == (
        "toy version 1 explains nothing: answers are sentences."
    )


def test_a_promotion_meanwhile_closes_it_after_its_last_answer():
    class Retiring(Looks):
        def __call__(self, items):
            if not self.rows:
                served.retire()
            return super().__call__(items)

    served = serving(LARGE, engine=Retiring())
    served.sanity = PASSED
    reply = explain(served, NOISE, "application/octet-stream")
    assert reply.status == 200
    assert reply.json["parts"]


def test_a_busy_version_answers_first():
    served = looking(IMAGE)
    served.waiting = explanation_route.MOST_WAITING
    reply = explain(served, bytes(16), "application/octet-stream")
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")


def test_several_are_explained_in_turn_and_others_answered_meanwhile():
    served = looking(LARGE)
    site = Site(served)
    kind = {"content-type": "application/octet-stream"}
    body = (NOISE,)

    async def ask():
        paths = ("explain", "explain", "predict")
        asked = (site.send("POST", f"/models/toy/{p}", body, kind) for p in paths)
        return await asyncio.gather(*asked)

    replies = asyncio.run(ask())
    assert [reply.status for reply in replies] == [200, 200, 200]
    assert replies[0].json["map"] == replies[1].json["map"]
    assert served.waiting == 0
