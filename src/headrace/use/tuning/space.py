"""The search space: the fields of the spec that vary, each with its range."""

from __future__ import annotations

import itertools
import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from headrace.errors import SpecError, UsageError, did_you_mean
from headrace.models import builder_name, check_arguments, find_builder
from headrace.pipeline import PipelineSpec
from headrace.pipeline.files import override, parse_override
from headrace.pipeline.toml import as_toml

Value = float | int | str
Point = dict[str, Value]
Range = CategoricalDistribution | FloatDistribution | IntDistribution

EXAMPLES = {
    "log": "log(1e-4,1)",
    "uniform": "uniform(0,0.99)",
    "int": "int(16,512)",
    "choice": "choice(sgd,adam)",
}
_CALL = re.compile(r"\s*([A-Za-z_]\w*)\s*\((.*)\)\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Dimension:
    """One field and its range.

    Attributes:
        key: the field, such as ``training.learning_rate``.
        text: the range as it was written, such as ``log(1e-4,1)``.
        range: the same for Optuna; a choice is among values as TOML or plain text.
    """

    key: str
    text: str
    range: Range

    def __str__(self) -> str:
        return f"{self.key}={self.text}"

    @property
    def values(self) -> Sequence[Any]:
        """All values of a finite range; none for a range of floats."""
        if isinstance(self.range, CategoricalDistribution):
            return self.range.choices
        if isinstance(self.range, FloatDistribution):
            return ()
        return range(self.range.low, self.range.high + 1)

    def probes(self) -> Sequence[Any]:
        """The values to try on the spec before any work: all, or the extreme ones."""
        if isinstance(self.range, CategoricalDistribution):
            return self.range.choices
        low, high = self.range.low, self.range.high
        if isinstance(low, int):
            return low, high
        return low, high, low + (high - low) / math.e  # a field of integers refuses it

    def holds(self, value: Any) -> Value | None:
        """A value of the spec as a value of this range; None if it is outside."""
        if isinstance(self.range, CategoricalDistribution):
            return next((o for o in self.values if _read(o) == value), None)
        number = type(self.range.low)
        if type(value) not in {int, number}:
            return None
        return number(value) if self.range.low <= value <= self.range.high else None

    def rounded(self, value: Any) -> Value:
        """A value for people to read: a thousandth of its range is enough."""
        if isinstance(self.range, FloatDistribution):
            low, high = self.range.low, self.range.high
            width = value * math.log(high / low) if self.range.log else high - low
            value = round(value, 3 - math.floor(math.log10(width)))
            value = min(max(value, low), high)
        return cast(Value, value)


def parse_dimension(text: str) -> Dimension | None:
    """Read ``key=log(1e-4,1)``; None if the value is not a range.

    Raises:
        SpecError: there is no such range, or its bounds are invalid.
    """
    keys, value = parse_override(text)
    call = _CALL.fullmatch(value) if isinstance(value, str) else None
    if call is None or text.partition("=")[2].strip()[0] in {'"', "'"}:
        return None
    kind, options = call[1], call[2].strip()
    if kind not in EXAMPLES:
        ranges = f"Ranges: {', '.join(EXAMPLES.values())}. Put text in quotes."
        action = did_you_mean(kind.lower(), EXAMPLES, ranges)
        raise SpecError(f"--set {text}: there is no range {kind!r}.", action)
    try:
        found = _choice(options) if kind == "choice" else _between(kind, options)
    except ValueError:
        takes = "numbers, the lower one first" + ", above 0" * (kind == "log")
        takes = {"choice": "different values or more"}.get(kind, takes)
        raise SpecError(
            f"--set {text}: {kind} takes two {takes}.",
            f"Write for example {EXAMPLES[kind]}.",
        ) from None
    return Dimension(".".join(keys), f"{kind}({options})", found)


def _choice(options: str) -> CategoricalDistribution:
    """A choice among values of TOML, or plain texts between commas."""
    try:
        values = [*map(as_toml, tomllib.loads(f"values = [{options}]")["values"])]
    except (ValueError, TypeError, RecursionError):
        values = [o.strip() for o in options.split(",") if o.strip()]
    if len(set(values)) < max(2, len(values)):
        raise ValueError
    return CategoricalDistribution(values)


def _between(kind: str, options: str) -> FloatDistribution | IntDistribution:
    low, high = map(int if kind == "int" else float, options.split(","))
    if not -math.inf < low < high < math.inf:
        raise ValueError
    if kind == "int":
        return IntDistribution(int(low), int(high))
    return FloatDistribution(low, high, log=kind == "log")


def _read(option: str) -> Any:
    return parse_override(f"value={option}")[1]


@dataclass(frozen=True)
class Space:
    """The ranges of a search; their keys differ."""

    dimensions: tuple[Dimension, ...]

    @property
    def keys(self) -> list[str]:
        """The fields that vary."""
        return [dimension.key for dimension in self.dimensions]

    @property
    def ranges(self) -> dict[str, BaseDistribution]:
        """The ranges for Optuna, by field."""
        return {dimension.key: dimension.range for dimension in self.dimensions}

    @property
    def size(self) -> float:
        """The number of points."""
        return math.prod(len(d.values) or math.inf for d in self.dimensions)

    def points(self) -> Iterator[Point]:
        """All points of a finite space; the last field varies fastest."""
        for values in itertools.product(*(d.values for d in self.dimensions)):
            yield dict(zip(self.keys, values, strict=True))

    def rounded(self, point: Mapping[str, Value]) -> Point:
        """A point for people to read; a spec is the same for equal points."""
        return {d.key: d.rounded(point[d.key]) for d in self.dimensions}

    def overrides(self, point: Mapping[str, Value]) -> dict[str, Any]:
        """A point as fields of the spec and their values."""
        return {key: _read(str(point[key])) for key in self.keys}

    def apply(self, spec: PipelineSpec, point: Mapping[str, Value]) -> PipelineSpec:
        """The spec at a point; its backbone is not pinned where the point names one.

        Raises:
            SpecError: the spec refuses it.
        """
        settings = [f"{key}={value}" for key, value in point.items()]
        if any("preset" in key.split(".") for key in point):
            settings.append("model.backbone=")
        return override(spec, tuple(settings))

    def own_point(self, spec: PipelineSpec) -> Point | None:
        """The point of the spec's own values; None if it is outside the space."""
        point: Point = {}
        for dimension in self.dimensions:
            value: Any = spec.model_dump(mode="json")
            for part in dimension.key.split("."):
                value = value.get(part) if isinstance(value, dict) else None
            held = dimension.holds(value)
            if held is None:
                return None
            point[dimension.key] = held
        return point

    def check(self, spec: PipelineSpec, folder: Path) -> list[PipelineSpec]:
        """Check the specs at the edges of the space, with one field at an edge each.

        Raises:
            SpecError: the spec or the builder refuses a value, with the nearest name;
                or a training does not depend on a field.
        """
        first = {d.key: d.probes()[0] for d in self.dimensions}
        specs = []
        for dimension in self.dimensions:
            for value in dimension.probes():
                try:
                    changed = self.apply(spec, {**first, dimension.key: value})
                except SpecError as error:
                    message = f"--set: {error.message.partition(': ')[2]}"
                    raise SpecError(message, error.action) from None
                name, arguments = builder_name(changed), changed.model.arguments
                check_arguments(name, find_builder(name, folder), arguments)
                specs.append(changed)
            if dimension.key.partition(".")[0] not in {"model", "training"}:
                raise SpecError(
                    f"--set {dimension}: {dimension.key} cannot be searched; all "
                    "trials share one data set and one contract.",
                    "Search fields of model and training, and give the others one "
                    "value.",
                )
        return specs


def parse_search(texts: Sequence[str]) -> tuple[list[str], Space]:
    """Separate ranges from plain values among ``KEY=VALUE`` texts.

    Returns:
        the plain texts, as they were, and the space.

    Raises:
        SpecError: a range is invalid, or its field has another value as well.
        UsageError: there is no range.
    """
    parsed = [(text, parse_dimension(text)) for text in texts]
    plain = [text for text, dimension in parsed if dimension is None]
    space = Space(tuple(d for _, d in parsed if d is not None))
    if not space.dimensions:
        raise UsageError(
            "There is nothing to search: no --set has a range.",
            f"""Give one: --set "training.learning_rate={EXAMPLES["log"]}".""",
        )
    keys = [".".join(parse_override(text)[0]) for text in plain] + space.keys
    if twice := next((key for key in space.keys if keys.count(key) > 1), None):
        raise SpecError(f"--set {twice}: it is given twice.", "Give it once.")
    return plain, space
