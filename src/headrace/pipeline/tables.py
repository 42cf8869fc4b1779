"""The tables of a pipeline file, each with the defaults of its fields."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from headrace.pipeline.fields import added, unquoted
from headrace.settings import option


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
        "quick: no robustness ladder and no check of explanations but for a gate; "
        "full: also what takes long: membership inference, and all test rows on the "
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
