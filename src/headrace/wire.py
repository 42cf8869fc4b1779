"""Shapes that cross the wire: declared once, checked, and described as JSON schema."""

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

Schema = dict[str, Any]
_KINDS = {
    **{"integer": "a whole number", "number": "a number"},
    **{"string": "text", "boolean": "true or false"},
}
_SHOWN = 100  # characters of a name in a message


def _without_names(schema: Schema) -> None:
    """Leave out what pydantic derives from Python's names, docstrings and None."""
    for part in (schema, *schema.get("properties", {}).values()):
        part.pop("title", None)
        if part.get("default", ...) is None:
            del part["default"]
    schema.pop("description", None)


class Answer(Record):
    """The base of what a server or a command answers; all of its members are there."""

    model_config = ConfigDict(
        json_schema_extra=_without_names,
        json_schema_serialization_defaults_required=True,
    )


class Question(Record):
    """The base of what a user asks, whose values are of the very types of the fields.

    Raises:
        InputError: a value is of another type or out of range, or a field is unknown.
    """

    model_config = ConfigDict(strict=True, json_schema_extra=_without_names)

    @validator(mode="wrap")
    @classmethod
    def _check(cls, values: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return read(values)
        except ValidationError as error:
            raise _refusal(cls.model_json_schema(), error) from None


class Open(Record):
    """The base of a part of a question that may have further members; see `checked`."""

    model_config = ConfigDict(
        strict=True, extra="ignore", json_schema_extra=_without_names
    )


def checked(form: type[Open], values: dict[str, Any]) -> Any:
    """Values as an object of a form; InputError for any that do not fit."""
    try:
        return form.model_validate(values)
    except ValidationError as error:
        raise _refusal(form.model_json_schema(), error) from None


def _refusal(schema: Schema, error: ValidationError) -> InputError:
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


def schema_of(form: type[Record]) -> Schema:
    """The JSON schema of a shape, without references."""
    whole = form.model_json_schema(
        mode="serialization" if issubclass(form, Answer) else "validation"
    )
    parts = whole.pop("$defs", {})

    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(one) for one in value]
        if not isinstance(value, dict):
            return value
        rest = {name: filled(one) for name, one in value.items() if name != "$ref"}
        part = value.get("$ref", "").rpartition("/")[2]
        return {**filled(parts[part]), **rest} if part else rest

    return dict(filled(whole))
