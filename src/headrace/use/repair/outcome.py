"""What a repair did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from headrace.records import Record

if TYPE_CHECKING:
    from headrace.state.ledger import Version

Status = Literal["sound", "restored", "rebound", "failed"]


class Repair(Record):
    """What was done for a version.

    Attributes:
        status: ``sound``, there was nothing to do; ``restored`` from the store's copy;
            ``rebound``, trained again with equal weights and bound to the new file;
            ``failed``, it is as it was.
        reason: one sentence.
        done: the steps, in words.
    """

    model: str
    version: int
    status: Status
    reason: str
    done: tuple[str, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Whether the version can be used now."""
        return self.status != "failed"

    def __str__(self) -> str:
        return f"{self.model} version {self.version}: {self.reason}"


def sentence(done: Sequence[str]) -> str:
    """Steps as one sentence; empty where there are none."""
    text = "; ".join(done)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def answer(
    version: Version, status: Status, reason: str, done: Sequence[str] = ()
) -> Repair:
    """The outcome of a repair of a version."""
    return Repair(
        model=version.model,
        version=version.version,
        status=status,
        reason=reason,
        done=tuple(done),
    )
