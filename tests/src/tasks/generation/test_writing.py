"""Texts of a model: seeds, prompts, temperatures and pieces."""

from collections import Counter

import numpy as np
import pytest
from tests.src.tasks.generation.models import SIZES, TEXT, a_model

from headrace.errors import InputError
from headrace.tasks.generation.data import text_of
from headrace.tasks.generation.following import find_next
from headrace.tasks.generation.writing import (
    Writer,
    stream_text,
    write_texts,
)


@pytest.fixture(scope="module")
def writer():
    return Writer(a_model("gru_lm")[2])


@pytest.mark.system
@pytest.mark.parametrize("name", SIZES)
def test_a_seed_gives_one_text_whoever_else_asks(name):
    writer = Writer(a_model(name)[2])
    texts = [text_of(codes) for codes in write_texts(writer, (3, 4, 5), 150, 1.0)]
    for seed, text in zip((3, 4, 5), texts, strict=True):
        assert "".join(stream_text(writer, "", seed, 150, 1.0)) == text
    assert len({*texts}) == 3
    assert set("".join(texts)) <= set(TEXT)


@pytest.mark.system
def test_characters_are_drawn_by_their_probabilities(writer):
    draft = writer.begin("hel", texts=1)
    scores = np.asarray(draft.scores, np.float64)[0] / 2
    scores[1] = scores[len(set(TEXT)) + 2 :] = -np.inf
    shares = np.exp(scores) / np.exp(scores).sum()
    numbers = (np.arange(20_000, dtype=np.float32) + 0.5) / 20_000
    draft = writer.begin("hel", texts=len(numbers))
    codes = writer.write(draft, numbers[None], temperature=2.0)[0]
    counts = Counter(codes.tolist())
    for id_, share in enumerate(shares):
        if share:
            code = int(writer.codes[id_])
            assert counts.pop(code) / len(numbers) == pytest.approx(share, abs=2e-4)
    assert not counts


def test_at_temperature_0_the_likeliest_character_is_taken(writer):
    first, second = (
        "".join(stream_text(writer, "he", seed, 20, 0.0)) for seed in (1, 2)
    )
    assert first == second
    scores = np.asarray(writer.begin("he").scores)[0]
    scores[1] = scores[len(set(TEXT)) + 2 :] = -np.inf
    assert ord(first[0]) == writer.codes[scores.argmax()]


def test_unknown_characters_of_a_prompt_are_named(writer):
    with pytest.raises(InputError, match=r"'é' \(U\+00E9\), '☃' \(U\+2603\)"):
        writer.begin("h☃é")
    assert writer.ids("h\n").tolist() == [
        writer.codes.tolist().index(ord("h")),
        writer.codes.tolist().index(10),
    ]


def test_nothing_follows_the_end(writer):
    draft = writer.begin("", texts=1)
    draft.ended = np.ones(1, bool)
    numbers = np.full((5, 1), 0.5, np.float32)
    assert not writer.write(draft, numbers, 1.0).any()


def test_the_model_inside_is_found_by_its_name():
    _, network, model = a_model("gru_lm")
    assert find_next(model) is find_next(network)
    assert find_next(model).name == "next"
