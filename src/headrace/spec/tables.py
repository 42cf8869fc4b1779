"""The tables of a pipeline file, each with the defaults of its fields."""

from __future__ import annotations

import unicodedata
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from headrace.credentials import find_credential, instead, schema_pattern
from headrace.spec.times import check_cron, check_timezone


class Table(BaseModel):
    """A table of a pipeline file: immutable, and strict about its keys."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        protected_namespaces=(),
        hide_input_in_errors=True,  # it may be a secret
    )


CREDENTIAL = "credential"  # the type of pydantic's error for a source with one


def plain_label(label: str) -> str:
    """A label without outer blanks and in one form of Unicode (NFC)."""
    return unicodedata.normalize("NFC", label.strip())


class DataSpec(Table):
    """``[data]``: where the items come from and how they are split."""

    source: str = Field(
        description="path, fsspec URI, or library:name; no login, token or signature",
        json_schema_extra={"pattern": schema_pattern()},
    )
    shape: tuple[int, ...] | None = Field(
        default=None, description="fixed form of one item; None: as most items are"
    )
    sample_rate_hz: int | None = Field(
        default=None, ge=1000, le=384_000, description="sounds only: of all of them"
    )
    seconds: float | None = Field(
        default=None, gt=0, le=600, description="sounds only: length of all of them"
    )
    mask: tuple[Literal["email", "phone", "id_number", "card_number"], ...] = Field(
        default=(), description="texts only: personal data to be masked"
    )
    item: str | None = Field(
        default=None, description="a table's column of items; None: found"
    )
    label: str | None = Field(
        default=None, description="a table's column of labels; None: found"
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
        default=None, description="which rows of a table: lang == 'en'"
    )
    encoding: str | None = Field(
        default=None,
        exclude_if=lambda name: name is None,  # older laws and keys stay what they are
        description="of tables and .txt files, such as gb18030; None: found",
    )
    classes: tuple[str, ...] | None = Field(
        default=None, min_length=2, description="known labels; None: those found"
    )
    test_fraction: float = Field(
        default=0.2, gt=0, lt=1, description="where the source holds no rows back"
    )
    quarantine_limit: float = Field(
        default=0.05, ge=0, lt=1, description="share of rows that may be set aside"
    )
    leak_limit: float = Field(
        default=0.01, ge=0, lt=1, description="share of test rows also in train"
    )

    @field_validator("source")
    @classmethod
    def _holds_no_credential(cls, source: str) -> str:
        found = find_credential(source)
        if found:
            raise PydanticCustomError(
                CREDENTIAL,
                "it holds a credential, {found}, which would be kept with the run. "
                "{instead}",
                {"found": found, "instead": instead(source)},
            )
        return source

    @model_validator(mode="after")
    def _groups_have_a_column(self) -> DataSpec:
        if self.test_groups and self.group is None:
            raise ValueError(
                f"test_groups names {self.test_groups[0]!r}, and group does not say "
                "in which column; add group, such as group = 'speaker'"
            )
        return self

    @field_validator("encoding")
    @classmethod
    def _is_an_encoding(cls, name: str | None) -> str | None:
        try:
            "".join(map(chr, range(32, 127))).encode(name or "utf-8")
        except (LookupError, UnicodeError):
            raise ValueError(
                f"{name!r} is not an encoding of text that Python knows, such as "
                "'gb18030' or 'cp1252'"
            ) from None
        return name

    @field_validator("classes", mode="before")
    @classmethod
    def _labels_are_text(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            texts = (str(v) if isinstance(v, int) else v for v in value)
            return tuple(plain_label(v) if isinstance(v, str) else v for v in texts)
        return value


class ContractRow(Table):
    """``[[contract]]``: a Great Expectations expectation and its arguments."""

    model_config = ConfigDict(frozen=True, extra="allow")

    expectation: str = Field(
        description="name, such as expect_column_mean_to_be_between"
    )
    split: Literal["train", "val", "test"] | None = Field(
        default=None, description="only these rows; None: all rows"
    )

    @property
    def arguments(self) -> dict[str, Any]:
        """The expectation's own arguments."""
        return dict(self.model_extra or {})


