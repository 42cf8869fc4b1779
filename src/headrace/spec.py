"""A pipeline file, read and checked. Needs nothing but pydantic.

What to learn is here and is versioned; where it runs is in ``settings``.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from headrace.errors import NotFoundError, SpecError

FILE_NAME = "pipeline.toml"


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class DataSpec(_Table):
    """``[data]``: where the items come from and how they are split."""

    source: str = Field(description="path, fsspec URI, or library:name")
    shape: tuple[int, ...] | None = Field(
        default=None, description="fixed form of one item; None: as most items are"
    )
    classes: tuple[str, ...] | None = Field(
        default=None, min_length=2, description="known labels; None: those found"
    )
    test_fraction: float = Field(
        default=0.2, gt=0, lt=1, description="where the source has no split of its own"
    )
    quarantine_limit: float = Field(
        default=0.05, ge=0, lt=1, description="share of rows that may be set aside"
    )
    leak_limit: float = Field(
        default=0.01, ge=0, lt=1, description="share of test rows also in train"
    )

    @field_validator("classes", mode="before")
    @classmethod
    def _labels_are_text(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return tuple(str(v) if isinstance(v, int) else v for v in value)
        return value


class ContractRow(_Table):
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


class ModelSpec(_Table):
    """``[model]``: a builder and its arguments."""

    builder: str = Field(
        default="",
        description="a module of headrace.models, `model:build` in the pipeline's "
        "folder, or a dotted path; empty: the medium's default",
    )
    arguments: dict[str, Any] = Field(default_factory=dict)


class TrainingSpec(_Table):
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
    seed: int = Field(default=1, ge=0, lt=2**32)
    checkpoint_seconds: float = Field(
        default=10, ge=0, description="between two checkpoints; 0: none by time"
    )
    checkpoint_steps: int = Field(
        default=0, ge=0, description="between two checkpoints; 0: by time"
    )


# When checkpoints are written changes nothing of the result.
CHECKPOINT_FIELDS = {"checkpoint_seconds", "checkpoint_steps"}


class EvaluationSpec(_Table):
    """``[evaluation]``."""

    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    calibration_bins: int = Field(default=10, ge=2, le=100)
    mistakes: int = Field(default=25, ge=0, le=400, description="shown as a picture")


class GateSpec(_Table):
    """``[[gates]]``: a metric and the bound it must keep to be promoted.

    The gates named in ``KNOWN_GATES`` know their metric and direction; any other
    gate names them itself.
    """

    name: str = Field(min_length=1)
    metric: str = ""
    direction: Literal["min", "max"] | None = None
    threshold: float | None = Field(default=None, allow_inf_nan=False)
    margin: float = Field(
        default=0.005,
        ge=0,
        lt=1,
        description="champion only: accuracy that may be lost on newer data",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        known = KNOWN_GATES.get(str(values.get("name")), {})
        filled = {**known, **values}
        filled.setdefault("metric", filled.get("name", ""))
        filled.setdefault("direction", "min")
        return filled

    @model_validator(mode="after")
    def _has_a_threshold(self) -> GateSpec:
        if self.threshold is None:
            raise ValueError(f"the gate {self.name!r} needs a threshold")
        if self.name == "serving":
            raise ValueError("the serving gate is always on and takes no threshold")
        return self


KNOWN_GATES: dict[str, dict[str, Any]] = {
    "accuracy": {"metric": "test_accuracy", "direction": "min"},
    "class_floor": {"metric": "test_class_recall_min", "direction": "min"},
    "calibration": {"metric": "test_calibration_error", "direction": "max"},
    "finite": {"metric": "non_finite_values", "direction": "max", "threshold": 0.0},
    "size": {"metric": "model_megabytes", "direction": "max", "threshold": 100.0},
    "latency": {"metric": "latency_ms", "direction": "max", "threshold": 200.0},
    "champion": {"metric": "champion", "direction": "max", "threshold": 0.05},
}


def default_gates() -> tuple[GateSpec, ...]:
    """The gates of a pipeline whose file names none."""
    floors = {"accuracy": 0.5, "class_floor": 0.2, "calibration": 0.2}
    return tuple(
        GateSpec.model_validate(
            {"name": name, **({"threshold": floors[name]} if name in floors else {})}
        )
        for name in KNOWN_GATES
    )


class PromotionSpec(_Table):
    """``[promotion]``."""

    mode: Literal["auto", "manual"] = Field(
        default="auto", description="auto: when all gates hold; manual: by command"
    )


class PipelineSpec(_Table):
    """All that a pipeline file says, with the defaults filled in."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    medium: Literal["image"]
    description: str = ""
    data: DataSpec
    contract: tuple[ContractRow, ...] = ()
    model: ModelSpec = ModelSpec()
    training: TrainingSpec = TrainingSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    gates: tuple[GateSpec, ...] = Field(default_factory=default_gates)
    promotion: PromotionSpec = PromotionSpec()

    @field_validator("gates")
    @classmethod
    def _gates_differ(cls, gates: tuple[GateSpec, ...]) -> tuple[GateSpec, ...]:
        names = [gate.name for gate in gates]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two gates share the name {twice[0]!r}")
        return gates


