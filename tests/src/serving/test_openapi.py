"""The document is true: whatever is sent, the replies are those that it has."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis import checks
from tests.src.serving.conftest import AUDIO, IMAGE, TEXT, Site, serving

from headrace.explanations import Verdict
from headrace.serving.doors import Doors

SITE = Site(
    serving(IMAGE, 2),
    serving(TEXT, model="words"),
    serving(AUDIO, model="sounds"),
    doors=Doors(["testserver"]),
)
PASSED = Verdict(status="passed", reason="for a test")
SITE.slots["words"].champion().sanity |= {"occlusion": PASSED}
DOCUMENT = schemathesis.openapi.from_asgi("/openapi.json", SITE.app)
CHECKS = [
    checks.not_a_server_error,
    checks.CHECKS.get_one("status_code_conformance"),
    checks.CHECKS.get_one("content_type_conformance"),
    checks.CHECKS.get_one("response_schema_conformance"),
    checks.CHECKS.get_one("unsupported_method"),
]


@DOCUMENT.parametrize()
@hypothesis.settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_replies_are_those_of_the_document(case: Any) -> None:
    case.call_and_validate(checks=CHECKS)
    assert SITE.app.metrics.faults == 0


def test_there_is_an_operation_for_each_version():
    paths = SITE.ask("GET", "/openapi.json").json["paths"]
    for path in (
        "/models/toy/predict",
        "/models/toy/versions/2/predict",
        "/models/toy/explain",
        "/v2/models/toy/infer",
        "/v2/models/toy/versions/2/infer",
        "/v2/models/words/ready",
    ):
        assert path in paths


FORM = "multipart/form-data"


@pytest.mark.parametrize(
    ("model", "kinds"),
    [
        ("toy", ["image/*", FORM, "application/octet-stream"]),
        ("words", ["text/plain", FORM, "application/octet-stream", "application/json"]),
        ("sounds", ["audio/*", "application/ogg", FORM, "application/octet-stream"]),
    ],
)
def test_the_document_has_what_each_model_takes(model, kinds):
    paths = SITE.ask("GET", "/openapi.json").json["paths"]
    body = paths[f"/models/{model}/predict"]["post"]["requestBody"]
    assert list(body["content"]) == kinds
