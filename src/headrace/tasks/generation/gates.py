"""The gates of a language model that take arguments."""

from __future__ import annotations

from typing import Any

from headrace.errors import SpecError, did_you_mean
from headrace.spec import GateSpec, PipelineSpec

ORDER = 5
LARGEST_ORDER = 12
LENGTHS = (5, 7)  # of the lines of a poem
_ARGUMENTS = {"baseline": "order", "form": "lengths"}


def check_gate(gate: GateSpec) -> None:
    """Check the arguments of a gate: an order, or lengths of lines.

    Raises:
        SpecError: it does not take one, or its value does not fit.
    """
    taken = _ARGUMENTS.get(gate.name)
    for name, value in gate.arguments.items():
        if name != taken:
            takes = f"takes only {taken}" if taken else "takes no arguments"
            raise SpecError(
                f"The gate {gate.name!r} has the argument {name} = {value!r}; it "
                f"{takes}.",
                did_you_mean(name, [taken] if taken else [], "Leave it out."),
            )
        if name == "order" and not _is_whole(value, 1, LARGEST_ORDER):
            raise _wrong(
                gate, f"a whole number from 1 to {LARGEST_ORDER}", f"order = {ORDER}"
            )
        if name == "lengths" and not _are_lengths(value):
            raise _wrong(
                gate, "a list of whole numbers from 1", f"lengths = {[*LENGTHS]}"
            )


def order_of(spec: PipelineSpec) -> int:
    """The order of the n-gram model, which the gate ``baseline`` may say."""
    return int(_argument(spec, "baseline", ORDER))


def lengths_of(spec: PipelineSpec) -> list[int]:
    """The lengths of a poem's lines, which the gate ``form`` may say."""
    return [*_argument(spec, "form", LENGTHS)]


def _argument(spec: PipelineSpec, name: str, default: Any) -> Any:
    mine = (one.arguments for one in spec.gates if one.name == name and not one.kind)
    return next(mine, {}).get(_ARGUMENTS[name], default)


def _is_whole(value: Any, least: int, most: float) -> bool:
    return isinstance(value, int) and value is not True and least <= value <= most


def _are_lengths(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) > 0
        and all(_is_whole(one, 1, float("inf")) for one in value)
    )


def _wrong(gate: GateSpec, expected: str, example: str) -> SpecError:
    name = _ARGUMENTS[gate.name]
    return SpecError(
        f"The gate {gate.name!r} has the argument {name} = "
        f"{gate.arguments[name]!r}; expected {expected}.",
        f"Write for example arguments = {{ {example} }}.",
    )
