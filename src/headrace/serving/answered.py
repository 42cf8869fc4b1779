"""What the server tells its observers of each answered request."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

from headrace.media.forms import Payload
from headrace.records import DataDescription
from headrace.tasks.forms import Outputs

Role = Literal["champion", "pinned", "shadow", "try"]


class Answered(NamedTuple):
    """One answered request.

    Attributes:
        request_id: of the request; all of its items share it.
        time_us: when it was answered, microseconds since 1970, UTC.
        model, version: that answered.
        role: the version's at that moment; ``try`` where somebody tries it by hand.
        items: ``(n, ...)``, as `Medium.check_input` returns them: texts are masked.
        outputs: float32 ``(n, ...)``.
        latency_ms: from the complete body of the request to the answer.
        engine: the name of what computed the outputs.
        description: of the data that the version was trained on.
        is_named: whether the request named the version.
    """

    request_id: str
    time_us: int
    model: str
    version: int
    role: Role
    items: Payload
    outputs: Outputs
    latency_ms: float
    engine: str
    description: DataDescription
    is_named: bool = False


class Observer(Protocol):
    """What is told of each answered request; it returns at once and never raises."""

    def __call__(self, answered: Answered) -> None:
        """Take note of one answered request."""


def bytes_of(answered: Answered) -> int:
    """The memory that its items and outputs hold; of texts, at least so much."""
    items = answered.items
    size = items.nbytes
    if items.dtype == object:
        size = 64 * len(items) + 2 * sum(map(len, items))
    return size + answered.outputs.nbytes
