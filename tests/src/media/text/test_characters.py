"""The script of texts, and texts in another one than the rest."""

import pytest

ENGLISH = "I will see you at the station when the train is there"


@pytest.mark.parametrize(
    ("words", "script"),
    [
        (ENGLISH, "latin"),
        ("weather tomorrow", "latin"),
        ("今天天气很好", "han"),
        ("土耳其 (Turkey) 三面环海", "han"),
        ("日本語のテキストです", "kana"),
        ("한국어 텍스트", "hangul"),
        ("Привет всем", "cyrillic"),
        ("مرحبا بالعالم", "arabic"),
        ("12:30 !!!", ""),
        ("ok", ""),
        ("Hello всем там", ""),
    ],
)
def test_the_script_of_most_letters_is_told(told, words, script):
    assert told([words])["script"].tolist() == [script]


@pytest.mark.parametrize(
    ("texts", "foreign"),
    [
        ([ENGLISH] * 30 + ["Привет всем"], True),
        ([ENGLISH] * 30 + ["今天天气很好"], True),
        (["今天天气很好"] * 30 + [ENGLISH], False),
        ([ENGLISH] * 30 + ["12:30"], False),
        ([ENGLISH] * 5 + ["今天天气很好"] * 5 + ["今天天气很好"], False),
        ([ENGLISH] * 85 + ["今天天气很好"] * 15, False),
        ([ENGLISH, "今天天气很好", "Привет всем", "مرحبا بالعالم"], False),
    ],
)
def test_a_text_in_another_script_than_the_rest_is_found(told, texts, foreign):
    found = told(texts)["foreign"].tolist()

    assert found == [False] * (len(texts) - 1) + [foreign]


def test_an_eighth_in_another_script_is_unlike_the_rest(told):
    found = told([ENGLISH] * 88 + ["Привет всем"] * 12)["foreign"].tolist()

    assert found == [False] * 88 + [True] * 12
