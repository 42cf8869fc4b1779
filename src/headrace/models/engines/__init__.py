"""What computes the answers of a version: ONNX Runtime, or Keras itself.

An engine other than Keras is a file that a version's Keras model was exported to. It
is admitted only if it gives the golden answers. Keras has a process of its own, so a
server never imports TensorFlow.
"""

from __future__ import annotations

import logging

from headrace.errors import DependencyError, UsageError
from headrace.models.engines.building import build, prepare_in_background
from headrace.models.engines.forms import TOLERANCE, Engine
from headrace.models.engines.hosted import EngineProcess
from headrace.models.engines.stored import open_stored
from headrace.settings import Settings
from headrace.state.ledger.rows import Version

__all__ = ["TOLERANCE", "Engine", "EngineProcess", "build_engine", "open_engine"]
__all__ += ["prepare_in_background"]

log = logging.getLogger("headrace")


def open_engine(version: Version, settings: Settings) -> Engine:
    """The admitted engine of a version, else its Keras model in a process of its own.

    It builds nothing; see `build_engine`.

    Raises:
        IntegrityError: the version's file is gone, changed or gives other answers.
        DependencyError: the Keras process did not start, or the ledger does not answer.
    """
    if settings.engines != "none":
        engine = open_stored(version, settings)
        if engine is not None:
            return engine
    return EngineProcess(version, settings)


def build_engine(version: Version, settings: Settings) -> str:
    """Export a version to an engine and keep it, if it gives the golden answers.

    The first call takes ten seconds or more, in a child process. What it found is
    recorded, and not tried again with the same versions of the libraries.

    Returns:
        the name of the admitted engine; ``keras`` if there is none, or if the build was
        cut short, which is logged.

    Raises:
        IntegrityError: the version's file is gone or changed.
    """
    try:
        return build(version, settings)
    except (DependencyError, UsageError) as error:
        log.warning("%s is served by Keras for now: %s", version, error.message)
        return "keras"
