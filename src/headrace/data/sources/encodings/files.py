"""Brings files of one text each to UTF-8, by an encoding that they share."""

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
    """Texts in UTF-8; bytes that are invalid in the encoding stay as they are.

    The encoding of all texts that are not UTF-8 is detected together, since one short
    text is too little evidence. Where that fails, texts are left to their decoder.

    Args:
        texts: the bytes of each.
        source: may declare the encoding; a detected one is added to its notes.
    """
    declared = source.reading.encoding
    if declared:
        return [_recoded(text, declared) for text in texts]
    others = [text for text in texts if not _is_unicode(text)]
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
    return [t if _is_unicode(t) else _recoded(t, encoding.codec) for t in texts]


def _is_unicode(text: bytes) -> bool:
    """Whether a text is UTF-8, or probably UTF-16, which the decoder handles."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return text.startswith(_DECODED_LATER) or b"\0" in text
    return True


def _recoded(text: bytes, codec: str) -> bytes:
    return text.decode(codec, "surrogateescape").encode("utf-8", "surrogateescape")
