"""Personal data in texts."""

import pyarrow as pa
import pytest

from headrace.media.text.personal import (
    counts,
    is_card_number,
    is_id_number,
    mask,
)

KINDS = ("email", "phone", "id_number", "card_number")
ID_NUMBER = "11010519491231002X"  # the example of GB 11643
CARD_NUMBER = "4111111111111111"  # every issuer's example


@pytest.mark.parametrize("number", [ID_NUMBER, ID_NUMBER.lower(), "440524188001010014"])
def test_id_numbers_are_known_by_their_checksum(number):
    assert is_id_number(number)


@pytest.mark.parametrize(
    "number",
    [
        "110105194912310021",  # checksum
        "11010519491331002X",  # month
        "11010519490231002X",  # day
        "99010519491231002X",  # region
    ],
)
def test_other_numbers_are_no_id_numbers(number):
    assert not is_id_number(number)


@pytest.mark.parametrize(
    "number",
    [
        CARD_NUMBER,
        "4111-1111-1111-1111",
        "5555 5555 5555 4444",
        "2223003122003222",
        "378282246310005",
        "6011111111111117",
        "3530111333300000",
        "30569309025904",
        "6200000000000005",
        "6222021234567890128",
    ],
)
def test_card_numbers_are_known_by_their_checksum(number):
    assert is_card_number(number)


@pytest.mark.parametrize(
    "number", ["4111111111111112", "9111111111111111", "41111111111111"]
)
def test_other_numbers_are_no_card_numbers(number):
    assert not is_card_number(number)


@pytest.mark.parametrize(
    ("words", "masked"),
    [
        ("写信到zhang.san@qq.com。", "写信到<EMAIL>。"),
        ("a+b@mail.example.co.uk!", "<EMAIL>!"),
        ("meet @noon, x@y", "meet @noon, x@y"),
        (f"身份证号{ID_NUMBER}，", "身份证号<ID_NUMBER>，"),
        (f"A{ID_NUMBER}", f"A{ID_NUMBER}"),
        ("卡 4111 1111 1111 1111", "卡 <CARD_NUMBER>"),
        ("4111 1111-1111 1111", "4111 1111-1111 1111"),
        ("电话13800138000或010-62345678", "电话<PHONE>或<PHONE>"),
        ("+86 138 0013 8000", "<PHONE>"),
        ("call09050000327 now", "call<PHONE> now"),
        ("+44 20 7946 0958", "<PHONE>"),
        ("(415) 555-2671, 415-555-2671", "<PHONE>, <PHONE>"),
        ("400-123-4567", "<PHONE>"),
        ("order 20240101123456", "order 20240101123456"),
        (
            "1234567890.12 on 2024-01-01 10:00:00",
            "1234567890.12 on 2024-01-01 10:00:00",
        ),
        ("192.168.100.200, 3.1380013800", "192.168.100.200, 3.1380013800"),
    ],
)
def test_personal_data_is_masked(words, masked):
    assert mask(words, KINDS)[0] == masked


def test_only_what_is_asked_for_is_masked():
    words = f"{ID_NUMBER} 13800138000"

    assert mask(words, ()) == (words, [])
    assert mask(words, ("phone",)) == (f"{ID_NUMBER} <PHONE>", ["phone"])
    assert mask(words, ("phone", "id_number")) == (
        "<ID_NUMBER> <PHONE>",
        ["id_number", "phone"],
    )


def test_a_number_is_counted_once():
    column = pa.array([f"{ID_NUMBER}, {CARD_NUMBER} and {CARD_NUMBER}", "a@b.cd", "7"])

    assert {name: found.tolist() for name, found in counts(column).items()} == {
        "emails": [0, 1, 0],
        "phones": [0, 0, 0],
        "id_numbers": [1, 0, 0],
        "card_numbers": [2, 0, 0],
    }
