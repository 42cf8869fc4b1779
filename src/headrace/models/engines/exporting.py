"""The process that exports a version to one format, loads it and tests it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headrace.errors import HeadraceError
from headrace.models.engines import formats
from headrace.models.engines.files import golden_bytes, model_file
from headrace.models.engines.forms import TOLERANCE
from headrace.models.engines.stored import GOLDEN, BuildAttempt, Tensor
from headrace.models.logged.golden import Golden
from headrace.records import Record
from headrace.settings import Settings
from headrace.state.frames import Answer, Header, answer_frames
from headrace.state.ledger.rows import Version

MODULE = "headrace.models.engines.exporting"
_ANY_LENGTH = "its items have any length, and this format is for one length"


class Order(Record):
    """What the process is to do.

    Attributes:
        settings: where the version's files are, see `Settings.for_child`.
        folder: for the files; beside it is the golden file.
    """

    version: Version
    settings: dict[str, Any]
    format: str = ""
    folder: Path = Path()

    @property
    def opened(self) -> Settings:
        """The settings, with the limits of the process that exports."""
        return Settings.model_validate(self.settings)


def content(folder: Path) -> dict[str, bytes]:
    """All files below a folder, by their paths."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def export(order: Order) -> BuildAttempt:
    """Write the files, load what was written, and replay the golden answers."""
    version, settings, name = order.version, order.opened, order.format
    golden_file = golden_bytes(version, settings)
    golden = Golden.read(golden_file)
    (order.folder.parent / GOLDEN).write_bytes(golden_file)
    module = formats.format_of(name)
    try:
        model = _open(order, golden)
        given = model.inputs[0]
        if name in formats.ENGINES and None in given.shape[1:]:
            return BuildAttempt(engine=name, reason=_ANY_LENGTH)
        module.export(model, order.folder)
        taken = Tensor(name=given.name, dtype=given.dtype, shape=given.shape[1:])
    except HeadraceError:  # of the version's own file
        raise
    except Exception as error:  # the exporters' own are of all kinds
        return BuildAttempt(
            engine=name, reason=f"it cannot be exported: {_first(error)}"
        )
    data = version.description
    try:
        shape = golden.outputs.shape[1:]
        engine = module.ENGINE(content(order.folder), shape, 1)
        difference, latency_ms = golden.measure(engine, data)
    except Exception as error:  # the runtimes' own
        reason = f"what was exported cannot be used: {_first(error)}"
        return BuildAttempt(engine=name, reason=reason)
    reason = ""
    if difference > TOLERANCE:
        reason = f"its answers differ by {difference:.3g}, more than {TOLERANCE:g}"
    finite = difference if difference < float("inf") else None
    return BuildAttempt(
        engine=name,
        difference=finite,
        latency_ms=latency_ms,
        input=taken,
        reason=reason,
    )


def _open(order: Order, golden: Golden) -> Any:
    """The Keras model, called once; else Keras does not export it."""
    from headrace.backend import load_backend
    from headrace.models.logged.loading import open_model
    from headrace.tasks import asked

    version = order.version
    description = version.description
    load_backend(minimal=True)
    with model_file(version, order.opened) as path:
        model = open_model(path, version.model_uri, description).model
    first = asked(description).raw(golden.items[:1])
    model(first, training=False)
    return model


def _first(error: Exception) -> str:
    """The first line of an error's text, which may be long."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].strip()[:300] if lines else ''}"


def _begin(header: Header) -> tuple[Answer, Header]:
    report = export(Order.model_validate(header))
    return lambda header, body: ({}, b""), report.model_dump(mode="json")


if __name__ == "__main__":
    answer_frames(_begin)
