"""What is expected of texts."""

from __future__ import annotations

import numpy as np
import pytest

from headrace.media import text
from headrace.records import DataDescription

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
        ("Привет всем", 1, {("language", True)}),
        ("Nous avons vu que le chat dort dans le jardin", 1, set()),
        ("Nous avons vu que le chat dort dans le jardin", 5, {("language", True)}),
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
