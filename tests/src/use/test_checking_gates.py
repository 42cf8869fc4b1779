"""Gates that no model could pass are refused before anything is trained."""

import pytest

from headrace.errors import SpecError
from headrace.pipeline import PipelineSpec
from headrace.use.checking import check_gates, doubtful_gates


def spec_of(gate, **tables):
    fields = {"name": "one", "medium": "image", "data": {"source": "x"}, **tables}
    return PipelineSpec.model_validate({**fields, "gates": [gate]})


@pytest.mark.parametrize("depth", ["quick", "auto"])
def test_a_gate_on_membership_needs_that_it_is_measured(depth):
    gate = {"name": "membership"}
    with pytest.raises(SpecError, match=f'needs evaluation.depth = "full".*"{depth}"'):
        check_gates(spec_of(gate, evaluation={"depth": depth}))
    check_gates(spec_of(gate, evaluation={"depth": "full"}))


def test_a_gate_on_a_class_that_is_not_declared_is_refused():
    gate = {"name": "spam", "metric": "class=spma/f1", "threshold": 0.9}
    data = {"source": "x", "classes": ["ham", "spam"]}
    with pytest.raises(SpecError, match="no 'spma'") as caught:
        check_gates(spec_of(gate, data=data))
    assert caught.value.action == "Did you mean spam?"
    check_gates(spec_of(gate))  # the classes are those of the data
    check_gates(spec_of({**gate, "metric": "class=spam/f1"}, data=data))
    slash = {"source": "x", "classes": ["n/a", "yes"]}
    check_gates(spec_of({**gate, "metric": "class=n/a/f1"}, data=slash))


@pytest.mark.parametrize(
    ("threshold", "told"),
    [
        (95, ["the gate 'accuracy' has the threshold 95: test_accuracy is a share, "]),
        (-5, ["the gate 'accuracy' has the threshold -5: test_accuracy is a share, "]),
        (0.95, []),
    ],
)
def test_a_gate_that_all_models_pass_or_none_is_told(threshold, told):
    spec = spec_of({"name": "accuracy", "threshold": threshold})
    findings = [one.message for one in doubtful_gates(spec)]
    assert findings == [f"{message}from 0 to 1" for message in told]


@pytest.mark.parametrize(
    ("metric", "doubts"), [("test_bias", 0), ("test_bias_size", 1)]
)
def test_a_number_with_a_sign_may_be_below_zero(metric, doubts):
    gate = {"name": "low", "metric": metric, "direction": "min", "threshold": -0.5}
    assert len(doubtful_gates(spec_of(gate, task="regression"))) == doubts
