"""What is expected of texts.

The bounds are wide of what was measured on English and Chinese messages, questions,
sentences, scenes and poems, none of which gives a warning.
"""

from __future__ import annotations

from typing import Any

from headrace.media.forms import Expectation
from headrace.records import DataDescription

_VALUES = "expect_column_values_to_be_between"
# Shares that are natural: of texts with a Latin-1 control, where someone's quotation
# mark was read as one (0.6 %), with hidden characters (0.1 %), and in another
# language in the same or in Latin letters (0.2 %).
_FEW_C1, _FEW_HIDDEN, _FEW_FOREIGN = 0.98, 0.995, 0.995
_DAMAGED = 0.2
_LONG = 3.0  # the longest natural one: 2.5
_LETTERS = 0.3  # the least natural mean: 0.75


def expectations(data: DataDescription) -> list[Expectation]:
    """What is expected of the columns of texts of this form.

    A row that is damaged beyond reading is set aside; all else is told.
    """
    return [
        _rows("length", "bytes", 1, data.shape[0]),
        Expectation(
            "encoding",
            _VALUES,
            {"column": "damage_share", "max_value": _DAMAGED},
            "its characters are damaged: it was read in a wrong encoding",
        ),
        *_warnings(),
        *_numbers(),
    ]


def _warnings() -> list[Expectation]:
    return [
        _none("encoding", "damage", "characters that a wrong encoding left"),
        _none("encoding", "c1", "control characters of Latin-1", mostly=_FEW_C1),
        _none("control_characters", "controls", "characters that nobody sees"),
        _none("control_characters", "hidden", "hidden characters", mostly=_FEW_HIDDEN),
        _rows(
            "language",
            "foreign",
            0,
            1,
            reason="its script is unlike the rest",
            warns=True,
        ),
        _none(
            "language",
            "foreign",
            "its language is unlike the rest",
            mostly=_FEW_FOREIGN,
        ),
        _rows(
            "length",
            "length_excess",
            None,
            _LONG,
            reason="it is far longer than the rest",
            warns=True,
        ),
        Expectation(
            "label_in_text",
            "expect_column_values_to_be_in_set",
            {"column": "label_in_text", "value_set": [False]},
            "the text names its own class",
            warns=True,
        ),
        _none("personal_data", "id_numbers", "Chinese ID numbers"),
        _none("personal_data", "card_numbers", "payment card numbers"),
        Expectation(
            "letters",
            "expect_column_mean_to_be_between",
            {"column": "letters", "min_value": _LETTERS},
            "few of the characters are letters",
            warns=True,
        ),
    ]


def _numbers() -> list[Expectation]:
    """What always holds, asked so that the pages tell the number."""
    sums = ("emails", "phones")
    return [
        Expectation(
            "personal_data",
            "expect_column_sum_to_be_between",
            {"column": column, "min_value": 0},
            warns=True,
        )
        for column in sums
    ] + [
        Expectation(
            "length",
            "expect_column_median_to_be_between",
            {"column": column, "min_value": 0},
            warns=True,
        )
        for column in ("characters", "words")
    ]


def _none(check: str, column: str, reason: str, **arguments: Any) -> Expectation:
    named = {"column": column, "max_value": 0, **arguments}
    return Expectation(check, _VALUES, named, reason, warns=True)


def _rows(
    check: str,
    column: str,
    low: float | None,
    high: float,
    reason: str = "",
    warns: bool = False,
) -> Expectation:
    bounds = {"min_value": low, "max_value": high}
    named = {key: value for key, value in bounds.items() if value is not None}
    return Expectation(check, _VALUES, {"column": column, **named}, reason, warns=warns)
