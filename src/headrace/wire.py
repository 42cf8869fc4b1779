"""Shapes that cross the wire: declared once, checked, and described as JSON schema."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from pydantic import ConfigDict, ModelWrapValidatorHandler, ValidationError
from pydantic import model_validator as validator
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from pydantic_core import ErrorDetails

from headrace.errors import InputError, did_you_mean
from headrace.records import Record

Schema = dict[str, Any]
PLACE = "#/components/schemas/"  # of the schemas of an OpenAPI document
_KINDS = {
    **{"integer": "a whole number", "number": "a number"},
    **{"string": "text", "boolean": "true or false"},
}
_SHOWN = 100  # characters of a name in a message


def _without_names(schema: Schema) -> None:
    """Leave out what pydantic derives from Python's names and docstrings."""
    for part in (schema, *schema.get("properties", {}).values()):
        part.pop("title", None)
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
            raise _refusal(cls, error.errors()[0]) from None


def _refusal(form: type[Record], wrong: ErrorDetails) -> InputError:
    name, known = str(wrong["loc"][0]), form.model_fields
    if name not in known:
        hint = did_you_mean(name[:_SHOWN], known, f"Known: {', '.join(known)}.")
        return InputError(f"There is no field {name[:_SHOWN]!r}.", hint)
    about = form.model_json_schema()["properties"][name]
    expected = _KINDS[about["type"]]
    if {"minimum", "maximum"} <= {*about}:
        expected += f" from {about['minimum']:,.10g} to {about['maximum']:,.10g}"
    elif "minimum" in about:
        expected += f" from {about['minimum']:,.10g}"
    message = f"The value of {name} is {wrong['input']!r:.40}; expected {expected}."
    return InputError(message)


def schemas_of(
    answers: Iterable[type[Answer]], questions: Iterable[type[Question]]
) -> Schema:
    """The JSON schemas of some shapes and of all that they hold, by name.

    They refer to each other by `PLACE`.
    """
    forms: list[tuple[type[Record], JsonSchemaMode]] = [
        *((form, "serialization") for form in answers),
        *((form, "validation") for form in questions),
    ]
    _, schemas = models_json_schema(forms, ref_template=PLACE + "{model}")
    return dict(schemas["$defs"])
