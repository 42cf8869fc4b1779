"""One field and its range: how it is written, and its values."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from headrace.errors import SpecError
from headrace.spec.files import parse_override

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Kind = Literal["log", "uniform", "int", "choice"]
Value = float | int | str

EXAMPLES = {
    "log": "log(1e-4,1)",
    "uniform": "uniform(0,0.99)",
    "int": "int(16,512)",
    "choice": "choice(sgd,adam)",
}
POINTS = 2000  # values of a float's range that are distinguished
_CALL = re.compile(r"\s*([A-Za-z_]\w*)\s*\((.*)\)\s*", re.DOTALL)


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
    def size(self) -> float:
        """How many values there are."""
        if self.kind == "choice":
            return len(self.options)
        low, high = self.bounds
        return high - low + 1 if self.kind == "int" else math.inf

    def values(self) -> Sequence[Value]:
        """All values of a finite range."""
        if self.kind == "choice":
            return self.options
        low, high = self.bounds
        return range(int(low), int(high) + 1)

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
        if self.kind == "choice":
            return self.options[int(share * len(self.options))]
        low, high = self.bounds
        if self.kind == "int":
            return int(low + share * (high - low + 1))
        if self.kind == "log":
            return float(low * (high / low) ** share)
        return low + share * (high - low)

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
            matches = (o for o in self.options if _read(o) == value)
            return next(matches, None)
        low, high = self.bounds
        wanted: Any = int if self.kind == "int" else int | float
        if isinstance(value, bool) or not isinstance(value, wanted):
            return None
        if not low <= value <= high:
            return None
        return int(value) if self.kind == "int" else float(value)

    def rounded(self, value: Value) -> Value:
        """A value for people to read: a float with as few digits as its range needs."""
        if not isinstance(value, float):
            return value
        low, high = self.bounds
        width = value * math.log(high / low) if self.kind == "log" else high - low
        shorter = (float(f"{value:.{digits}g}") for digits in range(1, 18))
        short = next(s for s in shorter if abs(s - value) <= width / POINTS)
        return min(max(short, low), high)

    def setting(self, value: Value) -> str:
        """A value of this range as ``key=value``."""
        return f"{self.key}={value}"


def parse_dimension(text: str) -> Dimension | None:
    """Read ``key=log(1e-4,1)``; None if the value is not a range.

    Raises:
        SpecError: there is no such range, or its bounds are invalid.
    """
    keys, value = parse_override(text)
    call = _CALL.fullmatch(value) if isinstance(value, str) else None
    if call is None or text.partition("=")[2].strip()[:1] in {'"', "'"}:
        return None
    kind, options = call[1], _split(call[2])
    if kind not in EXAMPLES:
        near = difflib.get_close_matches(kind.lower(), EXAMPLES, n=1, cutoff=0.3)
        known = f"Ranges: {', '.join(EXAMPLES.values())}. Put text in quotes."
        raise SpecError(
            f"--set {text}: there is no range {kind!r}.",
            f"Did you mean {EXAMPLES[near[0]]}?" if near else known,
        )
    dimension = Dimension(".".join(keys), cast(Kind, kind), options)
    fault = _fault(dimension)
    if fault:
        raise SpecError(
            f"--set {text}: {fault}.", f"Write for example {EXAMPLES[kind]}."
        )
    return dimension


def _fault(dimension: Dimension) -> str:  # noqa: PLR0911
    """What is wrong with a range's options, if anything is."""
    options, kind = dimension.options, dimension.kind
    if kind == "choice":
        if len(options) < 2 or not all(options):
            return "a choice needs two values or more"
        return "" if len(set(options)) == len(options) else "a value is given twice"
    if len(options) != 2:
        return f"{kind} takes two bounds, not {len(options)}"
    numbers = [_read(option) for option in options]
    wanted: Any = int if kind == "int" else int | float
    for option, number in zip(options, numbers, strict=True):
        if isinstance(number, bool) or not isinstance(number, wanted):
            name = "an integer" if kind == "int" else "a number"
            return f"the bound {option!r} is not {name}"
        if not math.isfinite(number):
            return f"the bound {option!r} is not finite"
    low, high = dimension.bounds
    if low >= high:
        return f"the lower bound {options[0]} is not below the upper bound {options[1]}"
    if kind == "log" and low <= 0:
        return f"the lower bound {options[0]} of log is not above 0"
    return ""


def _read(option: str) -> Any:
    return parse_override(f"value={option}")[1]


def _split(text: str) -> tuple[str, ...]:
    """Cut at the commas that are outside brackets and quotes."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "[{(":
            depth += 1
        elif character in "]})":
            depth -= 1
        elif character == "," and not depth:
            parts.append("")
            continue
        parts[-1] += character
    return tuple(part.strip() for part in parts)
