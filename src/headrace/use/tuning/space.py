"""The search space: the fields of the spec that vary, each with its range."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from headrace.errors import SpecError, UsageError, did_you_mean
from headrace.models import builder_name, check_arguments, find_builder
from headrace.pipeline import PipelineSpec
from headrace.pipeline.files import override, parse_override

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Kind = Literal["log", "uniform", "int", "choice"]
Value = float | int | str
Point = dict[str, Value]

EXAMPLES = {
    "log": "log(1e-4,1)",
    "uniform": "uniform(0,0.99)",
    "int": "int(16,512)",
    "choice": "choice(sgd,adam)",
}
_CALL = re.compile(r"\s*([A-Za-z_]\w*)\s*\((.*?)(\)?)\s*", re.DOTALL)
# Commas within brackets, braces and quotes separate nothing.
_OPTION = re.compile(
    r"""(?:\[(?:[^\[\]]|\[[^\]]*\])*\]|\{[^}]*\}|"[^"]*"|'[^']*'|[^,])+"""
)


@dataclass(frozen=True, slots=True)
class Dimension:
    """One field and its range.

    Attributes:
        key: the field, such as ``training.learning_rate``.
        kind: ``log`` and ``uniform`` are floats, ``int`` has both bounds.
        options: the bounds, or the values of a ``choice`` as TOML or plain text.
    """

    key: str
    kind: Kind
    options: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.key}={self.kind}({','.join(self.options)})"

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest value; not for a ``choice``."""
        return float(self.options[0]), float(self.options[1])

    @property
    def values(self) -> Sequence[Value]:
        """All values of a finite range; none for a range of floats."""
        if self.kind == "choice":
            return self.options
        low, high = self.bounds
        return range(int(low), int(high) + 1) if self.kind == "int" else ()

    def probes(self) -> Sequence[Value]:
        """The values to try on the spec before any work: all, or the extreme ones."""
        if self.kind == "choice":
            return self.options
        low, high = self.bounds
        if self.kind == "int":
            return int(low), int(high)
        return low, high, low + (high - low) / math.e  # a field of integers refuses it

    def at(self, share: float) -> Value:
        """The value at a relative place in the range, from 0 to 1."""
        if self.values:
            return self.values[int(share * len(self.values))]
        low, high = self.bounds
        is_log = self.kind == "log"
        return float(
            low * (high / low) ** share if is_log else low + share * (high - low)
        )

    def distribution(self) -> BaseDistribution:
        """The range as Optuna's distribution."""
        from optuna import distributions

        if self.kind == "choice":
            return distributions.CategoricalDistribution(self.options)
        low, high = self.bounds
        if self.kind == "int":
            return distributions.IntDistribution(int(low), int(high))
        return distributions.FloatDistribution(low, high, log=self.kind == "log")

    def holds(self, value: Any) -> Value | None:
        """A value of the spec as a value of this range; None if it is outside."""
        if self.kind == "choice":
            return next((o for o in self.options if _read(o) == value), None)
        low, high = self.bounds
        if not _is_number(value, self.kind) or not low <= value <= high:
            return None
        return int(value) if self.kind == "int" else float(value)

    def rounded(self, value: Value) -> Value:
        """A value for people to read: a thousandth of its range is enough."""
        if not isinstance(value, float):
            return value
        low, high = self.bounds
        width = value * math.log(high / low) if self.kind == "log" else high - low
        return min(max(round(value, 3 - math.floor(math.log10(width))), low), high)


