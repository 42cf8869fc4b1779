"""What `headrace new` says about documents."""

from collections import Counter

import pyarrow as pa
import pytest

from headrace.errors import Refusal
from headrace.pipeline.gates import known_gates
from headrace.tasks.generation.words import LARGE, SURVEY


def test_gates_need_no_figure_from_the_user():
    counts = Counter({("train", ""): 80, ("test", ""): 20})
    survey = SURVEY.survey("x.txt", counts, 100, [])
    assert survey.rows == {"train": 80, "test": 20}
    known = known_gates("generation")
    assert all("threshold" in known[gate["name"]] for gate in survey.gates)


def test_the_size_of_the_vocabulary_and_the_crops_come_from_the_documents():
    survey = SURVEY.survey(
        "x.txt", Counter({("train", ""): 80, ("test", ""): 20}), 100, []
    )
    texts = [pa.chunked_array([["ab", "c" * 64]]), pa.chunked_array([["床前" * 64]])]
    found = SURVEY.look(survey, texts)
    assert found.arguments == {"max_tokens": 7}  # five, the bounds and the unknown
    assert found.examples == 1 + 2 + 3
    many = pa.chunked_array([["".join(map(chr, range(0x4E00, 0x4E00 + 8_000)))]])
    assert SURVEY.look(survey, [many]).arguments == LARGE


def test_too_few_documents_are_refused():
    with pytest.raises(Refusal, match="has 1 different document; at least 20"):
        SURVEY.survey("x.txt", Counter({("train", ""): 1}), 1, [])
    with pytest.raises(Refusal, match=r"some of them to test on.*`--separator` of"):
        SURVEY.survey("x.txt", Counter({("train", ""): 30}), 30, [])
