"""The process of an `EngineProcess`: it answers on its standard input, a socket.

It ends when the other end of the socket is closed, whatever it does then.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
from typing import Any

from headrace.errors import DependencyError, HeadraceError, IntegrityError
from headrace.models.engines.files import golden_bytes, model_file
from headrace.models.engines.forms import TOLERANCE, Engine, Golden
from headrace.models.engines.frames import packed, unpacked
from headrace.records import DataDescription
from headrace.settings import Settings
from headrace.state.frames import Header, receive, send
from headrace.state.ledger.rows import Version

MOST_BYTES = 2**40  # the other process is trusted


def _open(name: str, version: Version, settings: Settings) -> Engine:
    if name != "keras" and (name or settings.engines != "none"):
        from headrace.models.engines.kept import open_kept

        engine = open_kept(version, settings)
        if engine is not None and name in ("", engine.name):
            return engine
        if name:
            raise DependencyError(
                f"{version} has no engine {name}.", "Serve it with Keras, or build it."
            )
    from headrace.models.engines.keras import KerasEngine

    try:
        with model_file(version, settings) as path:
            return KerasEngine(path, version)
    except IntegrityError as error:
        raise IntegrityError(f"{version}: {error.message}", _mend(version)) from error


def _mend(version: Version) -> str:
    return f"Run `headrace repair {version.model}/{version.version}`."


def _start(header: Header) -> tuple[Engine, Header]:
    """The engine, its answers compared with the golden ones, and its figures."""
    version = Version.model_validate(header["version"])
    settings = Settings.model_validate(header["settings"])
    engine = _open(header["engine"], version, settings)
    golden = Golden.read(golden_bytes(version, settings))
    data = DataDescription.model_validate(version.details["description"])
    difference, latency_ms = golden.measure(engine, data)
    if difference > TOLERANCE:
        raise IntegrityError(
            f"{version} does not give its golden answers: they differ by "
            f"{difference:.3g}, more than {TOLERANCE:g}.",
            _mend(version),
        )
    return engine, {
        "ready": engine.name,
        "shape": golden.outputs.shape[1:],
        "difference": difference,
        "latency_ms": latency_ms,
    }


def failure(error: Exception) -> Header:
    """An error as the header of a frame."""
    if isinstance(error, HeadraceError):
        kind, message = type(error).__name__, error.message
        return {"error": kind, "message": message, "action": error.action}
    reason = (str(error).strip().splitlines() or [""])[0][:300]
    return {"error": "", "message": f"{type(error).__name__}: {reason}", "action": ""}


def end_with_parent(connection: socket.socket) -> None:
    """End this process once the other end of a socket is closed."""
    poll = select.poll()
    poll.register(connection, 0)  # only hanging up is reported
    poll.poll()
    os._exit(0)


def main() -> None:
    """Start the engine that the first frame names, then answer frame by frame."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the other process decides
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=0) as connection:
        watch = threading.Thread(
            target=end_with_parent, args=(connection,), daemon=True
        )
        watch.start()
        with contextlib.suppress(EOFError, OSError):
            _serve(connection)
    os._exit(0)  # taking TensorFlow down would take long


def _serve(connection: socket.socket) -> None:
    header, _ = receive(connection, MOST_BYTES)
    try:
        engine, figures = _start(header)
    except Exception as error:  # all of them are reported
        send(connection, failure(error))
        return
    send(connection, figures)
    while True:
        header, body = receive(connection, MOST_BYTES)
        answer: Any = b""
        try:
            header, answer = packed(engine(unpacked(header, body)))
        except Exception as error:
            header = failure(error)
        send(connection, header, answer)


if __name__ == "__main__":
    main()
