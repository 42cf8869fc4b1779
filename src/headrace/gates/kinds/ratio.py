"""A gate on one metric as a share of another, such as a slice of the whole.

For example, that no group is right much less often than all rows are::

    [[gates]]
    name = "fair to theo"
    kind = "ratio"
    metric = "group=theo/accuracy"
    arguments = { to = "test_accuracy" }
    threshold = 0.9
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from headrace.errors import SpecError
from headrace.gates.kinds import GateKind, absolute_gate
from headrace.pipeline import GateSpec
from headrace.records import GateResult


class Ratio:
    """See `headrace.gates.kinds.GateKind`; ``arguments.to`` is the other metric."""

    def check(self, gate: GateSpec) -> None:
        """Refuse a gate without a bound or without the metric to divide by."""
        if gate.threshold is None or [*gate.arguments] != ["to"]:
            raise SpecError(
                f"The gate {gate.name!r} of the kind ratio needs a threshold and the "
                f"argument to; it has the arguments {gate.arguments}.",
                'Write for example arguments = { to = "test_accuracy" }.',
            )

    def judge(self, gate: GateSpec, metrics: Mapping[str, float]) -> GateResult:
        """Hold the ratio against the bound; a metric that is missing never passes."""
        to = str(gate.arguments.get("to", ""))
        value, reference = metrics.get(gate.metric), metrics.get(to)
        if value is None or reference is None:
            lacks = gate.metric if value is None else to or "arguments.to"
            return GateResult(
                name=gate.name,
                passed=False,
                threshold=gate.threshold,
                reason=f"there is no metric {lacks}",
            )
        name = f"{gate.metric} / {to}"
        is_number = reference and math.isfinite(reference)
        ratio = value / reference if is_number else math.nan
        return absolute_gate(gate.model_copy(update={"metric": name}), {name: ratio})


KIND: GateKind = Ratio()
