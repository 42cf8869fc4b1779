"""Integrated gradients for a server, which itself imports no TensorFlow.

They are computed in a process that starts with the first question, takes some seconds
for it, and ends after some quiet minutes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from headrace.media.forms import Payload
from headrace.state.frames import Header, packed, unpacked
from headrace.state.on_demand import OnDemand

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace.state.ledger import Version

MODULE = "headrace.serving.gradients_process"
START_SECONDS = 120.0
ANSWER_SECONDS = 60.0
QUIET_SECONDS = 600.0
NICENESS = 5  # answers come first
_MOST_BYTES = 2**24

Map = tuple[npt.NDArray[np.float64], float]


class GradientsProcess:
    """Explains items by the gradients of a version, one after the other.

    Args:
        version: its row in the ledger.
        settings: where its files are.
    """

    def __init__(self, version: Version, settings: Settings) -> None:
        self._process = OnDemand(
            MODULE,
            f"process that explains {version}",
            lambda: {
                "version": version.model_dump(mode="json"),
                "settings": settings.for_child(),
            },
            niceness=NICENESS,
            start_seconds=START_SECONDS,
            quiet_seconds=QUIET_SECONDS,
        )

    def __call__(self, stored: Payload) -> Map:
        """The map of an item; waits for it.

        Args:
            stored: the item as a snapshot has it, ``shape``.

        Returns:
            values ``(rows, columns)``, NaN where nothing is; and how far they are from
            adding up, a share.

        Raises:
            IntegrityError: the version's file is gone or changed.
            DependencyError: the process crashed, or did not answer in time.
        """
        return self._process.ask(
            *packed(stored), _read, most_bytes=_MOST_BYTES, seconds=ANSWER_SECONDS
        )

    def close(self) -> None:
        """End the process, if there is one, whatever it does."""
        self._process.close()


def _read(header: Header, body: bytearray) -> Map:
    values = unpacked(header, body).astype(np.float64)
    return values, float(header["completeness_error"])
