"""The default contract on the columns of texts.

The bounds are wide: English and Chinese messages, questions, sentences, scenes and
poems give no warning.
"""

from __future__ import annotations

from headrace.media.forms import Expectation
from headrace.records import DataDescription

_VALUES = "expect_column_values_to_be_between"
# Natural shares of texts: 0.6 % have a Latin-1 control that was a quotation mark, 0.1 %
# hidden characters, and 0.2 % another language in the same or in Latin letters.
_FEW_C1, _FEW_HIDDEN, _FEW_FOREIGN = 0.98, 0.995, 0.995
_DAMAGED = 0.2
_LONG = 3.0  # the longest natural one: 2.5
_LETTERS = 0.3  # the least natural mean: 0.75


def expectations(data: DataDescription) -> list[Expectation]:
    """The default contract; only unreadable rows are quarantined, the rest warns."""
    sizes = {"column": "bytes", "min_value": 1, "max_value": data.shape[0]}
    return [
        Expectation("length", _VALUES, sizes),
        Expectation(
            "encoding",
            _VALUES,
            {"column": "damage_share", "max_value": _DAMAGED},
            "its characters are damaged: it was read in a wrong encoding",
        ),
        *_warnings(),
    ]


def _warnings() -> list[Expectation]:
    share = {"column": "foreign", "min_value": 0, "max_value": 1}
    script = "its script is unlike the rest"
    return [
        _none("encoding", "damage", "characters that a wrong encoding left"),
        _none("encoding", "c1", "control characters of Latin-1", _FEW_C1),
        _none("control_characters", "controls", "characters that nobody sees"),
        _none("control_characters", "hidden", "hidden characters", _FEW_HIDDEN),
        Expectation("language", _VALUES, share, script, warns=True),
        _none("language", "foreign", "its language is unlike the rest", _FEW_FOREIGN),
        _at_most(_LONG, "length", "length_excess", "it is far longer than the rest"),
        Expectation(
            "label_in_text",
            "expect_column_values_to_be_in_set",
            {"column": "label_in_text", "value_set": [False]},
            "the text names its own class",
            warns=True,
        ),
        _none("personal_data", "id_numbers", "Chinese ID numbers"),
        _none("personal_data", "card_numbers", "payment card numbers"),
        _statistic(
            "letters", "mean", "letters", _LETTERS, "few of the characters are letters"
        ),
        # These always hold; the pages show the numbers.
        _statistic("personal_data", "sum", "emails"),
        _statistic("personal_data", "sum", "phones"),
        _statistic("length", "median", "characters"),
        _statistic("length", "median", "words"),
    ]


def _statistic(
    check: str, statistic: str, column: str, low: float = 0, reason: str = ""
) -> Expectation:
    name, bounds = f"expect_column_{statistic}_to_be_between", {"min_value": low}
    return Expectation(check, name, {"column": column, **bounds}, reason, warns=True)


def _none(check: str, column: str, reason: str, mostly: float = 0) -> Expectation:
    share = {"mostly": mostly} if mostly else {}
    return _at_most(0, check, column, reason, **share)


def _at_most(
    high: float, check: str, column: str, reason: str, **arguments: float
) -> Expectation:
    bounds = {"column": column, "max_value": high, **arguments}
    return Expectation(check, _VALUES, bounds, reason, warns=True)
