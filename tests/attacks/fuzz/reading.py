"""Reads one file as the product does: opened, and decoded to its last row."""

from __future__ import annotations

from pathlib import Path

from tests.attacks.fuzz.seeds import Seed

from headrace import media
from headrace.data.decoding import decode_chunk
from headrace.data.sources.opening import open_source
from headrace.errors import HeadraceError
from headrace.media.chunks import ITEM_BYTES, Chunk, Reading
from headrace.records import Form
from headrace.settings import Settings

_RATE_HZ = 8000
_FORMS = {
    "image": Form(),
    "audio": Form(sample_rate_hz=_RATE_HZ),
    "text": Form(mask=("email", "phone")),
}


def read(seed: Seed, data: bytes, folder: Path) -> str:
    """Read a mutant of a seed; what became of it.

    Raises:
        whatever is a fault: an error that no user is meant to see.
    """
    if seed.item:
        chunk = Chunk(None, [data], ["a"], ["item"])
        return _decoded(chunk, seed)
    path = folder / f"mutant{seed.suffix}"
    path.write_bytes(data)
    settings = Settings(project=folder)
    outcomes = []
    for labelled in (True, False):
        reading = Reading(medium=seed.medium, labelled=labelled)
        try:
            with open_source(str(path), settings, reading) as source:
                for chunk in source.chunks:
                    outcomes.append(_decoded(chunk, seed))
        except HeadraceError as error:
            if not error.message or not error.action:
                raise AssertionError(f"says too little: {error!r}") from error
            outcomes.append("refused")
    return " ".join(sorted(set(outcomes)))


def _decoded(chunk: Chunk, seed: Seed) -> str:
    outcomes = set()
    form = _FORMS[seed.medium].model_copy(update={"shape": seed.shape})
    module = media.medium(seed.medium)
    try:
        for part in decode_chunk(chunk, module, form, "mutant", ITEM_BYTES):
            outcomes |= {row.check for row in part.rejected.values()}
            outcomes |= (
                {"read"} if any(block.labels for block in part.blocks) else set()
            )
    except HeadraceError:
        return "refused"
    return " ".join(sorted(outcomes))
