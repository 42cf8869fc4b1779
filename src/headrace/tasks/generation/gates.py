"""The gates of a language model: one takes an argument."""

from __future__ import annotations

from headrace.errors import SpecError, did_you_mean
from headrace.pipeline import GateSpec, PipelineSpec

ORDER = 5
LARGEST_ORDER = 12


def check_gate(gate: GateSpec) -> None:
    """Check the arguments of a gate: only ``baseline`` takes one, an order.

    Raises:
        SpecError: the gate does not take one, or its value does not fit.
    """
    taken = ["order"] if gate.name == "baseline" else []
    for name, value in gate.arguments.items():
        if name not in taken:
            takes = "takes only order" if taken else "takes no arguments"
            raise SpecError(
                f"The gate {gate.name!r} has the argument {name} = {value!r}; it "
                f"{takes}.",
                did_you_mean(name, taken, "Leave it out."),
            )
        is_whole = isinstance(value, int) and value is not True
        if not is_whole or not 1 <= value <= LARGEST_ORDER:
            raise SpecError(
                f"The gate {gate.name!r} has the argument order = {value!r}; expected "
                f"a whole number from 1 to {LARGEST_ORDER}.",
                f"Write for example arguments = {{ order = {ORDER} }}.",
            )


def order_of(spec: PipelineSpec) -> int:
    """The order of the n-gram model, which the gate ``baseline`` may say."""
    mine = (g.arguments for g in spec.gates if g.name == "baseline" and not g.kind)
    return int(next(mine, {}).get("order", ORDER))
