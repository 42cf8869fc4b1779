"""The process of `prepare_in_background`: builds the engine of one version."""

from __future__ import annotations

from typing import Any

from headrace.models.engines.building import build
from headrace.settings import Settings
from headrace.state import background
from headrace.state.ledger.rows import Version


def _build(order: Any, settings: Settings) -> None:
    build(Version.model_validate(order), settings)


if __name__ == "__main__":
    background.perform(_build)