def parse_dimension(text: str) -> Dimension | None:
    """Read ``key=log(1e-4,1)``; None if the value is not a range.

    Raises:
        SpecError: there is no such range, or its bounds are invalid.
    """
    keys, value = parse_override(text)
    call = _CALL.fullmatch(value) if isinstance(value, str) else None
    is_quoted = text.partition("=")[2].strip()[:1] in {'"', "'"}
    if call is None or is_quoted or not (call[3] or call[1] in EXAMPLES):
        return None
    kind, options = call[1], tuple(map(str.strip, _OPTION.findall(call[2])))
    if kind not in EXAMPLES:
        ranges = f"Ranges: {', '.join(EXAMPLES.values())}. Put text in quotes."
        action = did_you_mean(kind.lower(), EXAMPLES, ranges)
        raise SpecError(f"--set {text}: there is no range {kind!r}.", action)
    fault = _fault(kind, options) if call[3] else "the range lacks its closing bracket"
    if fault:
        example = f"Write for example {EXAMPLES[kind]}."
        raise SpecError(f"--set {text}: {fault}.", example)
    return Dimension(".".join(keys), cast(Kind, kind), options)


def _fault(kind: str, options: Sequence[str]) -> str:
    """What is wrong with a range's options; empty if nothing is."""
    if kind == "choice":
        is_choice = len(set(options)) == len(options) > 1
        return "" if is_choice else "a choice needs two values or more, all different"
    bounds = [number for o in options if _is_number(number := _read(o), kind)]
    least = 0.0 if kind == "log" else -math.inf
    if len(options) == len(bounds) == 2 and least < bounds[0] < bounds[1] < math.inf:
        return ""
    numbers = "integers" if kind == "int" else "numbers"
    above = " and above 0" * (kind == "log")
    return f"{kind} takes two {numbers}, the lower one first{above}"


def _is_number(value: Any, kind: str) -> bool:
    return type(value) is int or (type(value) is float and kind != "int")


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
    def size(self) -> float:
        """The number of points."""
        return math.prod(len(d.values) or math.inf for d in self.dimensions)

    def points(self) -> Iterator[Point]:
        """All points of a finite space; the last field varies fastest."""
        for point in itertools.product(*(d.values for d in self.dimensions)):
            yield dict(zip(self.keys, point, strict=True))

    def rounded(self, point: Mapping[str, Value]) -> Point:
        """A point with its values rounded for people to read."""
        return {d.key: d.rounded(point[d.key]) for d in self.dimensions}

    def spread(self, seed: int, number: int) -> Point:
        """A point of a low-discrepancy sequence, which fills the space evenly."""
        from scipy.stats.qmc import Halton

        shares = Halton(len(self.keys), rng=seed).fast_forward(number).random()[0]
        at = {d.key: d.at(s) for d, s in zip(self.dimensions, shares, strict=True)}
        return self.rounded(at)

    def settings(self, point: Mapping[str, Value]) -> list[str]:
        """A point as ``key=value`` texts, as ``--set`` takes them."""
        return [f"{key}={point[key]}" for key in self.keys]

    def overrides(self, point: Mapping[str, Value]) -> dict[str, Any]:
        """A point as fields of the spec and their values."""
        return {key: _read(str(point[key])) for key in self.keys}

    def apply(self, spec: PipelineSpec, point: Mapping[str, Value]) -> PipelineSpec:
        """The spec at a point; its backbone is not pinned where the point names one.

        Raises:
            SpecError: the spec refuses it.
        """
        settings = self.settings(point)
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
        edges = [(d, value) for d in self.dimensions for value in d.probes()]
        for dimension, value in edges:
            try:
                override(spec, (f"{dimension.key}={value}",))
            except SpecError as error:
                message = f"--set {dimension}: {error.message.partition(': ')[2]}"
                raise SpecError(message, error.action) from None
            if dimension.key.partition(".")[0] not in {"model", "training"}:
                raise SpecError(
                    f"--set {dimension}: {dimension.key} cannot be searched; all "
                    "trials share one data set and one contract.",
                    "Search fields of model and training, and give the others one "
                    "value.",
                )
        first = {d.key: d.probes()[0] for d in self.dimensions}
        specs = [self.apply(spec, {**first, d.key: value}) for d, value in edges]
        for changed in specs:
            name, arguments = builder_name(changed), changed.model.arguments
            check_arguments(name, find_builder(name, folder), arguments)
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
