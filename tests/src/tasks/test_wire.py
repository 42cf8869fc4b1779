"""Shapes that cross the wire: what their checks say."""

from __future__ import annotations

import pytest
from pydantic import Field

from headrace.errors import InputError
from headrace.tasks.wire import Open, Question, checked


class Size(Open):
    count: int


class Wish(Question):
    seed: int = Field(default=0, ge=0, le=9_999)
    name: str | None = None
    sizes: list[Size] = Field(default=[], max_length=1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seed": True}, "seed is True; expected a whole number from 0 to 9,999."),
        ({"seed": 10_000}, "seed is 10000; expected a whole number from 0 to 9,999."),
        ({"sed": 1}, "There is no field 'sed'. Did you mean seed?"),
        ({"name": 5}, "The value of name is 5: Input should be a valid string."),
        ({"sizes": [5]}, r"The value of sizes\[0\] is 5; expected an object."),
        ({"sizes": [{}]}, r"The field sizes\[0\].count is missing."),
        ({"sizes": [{"count": "1"}]}, r"sizes\[0\].count is '1': Input should be a"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected(values, message):
    with pytest.raises(InputError, match=message):
        Wish(**values)


def test_a_message_has_only_the_ends_of_a_long_value():
    with pytest.raises(InputError) as refused:
        Wish(seed="7" * 10**6)
    assert len(str(refused.value)) < 120


def test_an_open_part_may_have_other_members():
    assert checked(Size, {"count": 1, "more": 2}) == Size(count=1)
