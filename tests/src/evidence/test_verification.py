"""A champion that rests on a wrong verdict, by `verify`, `history` and `list`."""

from __future__ import annotations

from typing import Any

import pytest
from tests.homes import Home

from headrace.evidence.verification import verify
from headrace.stages.promotion import conclude
from headrace.stages.promotion.by_hand import roll_back
from headrace.stages.registration import register

pytestmark = pytest.mark.system

Trained = Any


def test_a_champion_by_a_wrong_verdict_is_named_until_it_is_taken_back(
    trained: Trained,
) -> None:
    """A gate was patched, and said that 0.8555 is at least 0.999."""
    settings, spec, seen = trained.settings, trained.spec, trained.good_evaluation
    wrong = {"value": 0.8555, "threshold": 0.999, "compared": "0.8555 >= 0.999"}
    gates = tuple(
        gate.model_copy(update=wrong) if gate.name == "accuracy" else gate
        for gate in seen.gates
    )
    judged = seen.model_copy(update={"gates": gates})
    place = (trained.folder, trained.snapshot, trained.good, judged, settings)
    registered = register(spec, *place)
    assert conclude(spec, judged, registered, settings).status == "promoted"
    found = verify(settings)
    text = "The gate accuracy of blobs/2 is recorded as passed with 0.8555 >= 0.999"
    assert found.problem is not None
    assert found.problem.what.startswith(text)
    assert "headrace rollback blobs" in found.problem.action
    home = Home(settings.home, settings.project)
    for command in (["history", "blobs"], ["list"]):
        (told,) = home.headrace(*command, "--json").json["warnings"]
        assert told.startswith(text)
        shown = " ".join(home.headrace(*command).out.split())
        assert f"warning: {text}" in shown
        assert "See `headrace verify`." in shown

    roll_back("blobs", settings, reason="its gate was patched")
    found = verify(settings)
    assert (found.status, found.problem) == ("ok", None)
    (warning,) = found.warnings
    assert warning.startswith(text)
