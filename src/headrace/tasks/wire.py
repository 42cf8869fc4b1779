"""Shapes that are asked over the wire: declared once, and checked."""

from __future__ import annotations

import reprlib
from typing import Any, Self

from pydantic import (
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
)
from pydantic import model_validator as validator

from headrace.errors import InputError, did_you_mean
from headrace.records import Record

_KINDS = {
    **{"integer": "a whole number", "number": "a number"},
    **{"string": "text", "boolean": "true or false"},
}
_SHOWN = 100  # characters of a name in a message


class Question(Record):
    """The base of what a user asks, whose values are of the very types of the fields.

    Raises:
        InputError: a value is of another type or out of range, or a field is unknown.
    """

    model_config = ConfigDict(strict=True)

    @validator(mode="wrap")
    @classmethod
    def _check(cls, values: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return read(values)
        except ValidationError as error:
            raise _refusal(cls.model_json_schema(), error) from None


class Open(Record):
    """The base of a part of a question that may have further members; see `checked`."""

    model_config = ConfigDict(strict=True, extra="ignore")


def checked(form: type[Open], values: dict[str, Any]) -> Any:
    """Values as an object of a form; InputError for any that do not fit."""
    try:
        return form.model_validate(values)
    except ValidationError as error:
        raise _refusal(form.model_json_schema(), error) from None


def _refusal(schema: dict[str, Any], error: ValidationError) -> InputError:
    """What to say of the first value that is wrong."""
    wrong, fields = error.errors()[0], schema["properties"]
    parts = (f"[{p}]" if isinstance(p, int) else f".{p}" for p in wrong["loc"])
    name = "".join(parts)[1:]
    if wrong["type"] == "extra_forbidden":
        hint = did_you_mean(name[:_SHOWN], fields, f"Known: {', '.join(fields)}.")
        return InputError(f"There is no field {name[:_SHOWN]!r}.", hint)
    if wrong["type"] == "missing":
        return InputError(f"The field {name} is missing.")
    message = f"The value of {name} is {reprlib.repr(wrong['input'])}"
    about = fields.get(name, {})
    if wrong["type"] == "model_type":
        return InputError(f"{message}; expected an object.")
    if about.get("type") not in _KINDS:
        return InputError(f"{message}: {wrong['msg']}.")
    expected = _KINDS[about["type"]]
    if "minimum" in about:
        expected += f" from {about['minimum']:,.10g}"
    if "maximum" in about:
        expected += f" to {about['maximum']:,.10g}"
    return InputError(f"{message}; expected {expected}.")
