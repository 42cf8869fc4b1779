"""Thresholds that make no sense have a reason."""

import pytest

from headrace.pipeline import PipelineSpec
from headrace.pipeline.thresholds import threshold_problem


@pytest.mark.parametrize("name", ["f1", "macro_f1", "tag_floor", "sport"])
def test_an_f1_or_an_end_of_its_interval_is_a_share(name):
    own = {"name": "sport", "metric": "tag=sport/f1_low", "threshold": 0.5}
    standard = ("f1", "macro_f1", "tag_floor")
    named = [own, *({"name": one, "threshold": 0.5} for one in standard)]
    table = {"name": "news", "medium": "text", "task": "tagging", "gates": named}
    spec = PipelineSpec.model_validate({**table, "data": {"source": "x"}})
    (gate,) = [one for one in spec.gates if one.name == name]
    assert threshold_problem(gate, 0.6) == ""
    assert "is a share" in threshold_problem(gate, 60)
    assert "every model has" in threshold_problem(gate, 0)
