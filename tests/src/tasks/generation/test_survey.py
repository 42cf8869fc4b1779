"""What `headrace new` says about documents."""

from __future__ import annotations

from collections import Counter

import pytest

from headrace.errors import Refusal
from headrace.spec.pipeline import known_gates
from headrace.tasks.generation.survey import PART


def test_gates_need_no_figure_from_the_user() -> None:
    counts = Counter({("train", ""): 80, ("test", ""): 20})
    survey = PART.survey("x.txt", counts, 100, [])
    assert survey.rows == {"train": 80, "test": 20}
    known = known_gates("generation")
    assert all("threshold" in known[gate["name"]] for gate in survey.gates)


def test_too_few_documents_are_refused() -> None:
    with pytest.raises(Refusal, match="has 1 different document; at least 20"):
        PART.survey("x.txt", Counter({("train", ""): 1}), 1, [])
    with pytest.raises(Refusal, match="some of them to test on"):
        PART.survey("x.txt", Counter({("train", ""): 30}), 30, [])
