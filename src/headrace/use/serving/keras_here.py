"""Keras in the server's own process: a placeholder until engines are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.media.forms import Payload
    from headrace.settings import Settings
    from headrace.state.ledger import Version
    from headrace.tasks.forms import Outputs
    from headrace.use.serving.working import Engine


class _Keras:
    name = "keras"

    def __init__(self, version: Version, settings: Settings) -> None:
        from headrace.models.logged.loading import load_version
        from headrace.state.tracking import Tracking

        self._model = load_version(Tracking(settings), version)

    def __call__(self, items: Payload) -> Outputs:
        return self._model(items)

    def close(self) -> None:
        pass


def open_engine(version: Version, settings: Settings) -> Engine:
    """The version in this process."""
    return _Keras(version, settings)
