"""Requests for texts, and texts of a model."""

import pytest
from tests.src.tasks.generation.models import DATA, a_model

from headrace.errors import InputError, UsageError
from headrace.models.logged.loading import LoadedModel
from headrace.records import DataDescription
from headrace.use.generating import TextModel, TextRequest, _first_lines


@pytest.fixture(scope="module")
def model():
    return TextModel(LoadedModel(lambda: a_model("gru_lm")[2], DATA, 3), "notes")


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"prompt": 5}, "The prompt is no text .* characters: '5'"),
        ({"prompt": "a" * 2_001}, "no text of at most 2,000 characters"),
        ({"prompt": "a\0b"}, r"without control characters: 'a\\x00b'"),
        ({"prompt": "a\x85"}, r"without control characters: 'a\\x85'"),
        ({"prompt": "\ud800"}, r"without control characters: '\\ud800'"),
        ({"characters": 0}, "value of characters is 0"),
        ({"characters": 10**9}, "value of characters is 1000000000"),
        ({"lines": True}, "value of lines is True"),
        ({"seed": -1}, "value of seed is -1"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": "hot"}, "temperature is 'hot'"),
        ({"temperature": 10**400}, "temperature is 1000"),
        ({"temperature": 5.1}, "temperature is 5.1"),
    ],
)
def test_a_bad_request_is_refused(wishes, message):
    with pytest.raises(InputError, match=message):
        TextRequest(**wishes)


def test_a_text_begins_with_its_prompt_and_follows_from_the_seed(model):
    request = TextRequest(prompt="he", characters=40, temperature=1.0, seed=5)
    text = model.write(request)
    assert text == model.write(request)
    assert text.startswith("he")
    assert text == "he" + "".join(model.stream(request))
    assert len(text) <= 42
    assert text != model.write(
        TextRequest(prompt="he", characters=40, temperature=1.0, seed=6)
    )


def test_a_text_does_not_end_before_it_has_its_lines(model):
    def write(lines):
        return model.write(
            TextRequest(
                prompt="he", characters=2_000, lines=lines, temperature=1.0, seed=5
            )
        )

    assert [write(lines).count("\n") for lines in (1, 3, 5)] == [0, 2, 4]
    assert write(0).count("\n") < 5
    assert write(5).startswith(write(1))


def test_line_ends_of_a_prompt_are_those_of_train(model):
    assert model.prompt_of(TextRequest(prompt="hello\r\nt\r")) == "hello\nt\n"
    with pytest.raises(InputError, match="has not learned"):
        model.prompt_of(TextRequest(prompt="x"))


@pytest.mark.parametrize("size", [1, 2, 100])
def test_lines_are_counted_over_pieces(size):
    text = "one\ntwo\n\nfour\nfive"
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    for lines, expected in ((1, "one"), (2, "one\ntwo"), (3, "one\ntwo\n"), (9, text)):
        assert "".join(_first_lines(iter(pieces), lines)) == expected


def test_personal_data_leaves_in_whole_lines_and_masked(monkeypatch):
    data = DATA.model_copy(update={"mask": ("email",)})
    model = TextModel(LoadedModel(lambda: a_model("gru_lm")[2], data, 3), "notes")
    pieces = ["write to a@b", ".org or", "\nto c@d.com", " now\nx@", "y.net"]
    monkeypatch.setattr(
        "headrace.use.generating.stream_text", lambda *_, **__: iter(pieces)
    )
    given = [*model.stream(TextRequest(seed=1))]
    assert given == ["write to <EMAIL> or\n", "to <EMAIL> now\n", "<EMAIL>"]


@pytest.mark.system
@pytest.mark.parametrize(
    ("prompt", "pieces", "given"),
    [
        ("hello\nto he", ["d@ld.ro", "w\nto w"], ["<EMAIL>\n", "to w"]),
        ("hello", [" wor", "ld"], [" world"]),
        ("to", ["\n", "to"], ["\n", "to"]),
        ("to", [], [""]),
    ],
)
def test_personal_data_that_the_prompt_begins_is_masked(
    monkeypatch, prompt, pieces, given
):
    data = DATA.model_copy(update={"mask": ("email",)})
    model = TextModel(LoadedModel(lambda: a_model("gru_lm")[2], data, 3), "notes")
    monkeypatch.setattr(
        "headrace.use.generating.stream_text", lambda *_, **__: iter(pieces)
    )
    assert [*model.stream(TextRequest(prompt=prompt, seed=1))] == given


def test_a_masked_prompt_that_cannot_be_read_is_refused_for_its_personal_data():
    data = DATA.model_copy(update={"mask": ("email", "phone")})
    model = TextModel(LoadedModel(lambda: a_model("gru_lm")[2], data, 3), "notes")
    said = r"has personal data \(email\), which is masked .* 'to <EMAIL>'"
    with pytest.raises(InputError, match=said) as refused:
        model.write(TextRequest(prompt="to a@b.org"))
    assert "Leave the personal data out." in str(refused.value)


def test_a_model_of_another_task_is_refused():
    data = DataDescription(medium="text", shape=(64,), classes=("a", "b"))
    with pytest.raises(UsageError, match="a model for classification, which writes no"):
        TextModel(LoadedModel(lambda: None, data, 1), "spam")
