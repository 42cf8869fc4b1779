"""Questions: packed from rows, and checked where a user asks."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.errors import InputError
from headrace.tasks.synthesis.data import QUESTIONS
from headrace.tasks.synthesis.questions import NOISE, Layout

Q = Layout(0, 1, slice(2, 10), slice(10, 18), 18)


def test_the_layout(data):
    assert Layout.of(data) == Q


def test_rows_ask_for_their_text_and_speaker_with_noise_of_their_item(data):
    items = np.arange(3 * 4000, dtype=np.int16).reshape(3, 4000)
    labels, groups = ["down", "up we go", "down"], ["low", "high", "low"]
    asked = QUESTIONS.of(items, pa.chunked_array([labels]), groups, data)
    assert asked.shape == (3, 18)
    assert asked.dtype == QUESTIONS.DTYPE
    assert asked[:, Q.speaker].tolist() == [1, 0, 1]
    assert (asked[:, Q.seconds] == 0).all()
    text = "".join(map(chr, asked[1, Q.text].astype(int)))
    assert text == "up we go"
    assert asked[0, Q.text].tolist() == [*map(ord, "down"), 0, 0, 0, 0]
    assert not np.array_equal(asked[0, Q.noise], asked[2, Q.noise])
    again = QUESTIONS.of(
        items[::-1], pa.chunked_array([labels[::-1]]), groups[::-1], data
    )
    assert np.array_equal(again[::-1], asked)


def test_a_data_set_without_speakers_has_one_voice(data):
    alone = data.model_copy(update={"target": {**data.target, "speakers": [""]}})
    asked = QUESTIONS.of(
        np.zeros((1, 4000), np.int16), pa.chunked_array([["down"]]), [], alone
    )
    assert asked[0, Q.speaker] == 0
    assert QUESTIONS.check_input("down", alone)[0, Q.speaker] == 0


def test_a_seed_is_a_take_and_variation_scales_its_noise(data):
    def noise(**fields):
        return QUESTIONS.check_input({"text": "down", **fields}, data)[0, Q.noise]

    assert np.array_equal(noise(seed=3), noise(seed=3))
    assert not np.array_equal(noise(seed=3), noise(seed=4))
    assert (noise(variation=0) == 0).all()
    assert noise(variation=2) == pytest.approx(2 * noise())
    assert noise().shape == (NOISE,)


def test_a_list_is_one_question_each(data):
    asked = QUESTIONS.check_input(
        ["down", {"text": " up we go ", "seconds": 0.25}], data
    )
    assert asked[:, Q.seconds].tolist() == [0, 0.25]
    assert np.array_equal(QUESTIONS.check_input(asked, data), asked)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("left", "does not know the text 'left'"),
        ({"speaker": "low"}, "has no text"),
        ({"text": "down", "speaker": "lou"}, "does not know the speaker 'lou'"),
        ({"text": "down", "sped": 2}, "There is no field 'sped'"),
        ({"text": "down", "variation": 3}, "variation is 3; expected a number from 0"),
        ({"text": "down", "variation": float("nan")}, "variation is nan"),
        ({"text": "down", "variation": 10**400}, "variation is 1000"),
        ({"text": "down", "seconds": 0.6}, "seconds is 0.6; .* from 0 to 0.5"),
        ({"text": "down", "seed": -1}, "seed is -1"),
        ({"text": "down", "seed": True}, "seed is True"),
        ([], "is a text or an object"),
        (7, "is a text or an object"),
        (np.zeros((2, 5), np.float32), r"packed questions are \(n, 18\)"),
        (np.full((1, 18), np.nan, np.float32), "does not take"),
        (np.full((1, 18), 5, np.float32), "does not take"),
    ],
)
def test_what_it_does_not_take(data, asked, reason):
    with pytest.raises(InputError, match=reason):
        QUESTIONS.check_input(asked, data)
