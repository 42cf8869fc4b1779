"""The process of a `TextProcess`: it writes texts, a frame for each of their pieces.

It ends when the other end of its standard input, a socket, is closed.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
from collections.abc import Iterator

from headrace.errors import HeadraceError
from headrace.models.engines.stored import model_file
from headrace.models.logged.loading import open_model
from headrace.settings import Settings
from headrace.state.children import leave_signals
from headrace.state.frames import Header, begun, receive, send
from headrace.state.ledger.records import Version
from headrace.use.generating import TextModel, TextRequest


def open_version(start: Header) -> TextModel:
    """The version that the first frame names, with all that is compiled.

    Raises:
        IntegrityError: its file is gone or changed.
    """
    version = Version.model_validate(start["version"])
    settings = Settings.model_validate(start["settings"])
    description = version.description
    with model_file(version, settings) as path:
        loaded = open_model(path, version.model_uri, description, version.version)
    model = TextModel(loaded, version.model)
    model.write(TextRequest(characters=2, seed=0))  # what TensorFlow does once is done
    return model


def main() -> None:
    """Load the version, then write all texts in turn, a piece each."""
    leave_signals()
    with socket.socket(fileno=0) as connection:
        model = begun(connection, lambda header: (open_version(header), {}))
        messages: queue.SimpleQueue[Header] = queue.SimpleQueue()
        reading = threading.Thread(
            target=_read, args=(connection, messages), daemon=True
        )
        reading.start()
        write_in_turn(model, messages, connection)


def _read(connection: socket.socket, messages: queue.SimpleQueue[Header]) -> None:
    with contextlib.suppress(EOFError, OSError):
        while True:
            messages.put(receive(connection)[0])
    os._exit(0)  # taking TensorFlow down would take long


def write_in_turn(
    model: TextModel,
    messages: queue.SimpleQueue[Header],
    connection: socket.socket,
) -> None:
    """Write the texts that are asked for, until the process ends."""
    texts: dict[int, Iterator[str]] = {}
    while True:
        while not texts or not messages.empty():
            message = messages.get()
            number = message.pop("number")
            if "ends" in message:
                texts.pop(number, None)
            else:
                texts[number] = _pieces(model, message)
        for number in [*texts]:
            piece = _next_piece(texts[number])
            if "text" not in piece:
                del texts[number]
            send(connection, {"number": number, **piece})


def _pieces(model: TextModel, message: Header) -> Iterator[str]:
    """As `TextModel.stream`, which refuses a prompt before the first piece."""
    yield from model.stream(TextRequest(**message))


def _next_piece(pieces: Iterator[str]) -> Header:
    try:
        return {"text": next(pieces)}
    except StopIteration:
        return {}
    except HeadraceError as error:
        return {"refusal": str(error)}
    except Exception as error:  # it belongs to this text alone
        return {"failure": f"failed: {type(error).__name__}: {error}"}


if __name__ == "__main__":
    main()
