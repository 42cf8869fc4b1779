"""Arguments of gates are checked before anything is trained."""

import pytest
from tests.src.tasks.generation.test_judge import a_spec

from headrace.errors import SpecError
from headrace.tasks.generation import gates
from headrace.use.checking import check_gates


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("baseline", {"order": 0}, "from 1 to 12"),
        ("baseline", {"order": 13}, "from 1 to 12"),
        ("baseline", {"order": "six"}, "from 1 to 12"),
        ("baseline", {"order": True}, "from 1 to 12"),
        ("baseline", {"ordre": 3}, "takes only order.*Did you mean order"),
        ("form", {"lengths": []}, "whole numbers from 1"),
        ("form", {"lengths": [5, 0]}, "whole numbers from 1"),
        ("form", {"lengths": 5}, "whole numbers from 1"),
        ("repetition", {"order": 5}, "takes no arguments"),
    ],
)
def test_wrong_arguments_are_refused(name, arguments, message):
    spec = a_spec({"name": name, "threshold": 0.5, "arguments": arguments})
    with pytest.raises(SpecError, match=message):
        check_gates(spec)


def test_arguments_have_defaults():
    assert gates.order_of(a_spec()) == gates.ORDER
    assert gates.lengths_of(a_spec()) == [5, 7]
    baseline = {"name": "baseline", "arguments": {"order": 3}}
    form = {"name": "form", "threshold": 0.5, "arguments": {"lengths": [4]}}
    check_gates(spec := a_spec(baseline, form))
    assert (gates.order_of(spec), gates.lengths_of(spec)) == (3, [4])
