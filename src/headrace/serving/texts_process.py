"""The process of a `TextProcess`: it writes texts for lines of JSON on its input.

It ends when the other end of its standard input, a socket, is closed.
"""

from __future__ import annotations

import json
import os
import queue
import socket
import threading
from collections.abc import Iterator
from typing import Any

from headrace.errors import HeadraceError
from headrace.models.engines.files import model_file
from headrace.models.logged.loading import open_model
from headrace.settings import Settings
from headrace.state.children import leave_signals
from headrace.state.ledger.rows import Version
from headrace.use.generating import Request, TextModel

Message = dict[str, Any]


def open_version(start: Message) -> TextModel:
    """The version that the first line names, with all that is compiled.

    Raises:
        IntegrityError: its file is gone or changed.
    """
    version = Version.model_validate(start["version"])
    settings = Settings.model_validate(start["settings"])
    description = version.description
    with model_file(version, settings) as path:
        loaded = open_model(path, version.model_uri, description, version.version)
    model = TextModel(loaded, version.model)
    model.write(Request(characters=2, seed=0))  # what TensorFlow does once is done
    return model


def main() -> None:
    """Load the version, then write all texts in turn, a piece each."""
    leave_signals()
    with socket.socket(fileno=0) as connection:
        lines = connection.makefile("rb")
        messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        start = json.loads(lines.readline())
        threading.Thread(target=_read, args=(lines, messages), daemon=True).start()
        try:
            model = open_version(start)
        except Exception as error:  # all of them are reported
            _send(connection, {"failure": f"did not start: {error}"})
            os._exit(1)
        _send(connection, {"failure": ""})
        write_in_turn(model, messages, connection)


def _read(lines: Any, messages: queue.SimpleQueue[Message]) -> None:
    for line in lines:
        messages.put(json.loads(line))
    os._exit(0)  # taking TensorFlow down would take long


def _send(connection: socket.socket, message: Message) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


def write_in_turn(
    model: TextModel,
    messages: queue.SimpleQueue[Message],
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
            _send(connection, {"number": number, **piece})


def _pieces(model: TextModel, message: Message) -> Iterator[str]:
    """As `TextModel.stream`, which refuses a prompt before the first piece."""
    yield from model.stream(Request(**message))


def _next_piece(pieces: Iterator[str]) -> Message:
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
