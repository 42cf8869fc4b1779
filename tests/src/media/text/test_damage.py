"""Encoding damage."""

import pytest

CHINESE = [
    "床前明月光，疑是地上霜。举头望明月，低头思故乡。",
    "今天的天气很好，我们去公园吧。",
]
NATURAL = [
    "Le café était fermé… « voilà… » dit-il, déjà là”. Où ça ?",
    "Die Straße „Groß“ – Übermut, Spaß“ und Öl…",
    "São Paulo: MAÇÃ é NÃO",
    "El niño comió “mañana”… ¿Qué? ¡Sí!",
    "Příliš žluťoučký kůň “úpěl ďábelské ódy” – nevíš… slyšíš“",
    "Привет, как дела? Это «хорошо»…",
    "Çağrı Türkçe şöyle böyle, ığdır",
    "Þetta er íslenska, þú ðæ öáí",
    "Việt Nam: tiếng Việt đẹp lắm",
    "日本語のテキストです、東京",
    "ouiéééééé!!! £££££ ¡¡¡¡ ···· What???",
    "a × b ÷ c ° ± µ² ½, 👨‍👩‍👧 😀",
    "这水好烫烫烫！",
    "屯门公屯",
    *CHINESE,
]


def _windows(data):
    known = (bytes([byte]).decode("cp1252", "ignore") for byte in data)
    return "".join(c or chr(b) for c, b in zip(known, data, strict=True))


def test_natural_texts_have_none(told):
    assert not told(NATURAL)["damage"].any()


@pytest.mark.parametrize("words", CHINESE)
@pytest.mark.parametrize(
    "misread",
    [
        lambda words: words.encode().decode("latin-1"),
        lambda words: _windows(words.encode()),
        lambda words: words.encode().decode("gbk", "replace"),
        lambda words: words.encode().decode("gbk", "ignore"),
        lambda words: words.encode("gbk").decode("latin-1"),
        lambda words: _windows(words.encode("gbk")),
        lambda words: words.encode("gbk").decode("utf-8", "replace"),
        lambda words: words.encode("ascii", "replace").decode(),
    ],
)
def test_chinese_that_was_misread_is_mostly_damage(told, words, misread):
    assert told([misread(words)])["damage_share"][0] > 0.2


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("I donâ€™t know", 3),
        ("a cafÃ© and a pâtÃ©", 4),
        ("only Â£5", 1),  # the £ stays
        ("ðŸ˜€ fun", 4),
        ("bad \ufffd here \ufffd", 2),
        ("锟斤拷", 3),
        ("烫烫烫烫烫烫 x", 6),
        ("ÐŸÑ€Ð¸Ð²ÐµÑ‚", 12),
        ("??????", 6),
        ("What??????", 0),
    ],
)
def test_each_damaged_character_is_counted(told, words, count):
    assert told([words])["damage"].tolist() == [count]


def test_damage_is_of_the_text_that_has_it(told):
    texts = ["fine", "cafÃ©", "fine", CHINESE[0]]

    assert told(texts)["damage"].tolist() == [0, 2, 0, 0]
