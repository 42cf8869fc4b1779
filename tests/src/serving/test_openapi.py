"""The document is true: whatever is sent, the replies are those that it has."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis import checks
from tests.src.serving.conftest import AUDIO, IMAGE, TEXT, Site, serving

from headrace import __version__
from headrace.explanations import Verdict
from headrace.serving.doors import Doors

SITE = Site(
    serving(IMAGE, 2),
    serving(TEXT, model="words"),
    serving(AUDIO, model="sounds"),
    doors=Doors(["testserver"]),
)
PASSED = Verdict(status="passed", reason="for a test")
SITE.slots["words"].champion().sanity = PASSED
DOCUMENT = schemathesis.openapi.from_asgi("/openapi.json", SITE.app)
CHECKS = [
    checks.not_a_server_error,
    checks.CHECKS.get_one("status_code_conformance"),
    checks.CHECKS.get_one("content_type_conformance"),
    checks.CHECKS.get_one("response_schema_conformance"),
    checks.CHECKS.get_one("unsupported_method"),
]


MODELS = {"toy": 2, "words": 1, "sounds": 1}


@pytest.mark.parametrize("model", MODELS)
@DOCUMENT.parametrize()
@hypothesis.settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_replies_are_those_of_the_document(case: Any, model: str) -> None:
    own = {"model": model, "version": MODELS[model]}
    case.path_parameters = {name: own[name] for name in case.path_parameters}
    case.call_and_validate(checks=CHECKS)
    assert SITE.app.metrics.faults == 0


def test_the_document_has_every_route_and_the_version_of_headrace():
    document = SITE.ask("GET", "/openapi.json").json
    assert document["info"]["version"] == __version__
    own = {path for path in SITE.app.paths if not path.startswith("/page/")}
    assert own - {"/", "/v2/", "/openapi.json"} == set(document["paths"])


def test_items_are_taken_in_every_type_that_a_model_takes():
    body = SITE.ask("GET", "/openapi.json").json["paths"]["/models/{model}/predict"]
    kinds = set(body["post"]["requestBody"]["content"])
    assert kinds == {
        kind for slot in SITE.slots.values() for kind in slot.champion().reader.types
    }
