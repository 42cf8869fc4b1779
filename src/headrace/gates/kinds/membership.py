"""A gate on how well it can be told which rows a model learned from.

It needs ``depth = "full"`` in ``[evaluation]``::

    [[gates]]
    name = "membership"
    threshold = 0.62
"""

from __future__ import annotations

import math

from headrace.errors import SpecError
from headrace.gates.kinds import RowsKind, held
from headrace.gates.rows import JudgedRows, Membership
from headrace.pipeline import GateSpec, PipelineSpec
from headrace.records import GateResult

THRESHOLD = 0.62  # above the packaged digits, whose upper bound was 0.611


class KeepsItsRows:
    """It is hardly told which rows a model learned from."""

    def check(self, gate: GateSpec) -> None:
        """Refuse a threshold that is no area from 0.5 to 1, or arguments."""
        threshold = THRESHOLD if gate.threshold is None else gate.threshold
        if not 0.5 <= threshold <= 1 or gate.arguments:
            raise SpecError(
                f"The gate {gate.name!r} of the kind membership takes a threshold from "
                f"0.5 to 1 and no arguments; it has threshold = {gate.threshold} and "
                f"the arguments {gate.arguments}.",
                f"Write for example threshold = {THRESHOLD}, which is the default.",
            )

    def check_pipeline(self, gate: GateSpec, spec: PipelineSpec) -> None:
        """Refuse an evaluation that does not measure it."""
        if spec.evaluation.depth != "full":
            raise SpecError(
                f'The gate {gate.name!r} needs evaluation.depth = "full"; it is '
                f'"{spec.evaluation.depth}", which measures no membership inference.',
                'Write depth = "full" in [evaluation], or leave the gate out.',
            )

    def judge_rows(self, gate: GateSpec, rows: JudgedRows) -> GateResult:
        """Hold the upper bound of the area against the threshold."""
        most = THRESHOLD if gate.threshold is None else gate.threshold
        membership = rows.membership
        if isinstance(membership, str):
            reason = f"membership inference was not measured: {membership}"
            return held(gate, math.nan, most, reason)
        area = membership.high if membership.high >= 0 else math.nan  # as an area is
        return held(gate, area, most, describe(membership))


def describe(attack: Membership) -> str:
    """The area and the rate in words."""
    text = (
        "given one row that the model learned from and one that it did not, an "
        f"attacker tells which is which with a chance of {attack.auc:.3f} "
        f"({attack.low:.3f} to {attack.high:.3f}, from {attack.members:,} and "
        f"{attack.others:,} rows)"
    )
    if attack.hits is None:
        return text
    return f"{text}, and finds {attack.hits:.1%} of the former with 1% of false alarms"


KIND: RowsKind = KeepsItsRows()