class ModelSpec(Table):
    """``[model]``: a builder and its arguments."""

    builder: str = Field(
        default="",
        description="a module of headrace.models, `model:build` in the pipeline's "
        "folder, or a dotted path; empty: the medium's default",
    )
    arguments: dict[str, Any] = Field(default_factory=dict)


class TrainingSpec(Table):
    """``[training]``: the article's recipe unless told otherwise."""

    epochs: int = Field(default=10, ge=1, le=10_000)
    batch_size: int = Field(default=128, ge=1, le=65_536)
    optimizer: Literal["sgd", "adam"] = "sgd"
    learning_rate: float = Field(default=0.01, gt=0, le=10)
    momentum: float = Field(default=0.9, ge=0, lt=1, description="sgd only")
    nesterov: bool = Field(default=True, description="sgd only")
    decay: float = Field(
        default=1e-6, ge=0, description="learning_rate / (1 + decay * step)"
    )
    schedule: Literal["constant", "cosine"] = Field(
        default="constant",
        description="of the learning rate: constant but for decay, or falling to "
        "nothing over all epochs, whose last weights are kept",
    )
    label_smoothing: float = Field(
        default=0.0,
        ge=0,
        lt=0.5,
        description="share of the truth shared by all classes",
    )
    calibrate: bool = Field(
        default=False,
        description="after training, divide the logits by the temperature that suits "
        "the validation rows best",
    )
    weight_decay: float = Field(default=0.0, ge=0, lt=1, description="adam only")
    seed: int = Field(default=1, ge=0, lt=2**32)
    devices: int = Field(
        default=1, ge=1, le=64, description="GPUs of one machine that share each batch"
    )
    checkpoint_seconds: float = Field(
        default=10, ge=0, description="between two checkpoints; 0: none by time"
    )
    checkpoint_steps: int = Field(
        default=0, ge=0, description="between two checkpoints; 0: by time"
    )


# When checkpoints are written changes nothing of the result.
CHECKPOINT_FIELDS = {"checkpoint_seconds", "checkpoint_steps"}


class EvaluationSpec(Table):
    """``[evaluation]``."""

    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    calibration_bins: int = Field(default=10, ge=2, le=100)
    mistakes: int = Field(default=25, ge=0, le=400, description="shown as a picture")


class PromotionSpec(Table):
    """``[promotion]``: who decides that a model whose gates hold is promoted."""

    mode: Literal["auto", "approval", "manual"] = Field(
        default="auto",
        description="auto: when all gates hold; approval: when a person agrees as "
        "well, for whom the run waits; manual: by command",
    )
    approval_hours: float = Field(
        default=24, gt=0, description="approval only: then it counts as rejected"
    )
    four_eyes: bool = Field(
        default=False, description="approval only: not by who started the run"
    )


class DeploySpec(Table):
    """``[deploy]``: when a pipeline runs by itself, and on which workers."""

    cron: str = Field(default="", description="five fields; empty: only when asked")
    timezone: str = Field(default="UTC", description="of cron, such as Asia/Shanghai")
    paused: bool = Field(default=False, description="the schedule waits")
    on_drift: bool = Field(default=False, description="a headrace.drift event runs it")
    on_snapshot: bool = Field(
        default=False, description="a new snapshot of its data runs it"
    )
    cooldown_minutes: float = Field(
        default=60, ge=0, description="between two runs that events start"
    )
    pool: str = Field(default="cpu", min_length=1, description="work pool of the flow")
    queue: str = Field(default="default", min_length=1)
    train_pool: str = Field(
        default="", description="work pool of the train stage; empty: the flow's own"
    )
    concurrency: int = Field(default=1, ge=1, description="runs at once")
    when_busy: Literal["wait", "refuse"] = Field(
        default="wait", description="what a run does that is one too many"
    )

    @field_validator("cron")
    @classmethod
    def _cron_can_be_read(cls, cron: str) -> str:
        return check_cron(cron) if cron else cron

    @field_validator("timezone")
    @classmethod
    def _timezone_is_known(cls, name: str) -> str:
        return check_timezone(name)

    @model_validator(mode="after")
    def _training_has_a_pool_of_its_own(self) -> DeploySpec:
        if self.train_pool == self.pool:
            raise ValueError(
                f"train_pool is the flow's own pool {self.pool!r}, where a flow could "
                "wait for its training for ever; leave it out"
            )
        return self
