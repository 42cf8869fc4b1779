"""Languages, and texts that are unlike the rest."""

import pytest

ENGLISH = "I will see you at the station when the train is there"
FRENCH = "Nous avons vu que le chat dort sur la table avec une souris dans le jardin"


@pytest.mark.parametrize(
    ("words", "language"),
    [
        (ENGLISH, "en"),
        (FRENCH, "fr"),
        ("Ich weiß nicht, ob die Kinder mit dem Auto gefahren sind", "de"),
        ("No sé por qué los niños están en la casa pero no con su madre", "es"),
        ("La casa che ho visto è della mia amica, ma non so perché", "it"),
        ("Eu não sei se você está em casa, mas isso é muito bom", "pt"),
        ("Ik weet niet of het een goed idee is, maar wij zijn er ook", "nl"),
        ("weather tomorrow", "latin"),
        ("in, in, in; a man, a man", "latin"),
        (
            "paris london tokyo berlin madrid lisbon oslo rome vienna kyiv bern riga",
            "unknown",
        ),
        ("今天天气很好", "zh"),
        ("土耳其 (Turkey) 三面环海", "zh"),
        ("日本語のテキストです", "ja"),
        ("한국어 텍스트", "ko"),
        ("Привет всем", "cyrillic"),
        ("مرحبا بالعالم", "arabic"),
        ("12:30 !!!", ""),
        ("ok", ""),
        ("Hello всем там", ""),
    ],
)
def test_languages_are_told(told, words, language):
    assert told([words])["language"].tolist() == [language]


@pytest.mark.parametrize(
    ("texts", "foreign"),
    [
        ([ENGLISH] * 30 + ["Привет всем"], 2),
        ([ENGLISH] * 30 + ["今天天气很好"], 2),
        ([ENGLISH] * 30 + [FRENCH], 1),
        (["今天天气很好"] * 30 + [ENGLISH], 1),
        ([ENGLISH] * 30 + ["weather tomorrow"], 0),
        ([ENGLISH] * 30 + ["12:30"], 0),
        ([ENGLISH] * 5 + ["今天天气很好"] * 5 + ["今天天气很好"], 0),
        ([ENGLISH] * 85 + ["今天天气很好"] * 15, 0),
        ([ENGLISH, FRENCH, "今天天气很好", "Привет всем", "مرحبا بالعالم"], 0),
    ],
)
def test_a_text_unlike_the_rest_is_found(told, texts, foreign):
    found = told(texts)["foreign"].tolist()

    assert found == [0] * (len(texts) - 1) + [foreign]


def test_an_eighth_in_another_script_is_unlike_the_rest(told):
    found = told([ENGLISH] * 88 + ["Привет всем"] * 12)["foreign"].tolist()

    assert found == [0] * 88 + [2] * 12
