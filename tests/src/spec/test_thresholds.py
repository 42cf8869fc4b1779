"""Thresholds that make no sense are refused."""

import pytest

from headrace.errors import SpecError
from headrace.spec import PipelineSpec
from headrace.spec.thresholds import check_threshold


@pytest.mark.parametrize("gate", ["f1", "macro_f1", "tag_floor", "sport"])
def test_an_f1_or_an_end_of_its_interval_is_a_share(gate):
    own = {"name": "sport", "metric": "tag=sport/f1_low", "threshold": 0.5}
    table = {"name": "news", "medium": "text", "task": "tagging", "gates": [own]}
    spec = PipelineSpec.model_validate({**table, "data": {"source": "x"}})
    check_threshold(spec, gate, 0.6)
    for wrong in (60, 0):
        with pytest.raises(SpecError, match=f"{gate}' cannot have the threshold"):
            check_threshold(spec, gate, wrong)
