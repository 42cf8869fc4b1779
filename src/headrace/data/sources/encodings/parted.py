"""Documents of long texts, which a separator parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from headrace.display.signs import number_of
from headrace.errors import SourceError
from headrace.media.chunks import Chunk, Source, rows_at_once
from headrace.media.text.files import as_utf_8


def parted(chunks: Iterator[Chunk], separator: str, source: Source) -> Iterator[Chunk]:
    """The documents of each text, named by their place: ``plays.txt document 18``.

    Documents without a visible character are left out.

    Args:
        chunks: of whole texts in UTF-8.
        separator: the text between two documents.
        source: gets a note after the last chunk.

    Raises:
        SourceError: no text has the separator.
    """
    mark, texts, documents = _with_line_feeds(separator.encode()), 0, 0
    is_found = False
    for chunk in chunks:
        texts += len(chunk.items)
        for place in range(len(chunk.items)):
            one = chunk.take([place])
            pieces = _with_line_feeds(as_utf_8(one.items[0])).split(mark)
            is_found = is_found or len(pieces) > 1
            parts = _documents(one, pieces)
            documents += len(parts.items)
            step = rows_at_once(len(one.items[0]) / max(len(parts.items), 1))
            for start in range(0, len(parts.items), step):
                yield parts.take(range(start, min(start + step, len(parts.items))))
    if not is_found:
        raise SourceError(
            f"No text of {source.uri} has the separator {separator!r}.",
            "Mend data.separator, or leave it out.",
        )
    source.notes.append(
        f"{number_of(texts, 'texts')} parted at {separator!r} into "
        f"{number_of(documents, 'documents')}."
    )


def _with_line_feeds(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _documents(one: Chunk, pieces: list[bytes]) -> Chunk:
    """The documents of a chunk of one text, from its pieces between the separators."""
    parts = [
        (number, part)
        for number, part in enumerate(pieces)
        if part.strip(b" \t\n\x0b\x0c")
    ]
    count = len(parts)
    return replace(
        one,
        items=[part for _, part in parts],
        labels=one.labels * count,
        names=[f"{one.names[0]} document {number + 1}" for number, _ in parts],
        groups=one.groups * count,
        unread=range(count) if one.unread else (),
    )
