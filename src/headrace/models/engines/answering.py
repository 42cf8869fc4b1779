"""The process of an `EngineProcess`: it opens an engine, and answers frame by frame."""

from __future__ import annotations

from headrace.errors import DependencyError, IntegrityError
from headrace.models.engines.forms import TOLERANCE, Engine
from headrace.models.engines.stored import golden_bytes, mend, model_file
from headrace.models.logged.golden import Golden
from headrace.settings import Settings
from headrace.state.frames import Answer, Header, answer_frames, packed, unpacked
from headrace.state.ledger.records import Version


def _open(name: str, version: Version, settings: Settings) -> Engine:
    if name != "keras" and (name or settings.engines != "none"):
        from headrace.models.engines.stored import open_stored

        engine = open_stored(version, settings)
        if engine is not None and name in ("", engine.name):
            return engine
        if name:
            raise DependencyError(
                f"{version} has no engine {name}.", "Serve it with Keras, or build it."
            )
    from headrace.models.engines.keras import KerasEngine

    with model_file(version, settings) as path:
        return KerasEngine(path, version)


def _start(header: Header) -> tuple[Engine, Header]:
    """The engine, its answers compared with the golden ones, and its figures."""
    version = Version.model_validate(header["version"])
    settings = Settings.model_validate(header["settings"])
    engine = _open(header["engine"], version, settings)
    golden = Golden.read(golden_bytes(version, settings))
    data = version.description
    difference, latency_ms = golden.measure(engine, data)
    if difference > TOLERANCE:
        raise IntegrityError(
            f"{version} does not give its golden answers: they differ by "
            f"{difference:.3g}, more than {TOLERANCE:g}.",
            mend(version),
        )
    return engine, {
        "ready": engine.name,
        "shape": golden.outputs.shape[1:],
        "difference": difference,
        "latency_ms": latency_ms,
    }


def _answering(header: Header) -> tuple[Answer, Header]:
    engine, figures = _start(header)
    return lambda header, body: packed(engine(unpacked(header, body))), figures


if __name__ == "__main__":
    answer_frames(_answering)
