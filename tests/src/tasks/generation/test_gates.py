"""Arguments of gates are checked before anything is trained."""

from types import SimpleNamespace

import numpy as np
import pytest
from tests.repo.docs_blocks import ROOT, blocks_of
from tests.src.tasks.generation.test_judge import a_spec

from headrace.errors import SpecError
from headrace.gates.kinds import JudgedRows
from headrace.tasks.generation import evidence
from headrace.use.checking import check_gates


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("baseline", {"order": 0}, "from 1 to 12"),
        ("baseline", {"order": 13}, "from 1 to 12"),
        ("baseline", {"order": "six"}, "from 1 to 12"),
        ("baseline", {"order": True}, "from 1 to 12"),
        ("baseline", {"ordre": 3}, "only baseline takes one: order"),
        ("repetition", {"order": 5}, "only baseline takes one"),
    ],
)
def test_wrong_arguments_are_refused(name, arguments, message):
    spec = a_spec({"name": name, "threshold": 0.5, "arguments": arguments})
    with pytest.raises(SpecError, match=message):
        check_gates(spec)


def test_arguments_have_defaults():
    assert evidence.order_of(a_spec()) == evidence.ORDER
    baseline = {"name": "baseline", "arguments": {"order": 3}}
    check_gates(spec := a_spec(baseline))
    assert evidence.order_of(spec) == 3


@pytest.mark.parametrize(("least", "passed"), [(None, False), (0.6, True)])
def test_the_gate_of_the_guide_finds_poems_that_keep_their_form(least, passed):
    spring = "春眠不觉晓，处处闻啼鸟。\n夜来风雨声，花落知多少。"
    texts = (spring, f"{spring}\n床前明月", "春眠不觉晓", spring, spring)
    guide = blocks_of(ROOT / "docs" / "guides" / "extend.md")
    (code,) = [b.text for b in guide if b.note[1] == "tidepool/tidepool/verse.py"]
    exec(code, verse := {})
    gate = SimpleNamespace(name="form", threshold=least)
    rows = JudgedRows("nats_per_character", np.ones(5), None, [""] * 5, texts=texts)
    result = verse["KIND"].judge_rows(gate, rows)
    assert (result.passed, result.value) == (passed, 0.6)