def parse_override(text: str) -> tuple[list[str], Any]:
    """Split ``a.b=value``; the value is TOML, else a string.

    Raises:
        SpecError: there is no ``=`` or no key.
    """
    key, separator, value = text.partition("=")
    keys = [part.strip() for part in key.split(".")]
    if not separator or not all(keys):
        raise SpecError(
            f"--set {text!r} is not KEY=VALUE.",
            "Write for example --set training.epochs=3.",
        )
    try:
        return keys, tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        return keys, value.strip()


def _apply(raw: dict[str, Any], keys: list[str], value: Any, text: str) -> None:
    table = raw
    for depth, key in enumerate(keys[:-1], start=1):
        inner = table.setdefault(key, {})
        if not isinstance(inner, dict):
            raise SpecError(
                f"--set {text!r}: {'.'.join(keys[:depth])} is not a table.",
                "Give the whole value as TOML instead, for example gates=[].",
            )
        table = inner
    table[keys[-1]] = value


def load_spec(folder: Path, overrides: tuple[str, ...] = ()) -> PipelineSpec:
    """Read ``folder/pipeline.toml`` with overrides applied.

    Raises:
        NotFoundError: there is no such file.
        SpecError: it is not TOML, or a field is unknown, missing or out of bounds.
    """
    path = folder / FILE_NAME
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(
            f"{folder} holds no {FILE_NAME}.", "Name a folder that does."
        ) from None
    except OSError as error:
        raise SpecError(
            f"{path} cannot be read: {error.strerror}.", "Put a pipeline file there."
        ) from None
    except UnicodeDecodeError as error:
        raise SpecError(
            f"{path}: byte {error.start} is not UTF-8.", "Save the file as UTF-8."
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise SpecError(
            f"{path} is not valid TOML: {error}.", "Mend that line."
        ) from None
    raw.setdefault("name", folder.resolve().name)
    return _validate(raw, overrides, path)


def override(spec: PipelineSpec, overrides: tuple[str, ...]) -> PipelineSpec:
    """A spec with fields changed, as if its file had been read with the overrides.

    Raises:
        SpecError: a field is unknown or out of bounds.
    """
    return _validate(spec.model_dump(), overrides, Path(FILE_NAME))


def _validate(
    raw: dict[str, Any], overrides: tuple[str, ...], path: Path
) -> PipelineSpec:
    for text in overrides:
        keys, value = parse_override(text)
        _apply(raw, keys, value, text)
    try:
        return PipelineSpec.model_validate(raw)
    except ValidationError as error:
        raise _explain(error, path, overrides) from None


def _explain(
    error: ValidationError, path: Path, overrides: tuple[str, ...]
) -> SpecError:
    problems = []
    for item in error.errors(include_url=False):
        location = [str(part) for part in item["loc"]]
        field = ".".join(location)
        table = location[0] if location else ""
        said = [
            o for o in overrides if o.split("=", 1)[0].split(".")[0].strip() == table
        ]
        where = f"--set {said[-1]}" if said else str(path)
        if item["type"] == "extra_forbidden":
            names = _names_at(item["loc"][:-1])
            near = difflib.get_close_matches(location[-1], names, n=1, cutoff=0.5)
            parent = ".".join(location[:-1])
            place = f" in {parent}" if parent else ""
            hint = (
                f"Did you mean {'.'.join([*location[:-1], near[0]])}?"
                if near
                else f"Valid names{place}: {', '.join(names)}."
            )
            problems.append(
                f"{where}: unknown key {field} (value {item['input']!r}). {hint}"
            )
        elif item["type"] == "missing":
            problems.append(f"{where}: {field} is missing. Add it.")
        else:
            message = item["msg"].removeprefix("Value error, ")
            problems.append(f"{where}: {field} = {item['input']!r}: {message}.")
    return SpecError("\n".join(problems))


def _names_at(location: tuple[int | str, ...]) -> list[str]:
    model: Any = PipelineSpec
    for part in location:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        model = next(
            c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)
        )
    return sorted(model.model_fields)
