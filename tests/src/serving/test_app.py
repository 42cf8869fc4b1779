"""Routes, refusals, observers, and what is counted."""

import pytest
from tests.src.serving.conftest import IMAGE, TEXT, Site, Toy, serving

from headrace.serving.answered import Answered

RAW = {"content-type": "application/octet-stream"}
PATH = "/models/toy/predict"


def two():
    """Two models, one of them with a pinned version."""
    return Site(serving(IMAGE, 2), serving(IMAGE, 1), serving(TEXT, model="words"))


def test_each_loaded_version_can_be_named():
    site = two()
    for path, version in (
        (PATH, "2"),
        ("/models/toy/versions/1/predict", "1"),
        ("/models/toy/versions/2/predict", "2"),
    ):
        reply = site.ask("POST", path, bytes(16), RAW)
        assert (reply.status, reply.headers["x-model-version"]) == (200, version)
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 4, 4, 1]}
    body = {"inputs": [{**tensor, "data": [0] * 16}]}
    reply = site.ask("POST", "/v2/models/toy/versions/1/infer", body)
    assert reply.json["model_version"] == "1"
    assert site.ask("GET", "/v2/models/toy/versions/1").json["versions"] == ["1", "2"]
    assert site.ask("GET", "/v2/models/toy/versions/1/ready").status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/modells", 404, "Did you mean /models?"),
        ("GET", "/", 404, "'/'"),
        ("GET", "/v2/models/toi", 404, "Did you mean toy?"),
        ("GET", "/v2/models/zzz", 404, "toy, words"),
        ("POST", "/models/zzz/predict", 404, "toy, words"),
        ("GET", "/v2/models/toy/versions/3", 404, "loaded: 1, 2"),
        ("GET", "/v2/models/toy/versions/²", 404, "loaded: 1, 2"),
        ("GET", "/v2/models/toy/versions/" + "1" * 5000, 404, "loaded: 1, 2"),
        ("GET", "/v2/models/toy/versions", 404, "nothing"),
        ("GET", "/v2/models/toy/versions/1/x", 404, "nothing"),
        ("GET", "/v2/models/toy/predict", 404, "nothing"),
        ("GET", "/v2/models/", 404, "nothing"),
        ("GET", PATH, 405, "allowed: POST"),
        ("POST", "/models", 405, "allowed: GET, HEAD"),
        ("BREW", "/v2", 405, "BREW"),
    ],
)
def test_what_is_not_there_is_said(method, path, status, words):
    reply = two().ask(method, path)
    assert (reply.status, list(reply.json)) == (status, ["error"])
    assert words in reply.json["error"]
    if status == 405:
        assert reply.headers["allow"] in reply.json["error"]


def test_the_models_are_listed():
    site = two()
    site.slots["toy"].pinned[1].role = "pinned"
    models = site.ask("GET", "/models").json["models"]
    assert [(m["name"], m["version"], m["engine"]) for m in models] == [
        ("toy", 2, "toy"),
        ("words", 1, "toy"),
    ]
    assert models[0]["versions"] == [
        {"version": 1, "role": "pinned", "engine": "toy"},
        {"version": 2, "role": "champion", "engine": "toy"},
    ]
    assert [one["version"] for one in models[1]["versions"]] == [1]
    assert models[0]["classes"] == ["cat", "dog", 'a "fox" %']
    assert models[0]["shape"] == [4, 4, 1] and "sample_rate_hz" not in models[0]


def test_observers_know_of_each_answer():
    site, seen = two(), list[Answered]()
    site.models.observers.append(seen.append)
    named = {**RAW, "x-request-id": "r7"}
    site.ask("POST", PATH, bytes(16), named)
    site.ask("POST", PATH, bytes(15), named)  # no answer
    (answered,) = seen
    assert (answered.request_id, answered.model, answered.version) == ("r7", "toy", 2)
    assert (answered.role, answered.engine) == ("champion", "toy")
    assert answered.items.shape == (1, 4, 4, 1)
    assert answered.outputs.tolist() == [[0.25, 0.25, 0.5]]
    assert 0 < answered.latency_ms < 10_000


def test_observers_know_what_somebody_tries():
    site, seen = two(), list[Answered]()
    site.models.observers.append(seen.append)
    assert site.ask("POST", f"{PATH}?show=input", bytes(16), RAW).status == 200
    assert [answered.role for answered in seen] == ["try"]


def test_a_version_whose_process_has_ended_is_not_ready():
    site = two()
    site.slots["toy"].pinned[1].engine.failure = "ended with -9"
    path = "/v2/models/toy/versions/{}/ready"
    ended, well = (site.ask("GET", path.format(version)) for version in (1, 2))
    assert (well.status, well.json) == (200, {"name": "toy", "ready": True})
    assert (ended.status, ended.json) == (503, {"name": "toy", "ready": False})
    assert ended.headers["retry-after"] == "1"


def test_ready_says_what_is_wrong():
    site = two()
    assert site.ask("GET", "/v2/health/ready").json == {"ready": True}
    slot = site.slots["toy"]
    slot.failures = {3: "version 3 does not load"}
    site.models.notices.append(lambda: {"ledger": "does not answer"})
    reply = site.ask("GET", "/v2/health/ready")
    assert (reply.status, reply.json) == (
        200,
        {
            "ready": True,
            "failures": {"toy": "version 3 does not load"},
            "ledger": "does not answer",
        },
    )
    slot.current = None
    reply = site.ask("GET", "/v2/health/ready")
    assert (reply.status, reply.json["ready"]) == (503, False)
    assert site.ask("POST", PATH, bytes(16), RAW).status == 503


def test_a_fault_is_counted_and_tells_nothing(caplog):
    class Faulty(Toy):
        def __call__(self, items):
            raise RuntimeError("secret")

    site = Site(serving(IMAGE, engine=Faulty(3, 0)))
    reply = site.ask("POST", PATH, bytes(16), RAW)
    assert reply.status == 500 and b"secret" not in reply.body
    assert site.app.metrics.faults == 1 and "secret" in caplog.text


def test_metrics_count_requests_by_version_and_status():
    site = two()
    for size in (16, 16, 15):
        site.ask("POST", PATH, bytes(size), RAW)
    site.ask("GET", "/nowhere")
    reply = site.ask("GET", "/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = reply.body.decode().splitlines()
    for line in (
        'headrace_requests_total{model="toy",status="200",version="2"} 2.0',
        'headrace_requests_total{model="toy",status="422",version="2"} 1.0',
        'headrace_requests_total{model="",status="404",version=""} 1.0',
        "headrace_faults_total 0.0",
        'headrace_request_seconds_bucket{le="+Inf",model="toy",version="2"} 2.0',
        'headrace_request_seconds_count{model="toy",version="2"} 2.0',
        'headrace_waiting{model="toy",version="1"} 0.0',
    ):
        assert line in lines, reply.body.decode()
    samples = [line for line in lines if not line.startswith("#")]
    assert len({line.rpartition(" ")[0] for line in samples}) == len(samples)
