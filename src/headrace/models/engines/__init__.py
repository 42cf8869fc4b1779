"""What computes the answers of a version: ONNX Runtime, or Keras itself.

An engine other than Keras is a file that a version's Keras model was exported to. It
is admitted only if it gives the golden answers. Keras has a process of its own, so a
server never imports TensorFlow.
"""

from __future__ import annotations

from headrace.models.engines.building import build_engine
from headrace.models.engines.forms import TOLERANCE, Engine
from headrace.models.engines.hosted import EngineProcess
from headrace.models.engines.stored import open_and_check
from headrace.settings import Settings
from headrace.state.ledger.records import Version

__all__ = ["TOLERANCE", "Engine", "EngineProcess", "build_engine", "open_engine"]


def open_engine(version: Version, settings: Settings) -> Engine:
    """The engine of a version, else its Keras model in a process of its own.

    An engine that is not kept yet is built first; see `build_engine`.

    Raises:
        IntegrityError: the version's file is gone, changed or gives other answers.
        DependencyError: the Keras process did not start, the engine's build was cut
            short, or the ledger does not answer.
        UsageError: what is installed here does not suffice.
    """
    stored = build_engine(version, settings)
    engine = open_and_check(version, stored) if stored is not None else None
    return EngineProcess(version, settings) if engine is None else engine
