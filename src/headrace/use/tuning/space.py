"""The search space: the fields of the spec that vary, each with its range.

`study` chooses among its points.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from headrace.errors import SpecError, UsageError
from headrace.models import builder_name, check_arguments, find_builder
from headrace.spec import PipelineSpec
from headrace.spec.files import override, parse_override
from headrace.use.tuning.ranges import EXAMPLES, Dimension, Value, parse_dimension

Point = dict[str, Value]


class Space:
    """The ranges of a search.

    Args:
        dimensions: the ranges; their keys differ.
    """

    def __init__(self, dimensions: Sequence[Dimension]) -> None:
        self.dimensions = tuple(dimensions)

    @property
    def keys(self) -> list[str]:
        """The fields that vary."""
        return [dimension.key for dimension in self.dimensions]

    @property
    def size(self) -> float:
        """How many points there are."""
        return math.prod(dimension.size for dimension in self.dimensions)

    def points(self) -> Iterator[Point]:
        """All points of a finite space; the last field varies fastest."""
        values = [dimension.values() for dimension in self.dimensions]
        for point in itertools.product(*values):
            yield dict(zip(self.keys, point, strict=True))

    def rounded(self, point: Mapping[str, Value]) -> Point:
        """A point with its values rounded for people."""
        return {d.key: d.rounded(point[d.key]) for d in self.dimensions}

    def spread(self, seed: int, number: int) -> Point:
        """A point of a low-discrepancy sequence, which fills the space evenly.

        It consists of multiples of the powers of the generalised golden ratio, from a
        start that depends on the seed.
        """
        count = len(self.dimensions)
        ratio = 2.0
        for _ in range(30):
            ratio = (1 + ratio) ** (1 / (count + 1))
        starts = random.Random(seed)  # noqa: S311
        point = {}
        for power, dimension in enumerate(self.dimensions, start=1):
            share = (starts.random() + number * ratio**-power) % 1
            point[dimension.key] = dimension.rounded(dimension.at(share))
        return point

    def settings(self, point: Mapping[str, Value]) -> list[str]:
        """A point as ``key=value`` texts, as ``--set`` takes them."""
        return [d.setting(point[d.key]) for d in self.dimensions]

    def overrides(self, point: Mapping[str, Value]) -> dict[str, Any]:
        """A point as fields of the spec and their values."""
        parsed = (parse_override(text) for text in self.settings(point))
        return {".".join(keys): value for keys, value in parsed}

    def apply(self, spec: PipelineSpec, point: Mapping[str, Value]) -> PipelineSpec:
        """The spec at a point.

        Raises:
            SpecError: the spec refuses it.
        """
        return override(spec, tuple(self.settings(point)))

    def own_point(self, spec: PipelineSpec) -> Point | None:
        """The point of the spec's own values; None if it is outside the space."""
        point = {d.key: d.holds(_value_at(spec, d.key)) for d in self.dimensions}
        held = {key: value for key, value in point.items() if value is not None}
        return held if len(held) == len(point) else None

    def check(self, spec: PipelineSpec, folder: Path) -> list[PipelineSpec]:
        """Check the specs at the edges of the space, with one field at an edge each.

        Raises:
            SpecError: the spec or the builder refuses a value, with the nearest name;
                or a training does not depend on a field.
        """
        edges = [(d, value) for d in self.dimensions for value in d.probes()]
        for dimension, value in edges:
            _try(spec, dimension, value)
        first = {d.key: d.probes()[0] for d in self.dimensions}
        specs = [self.apply(spec, {**first, d.key: value}) for d, value in edges]
        for changed in specs:
            name = builder_name(changed)
            builder = find_builder(name, folder)
            check_arguments(name, builder, changed.model.arguments)
        return specs


def _try(spec: PipelineSpec, dimension: Dimension, value: Value) -> None:
    try:
        override(spec, (dimension.setting(value),))
    except SpecError as error:
        message = error.message.partition(": ")[2]
        raise SpecError(f"--set {dimension}: {message}", error.action) from None
    if dimension.key.partition(".")[0] not in {"model", "training"}:
        raise SpecError(
            f"--set {dimension}: {dimension.key} cannot be searched; all trials share "
            "one data set and one contract.",
            "Search fields of model and training, and give the others one value.",
        )


def parse_search(texts: Sequence[str]) -> tuple[list[str], Space]:
    """Separate ranges from plain values among ``KEY=VALUE`` texts.

    Returns:
        the plain texts, as they were, and the space.

    Raises:
        SpecError: a range is invalid, or its field has another value as well.
        UsageError: there is no range.
    """
    plain: list[str] = []
    dimensions: list[Dimension] = []
    for text in texts:
        dimension = parse_dimension(text)
        if dimension is None:
            plain.append(text)
        else:
            dimensions.append(dimension)
    if not dimensions:
        raise UsageError(
            "There is nothing to search: no --set has a range.",
            f"""Give one: --set "training.learning_rate={EXAMPLES["log"]}".""",
        )
    keys = [".".join(parse_override(text)[0]) for text in plain]
    keys += [dimension.key for dimension in dimensions]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None and twice in Space(dimensions).keys:
        raise SpecError(f"--set {twice}: it is given twice.", "Give it once.")
    return plain, Space(dimensions)


def _value_at(spec: PipelineSpec, key: str) -> Any:
    value: Any = spec.model_dump(mode="json")
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
