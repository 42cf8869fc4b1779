"""What the contract can say of texts."""

import importlib

import numpy as np
import pytest

from headrace.media.text import MEDIUM as text
from headrace.records import DataDescription


def test_columns_are_those_of_each_text(told):
    found = told(["Hi, Bob 42", "时间是 ok", "Да"])

    expected = {
        "characters": [10, 6, 2],
        "bytes": [10, 12, 4],
        "words": [3, 4, 1],
        "letters": [0.5, 5 / 6, 1],
        "digits": [0.2, 0, 0],
        "han": [0, 0.6, 0],
        "latin": [1, 0.4, 0],
        "cyrillic": [0, 0, 1],
        "arabic": [0, 0, 0],
        "repeated": [1, 1, 1],
        "blank": [False] * 3,
        "damage": [0] * 3,
        "controls": [0] * 3,
        "c1": [0] * 3,
        "hidden": [0] * 3,
        "damage_share": [0] * 3,
        "foreign": [False] * 3,
        "label_in_text": [False] * 3,
    }
    assert {name: found[name].tolist() for name in expected} == expected
    assert found["script"].tolist() == ["latin", "han", ""]


def test_no_texts_have_empty_columns(told):
    assert {len(column) for column in told([]).values()} == {0}


def test_columns_are_the_same_in_small_blocks(told, monkeypatch):
    rng = np.random.default_rng(5)
    letters = np.array(list("ab cé时间\u200b!0"))
    texts = ["".join(rng.choice(letters, size)) + "x" for size in range(60)]
    labels = [str(place % 3) for place in range(60)]
    whole = told(texts, labels)

    module = importlib.import_module("headrace.media.text.columns")
    monkeypatch.setattr(module, "_BLOCK_BYTES", 100)

    for name, column in told(texts, labels).items():
        assert column.tolist() == whole[name].tolist(), name
    assert whole["characters"].tolist() == [len(text) for text in texts]
    assert whole["hidden"].tolist() == [text.count("\u200b") for text in texts]


def test_a_text_that_says_nothing_is_blank(told):
    found = told(
        ["\u200b\u200b", "aaaaaaaaaa", "......", "a", "烫烫烫烫烫烫烫烫烫烫烫"]
    )

    assert found["blank"].tolist() == [True, True, False, False, True]


def test_runs_end_with_their_text(told):
    assert told(["xaa", "aaab", "b"])["repeated"].tolist() == [2, 3, 1]


def test_characters_that_nobody_sees_are_counted(told):
    found = told(
        ["a\x07b\x1b\tc\n", "x\u202ey\u2066", "s\u200bp\u200ba", "a\x92\x85", "👨‍👩‍👧"]
    )

    assert found["controls"].tolist() == [2, 2, 0, 0, 0]
    assert found["hidden"].tolist() == [0, 0, 2, 0, 0]
    assert found["c1"].tolist() == [0, 0, 0, 1, 0]
    assert found["damage_share"].tolist() == [2 / 7, 0.5, 0, 1 / 3, 0]


def test_a_text_far_longer_than_the_rest_is_told(told):
    lengths = [10, 10, 20, 20, 30, 40, 40, 40, 250]

    found = told(["a" + "bc" * (n // 2) for n in lengths], width=1024)

    excess = found["length_excess"]
    assert excess[:-1].max() == 0
    assert np.isclose(excess[-1], np.log(251 / 41) / np.log(41 / 21))


def test_texts_of_one_length_have_some_room(told):
    excess = told(["abcd"] * 9 + ["abcdab"])["length_excess"]

    assert np.isclose(excess[-1], 1)


DATA = DataDescription(medium="text", shape=(256,), classes=("ham", "spam"))
EXPECTED = text.expectations(DATA)
CLEAN = [f"I will see you at {hour} when the train is there" for hour in range(400)]
CHINESE = [f"我们在第{hour}天去公园，天气很好。" for hour in range(400)]


def _failed(found):
    """What fails of those of rows, as Great Expectations would have it."""
    failed = set()
    for item in EXPECTED:
        values = np.asarray(found[item.arguments["column"]])
        if "value_set" in item.arguments:
            holds = np.isin(values, item.arguments["value_set"])
        elif item.name.startswith("expect_column_values"):
            low = item.arguments.get("min_value", -np.inf)
            holds = (values >= low) & (
                values <= item.arguments.get("max_value", np.inf)
            )
        else:
            continue
        if holds.mean() < item.arguments.get("mostly", 1):
            failed.add((item.check, item.warns))
    return failed


def test_expectations_are_of_columns_that_there_are(told):
    found = told(CLEAN)

    assert {item.arguments["column"] for item in EXPECTED} <= set(found)
    assert {item.name for item in EXPECTED if not item.warns} == {
        "expect_column_values_to_be_between"
    }


def test_each_kind_of_personal_data_has_its_number():
    columns = [i.arguments["column"] for i in EXPECTED if i.check == "personal_data"]

    assert sorted(columns) == ["card_numbers", "emails", "id_numbers", "phones"]


@pytest.mark.parametrize("texts", [CLEAN, CHINESE, CLEAN + CHINESE])
def test_clean_texts_fail_nothing(told, texts):
    assert _failed(told(texts, ["ham", "spam"] * (len(texts) // 2))) == set()


@pytest.mark.parametrize(
    ("words", "count", "failed"),
    [
        (
            "Don’t go".encode().decode("latin-1"),
            1,
            {("encoding", True), ("encoding", False)},
        ),
        ("I would not go there, but I cafÃ©", 1, {("encoding", True)}),
        ("ring \x07 the bell", 1, {("control_characters", True)}),
        ("from \u202e behind", 1, {("control_characters", True)}),
        ("s\u200bp\u200bam", 1, set()),
        ("s\u200bp\u200bam", 5, {("control_characters", True)}),
        ("It\x92s the one that I wanted", 4, set()),
        ("It\x92s the one that I wanted", 12, {("encoding", True)}),
        ("Привет всем", 1, {("foreign", True)}),
        ("ab" * 125, 1, {("length", True)}),
        ("his number is 11010519491231002X", 1, {("personal_data", True)}),
        ("her card is 4111 1111 1111 1111", 1, {("personal_data", True)}),
        ("call me on 13800138000 or a@b.cd", 40, set()),
    ],
)
def test_damage_is_told(told, words, count, failed):
    assert _failed(told([*CLEAN[count:], *[words] * count])) == failed


def test_a_label_in_the_texts_is_told(told):
    labels = ["ham", "spam"] * 200
    texts = [f"{label}: {text}" for text, label in zip(CLEAN, labels, strict=True)]

    assert _failed(told(texts, labels)) == {("label_in_text", True)}
