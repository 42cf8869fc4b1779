"""Parameters of flows: those of a pipeline file fit before anything is deployed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from prefect import flow
from pydantic import Field

from headrace.errors import SpecError, UsageError
from headrace.pipeline import load_spec
from headrace.pipeline.deploy import DeploySpec
from headrace_flows import parameters
from headrace_flows.parameters import Place, check_parameters

DIGITS = Path(__file__).parents[2] / "pipelines" / "digits"


@flow
def added(  # as somebody may write one
    pipeline: dict[str, Any],
    folder: str,
    plain,
    few: Annotated[int, Field(ge=1)] = 1,
    array: np.ndarray | None = None,
    place: Place = "",
    **others: int,
) -> None:
    """Do nothing."""


def check(monkeypatch, **values):
    monkeypatch.setattr(parameters, "find_flow", {"score": added}.get)
    table = {"flows": {"score": {"parameters": values}}}
    check_parameters(load_spec(DIGITS), DeploySpec.model_validate(table), DIGITS)


@pytest.mark.parametrize(
    "values", [{"plain": [1]}, {"few": 3}, {"array": None}, {"place": "s3://inbox/x"}]
)
def test_what_fits_is_taken(monkeypatch, values):
    check(monkeypatch, **values)


@pytest.mark.parametrize(
    ("values", "kind", "said"),
    [
        ({"fews": 3}, SpecError, "Its parameters are: plain, few, array, place."),
        ({"folder": "x"}, SpecError, "no parameter 'folder'"),
        ({"others": 1}, SpecError, "no parameter 'others'"),
        ({"few": 0}, SpecError, "deploy.flows.score.parameters.few is 0, which the"),
        ({"few": "some"}, SpecError, "should be a valid integer"),
        ({"array": [1.0]}, SpecError, "should be an instance of ndarray"),
        ({"place": "s3://a:hunter2@inbox/x"}, UsageError, "holds a credential"),
    ],
)
def test_what_does_not_fit_is_told(monkeypatch, values, kind, said):
    with pytest.raises(kind) as caught:
        check(monkeypatch, **values)
    told = f"{caught.value.message} {caught.value.action}"
    assert said in told
    assert "hunter2" not in told
