"""Files that are one text each, brought to UTF-8 by what all of them together are."""

from __future__ import annotations

import codecs
import functools
import io
from collections.abc import Sequence

from headrace.data.sources.encodings.detection import find_encoding
from headrace.data.sources.places.files import File
from headrace.errors import SourceError
from headrace.media.chunks import Source

_DECODED_LATER = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def in_utf_8(texts: Sequence[bytes], source: Source) -> list[bytes]:
    """Texts in UTF-8; what is not of the encoding stays as it is, and is a Problem.

    Those that are not UTF-8 are judged together, as the rows of one table are: a single
    short text proves too little. Decoding judges what is left by itself.

    Args:
        texts: the bytes of each.
        source: may declare the encoding of all of them; is told of another.
    """
    declared = source.reading.encoding
    if declared:
        return [_recoded(text, declared) for text in texts]
    others = [text for text in texts if not _is_for_decoding(text)]
    data = b"\n".join(others)
    if not data:
        return list(texts)
    try:
        encoding = find_encoding(
            File("", len(data), functools.partial(io.BytesIO, data))
        )
    except SourceError:
        return list(texts)
    source.notes.append(
        f"{source.uri}: {len(others):,} files were read as {encoding.name}."
    )
    return [t if _is_for_decoding(t) else _recoded(t, encoding.codec) for t in texts]


def _is_for_decoding(text: bytes) -> bool:
    """Whether it is UTF-8, or tells what else it is by its first bytes."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return text.startswith(_DECODED_LATER) or b"\0" in text
    return True


def _recoded(text: bytes, codec: str) -> bytes:
    return text.decode(codec, "surrogateescape").encode("utf-8", "surrogateescape")
