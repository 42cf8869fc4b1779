"""The process that exports a version to one format, loads it and tests it."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np

from headrace.errors import HeadraceError
from headrace.media.forms import Payload
from headrace.models.engines import forms
from headrace.models.engines.forms import TOLERANCE, Engine
from headrace.models.engines.pieces import WordPieces
from headrace.models.engines.stored import (
    GOLDEN,
    BuildAttempt,
    Tensor,
    golden_bytes,
    model_file,
)
from headrace.models.logged.golden import Answering, Golden, Measured
from headrace.records import Record
from headrace.settings import Settings
from headrace.state.disk import disk_errors, is_full
from headrace.state.frames import Answer, Header, answer_frames
from headrace.state.ledger.records import Version

MODULE = "headrace.models.engines.exporting"
_HARD = (
    *("", "Zürich, naïve ÅNGSTRÖM ẞ", "東京タワー 한국어 ไทย", "👩‍👩‍👧 🇩🇪!"),
    *("a\tb\u00a0c\u3000d\u200be", "Don't [CLS] #a ##b…", "ﬁ Ⅷ ① ﷺ", "x" * 101),
)
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
    module = forms.format_of(name)
    try:
        with disk_errors(str(settings.home)):  # no verdict on the version
            model = _open(order, golden)
            given = model.inputs[0]
            any_length = None in given.shape[1:] and not _is_of_ids(order)
            if name == forms.SERVES and any_length:
                return BuildAttempt(engine=name, reason=_ANY_LENGTH)
            module.export(model, order.folder)
        taken = Tensor(name=given.name, dtype=given.dtype, shape=given.shape[1:])
    except HeadraceError:  # of the version's own file
        raise
    except Exception as error:  # the exporters' own are of all kinds
        if is_full(str(order.folder.parent)):
            with disk_errors(str(settings.home)):
                raise OSError(errno.ENOSPC, "an export") from error
        return BuildAttempt(
            engine=name, reason=f"it cannot be exported: {_first(error)}"
        )
    try:
        difference, latency_ms = _replay(order, golden)
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


def _is_of_ids(order: Order) -> bool:
    return (order.folder / forms.PIECES).exists()


def _replay(order: Order, golden: Golden) -> Measured:
    """The answers of what was written beside the golden ones."""
    data, shape = order.version.description, golden.outputs.shape[1:]
    engine = forms.open_files(order.format, content(order.folder), shape)
    measured = golden.measure(engine, data)
    if not _is_of_ids(order):
        return measured
    alone = golden.difference(_one_by_one(engine), data)  # each by its own length
    return measured._replace(difference=max(measured.difference, alone))


def _open(order: Order, golden: Golden) -> Any:
    """The Keras model to export, called once; else Keras does not export it.

    Of a model of texts by way of ids it is the part from ids to answers, where
    `WordPieces` can make the ids; a file says how.
    """
    from headrace.imports.backend import load_backend
    from headrace.models.logged.halves import halves
    from headrace.models.logged.loading import open_model
    from headrace.tasks import asked

    version = order.version
    description = version.description
    load_backend(minimal=True)
    import keras

    with model_file(version, order.opened) as path:
        model = open_model(path, version.model_uri, description).model
    given = asked(description).raw(golden.items)
    parts = halves(model)
    pieces = _word_pieces(parts.first, given) if parts else None
    if parts and pieces:
        file = order.folder / forms.PIECES
        file.write_text(json.dumps(pieces, ensure_ascii=False, indent=1), "utf-8")
        ids = keras.Input((None,), dtype="int32", name="ids")
        model, given = keras.Model(ids, parts.second(ids)), WordPieces(**pieces)(given)
    model(given[:1], training=False)
    return model


def _word_pieces(first: Any, texts: Payload) -> dict[str, Any] | None:
    """The arguments of `WordPieces` for the ids that a model makes of texts.

    None unless these are the same, for some texts and for a few hard ones.
    """
    from headrace.imports.backend import compiled, layers_of

    layers = [one for one in layers_of(first) if hasattr(one, "suffix_indicator")]
    if len(layers) != 1:
        return None
    arguments = {
        "vocabulary": layers[0].get_vocabulary(),
        "unknown": layers[0].oov_token,
        "suffix": layers[0].suffix_indicator,
        "lowercase": layers[0].lowercase,
        "strip_accents": layers[0].strip_accents,
        "most": layers[0].sequence_length,
    }
    compute = compiled(first)
    nothing, word = (row[row != 0].tolist() for row in compute(_array("", "a")))
    own = WordPieces(**arguments)(["a"])[0].tolist()
    start = next((n for n in range(len(word)) if word[n : n + len(own)] == own), 0)
    arguments |= {"before": nothing[:start], "after": nothing[start:]}
    texts = np.concatenate([texts, _array(*_HARD, "a. " * arguments["most"])])
    expected, ids = compute(texts), WordPieces(**arguments)(texts)
    padding = expected.shape[1] - ids.shape[1]
    is_same = padding >= 0 and (np.pad(ids, ((0, 0), (0, padding))) == expected).all()
    return arguments if is_same else None


def _one_by_one(engine: Engine) -> Answering:
    return lambda items: np.concatenate([engine(one) for one in items[:, None]])


def _array(*texts: str) -> Payload:
    return np.array(texts, object)


def _first(error: Exception) -> str:
    """The first line of an error's text, which may be long."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].strip()[:300] if lines else ''}"


def _begin(header: Header) -> tuple[Answer, Header]:
    report = export(Order.model_validate(header))
    return lambda header, body: ({}, b""), report.model_dump(mode="json")


if __name__ == "__main__":
    answer_frames(_begin)
