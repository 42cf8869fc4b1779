"""Messages are split into known texts, and answers joined with pauses."""

import numpy as np
import pytest

from headrace.errors import InputError
from headrace.tasks.synthesis.speech import PAUSE_SECONDS, SPEECH


def test_the_longest_text_that_fits_is_taken_and_seeds_differ(data):
    asked = SPEECH.questions(
        " down up  we go down ", {"seed": 5, "speaker": "low"}, data
    )
    assert [one["text"] for one in asked] == ["down", "up we go", "down"]
    assert [one["seed"] for one in asked] == [5, 6, 7]
    assert {one["speaker"] for one in asked} == {"low"}


@pytest.mark.parametrize(
    ("message", "texts"),
    [
        ("a b c", ["a", "b c"]),
        ("a b", ["a b"]),
        ("a b a", ["a b", "a"]),
        ("a a b c d a", ["a", "a", "b c", "d a"]),
    ],
)
def test_a_shorter_text_is_taken_where_the_longest_leaves_what_none_fits(
    data, message, texts
):
    known = ["a", "a b", "b c", "d a"]
    target = {**data.target, "texts": known}
    data = data.model_copy(update={"target": target})
    asked = SPEECH.questions(message, {}, data)
    assert [one["text"] for one in asked] == texts
    with pytest.raises(InputError, match="does not know the text 'c'"):
        SPEECH.questions("a b c c", {}, data)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("", "nothing to say"),
        ("down left", "does not know the text 'left'"),
        ("up we", "does not know the text 'up'"),
        ("down " * 501, "501 texts; at most 500"),
    ],
)
def test_what_it_cannot_say(data, message, reason):
    with pytest.raises(InputError, match=reason):
        SPEECH.questions(message, {}, data)


@pytest.mark.parametrize("seed", ["7", 1.5, True, None, -1])
def test_a_seed_is_a_whole_number(data, seed):
    with pytest.raises(InputError, match="expected a whole number from 0"):
        SPEECH.questions("down down", {"seed": seed}, data)


def test_answers_are_joined_with_pauses(data):
    outputs = np.zeros((2, 4000), np.float32)
    outputs[0, :10] = outputs[1, :20] = 0.5
    pause = round(PAUSE_SECONDS * data.sample_rate_hz)
    joined = SPEECH.joined(outputs, data)
    assert len(joined) == 10 + pause + 20
    assert (joined[10:-20] == 0).all()
