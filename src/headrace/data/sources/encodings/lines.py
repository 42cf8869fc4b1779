"""The lines of a file of text, files of one text each, and documents within texts."""

from __future__ import annotations

import codecs
import contextlib
import io
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from headrace.data.sources.encodings.detection import Encoding, find_encoding
from headrace.data.sources.places.files import File, in_memory
from headrace.display.signs import number_of
from headrace.errors import SourceError
from headrace.media.chunks import Chunk, Source, rows_at_once
from headrace.media.text.files import as_utf_8, is_nearly_utf_8

LINE_LIMIT = 2**24
_BLOCK = 2**20
_MARK = "\ufeff"
_EVIDENCE = 2**22  # bytes of texts that are not Unicode
_DECODED_LATER = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@contextlib.contextmanager
def open_text(
    file: File, encoding: Encoding, newline: str = "\n"
) -> Iterator[io.TextIOWrapper]:
    """Open a file as text, with line ends as they are.

    Args:
        file: unpacked, if it was compressed.
        newline: ends a line; if empty, a carriage return does too.

    Raises:
        SourceError: the file is no longer in that encoding.
    """
    with file.open() as stream:
        text = io.TextIOWrapper(
            stream, encoding.codec, encoding.errors, newline=newline
        )
        try:
            with _as_before(file, encoding):
                yield text
        finally:
            with contextlib.suppress(ValueError):
                text.detach()


@contextlib.contextmanager
def _as_before(file: File, encoding: Encoding) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{file.where} is not {encoding.name} any more: {error.reason}.",
            "Do not change the data while it is read; run it again.",
        ) from None


def decoded(file: File, encoding: Encoding) -> Iterator[str]:
    """The text of a file, about a megabyte at a time.

    Raises:
        SourceError: the file is no longer in that encoding.
    """
    decoder = codecs.getincrementaldecoder(encoding.codec)(encoding.errors)
    with file.open() as stream, _as_before(file, encoding):
        while block := stream.read(_BLOCK):
            yield decoder.decode(block)
        yield decoder.decode(b"", True)


class Lines:
    """The lines of a text, with their ends.

    Marks of byte order at the beginning of a line are left out, which joined files
    have.

    Args:
        texts: the text in parts.
        where: it is, for messages.
        end: of a line: a line feed, or a carriage return.
        is_any_end: whether the other one ends lines too.

    Attributes:
        size: the characters that were read so far.
    """

    def __init__(
        self,
        texts: Iterable[str],
        where: str,
        end: str = "\n",
        *,
        is_any_end: bool = False,
    ) -> None:
        self.size = 0
        self._texts, self._where, self._end = texts, where, end
        self._newline = "" if is_any_end else end

    def __iter__(self) -> Iterator[str]:
        """The lines.

        Raises:
            SourceError: a line is over 16 Mi characters.
        """
        return itertools.chain.from_iterable(self._parts())

    def _parts(self) -> Iterator[io.StringIO]:
        rest, number, end = "", 1, self._end
        for text in self._texts:
            head, mark, rest = (rest + text).rpartition(end)
            number += head.count(end) + len(mark)
            if len(rest) > LINE_LIMIT:
                raise SourceError(
                    f"{self._where}, line {number:,}, has over {LINE_LIMIT:,} "
                    "characters.",
                    "Give a table with one row a line.",
                )
            yield self._part(head + mark)
        yield self._part(rest)

    def _part(self, lines: str) -> io.StringIO:
        self.size += len(lines)
        if _MARK in lines:
            lines = lines.replace(self._end + _MARK, self._end).removeprefix(_MARK)
        return io.StringIO(lines, self._newline)


def in_utf_8(
    texts: Sequence[bytes], source: Source, every: Iterable[File]
) -> list[bytes]:
    """Texts in UTF-8; bytes that are invalid in the encoding stay as they are.

    The encoding of all that are not UTF-8 is found once for a source, since one short
    text is too little evidence. Where that fails, texts are left to their decoder.

    Args:
        texts: the bytes of each.
        source: gets the encoding, and a note on it.
        every: the files of the source, of which some are read.
    """
    if declared := source.reading.encoding:
        source.encoding = encoding_to_keep(declared)
        return [_recoded(text, declared) for text in texts]
    if source.encoding is None and not all(map(_is_unicode, texts)):
        source.encoding = _encoding_of(every, source)
    return [in_utf_8_by(text, source.encoding or "") for text in texts]


def in_utf_8_by(text: bytes, codec: str) -> bytes:
    """A text that is not Unicode, in UTF-8; as it is, where the codec does not fit.

    Args:
        codec: Python's name of the encoding; empty where none is known.
    """
    if not codec or _is_unicode(text) or is_nearly_utf_8(text):
        return text
    return _recoded(text, codec)


def encoding_to_keep(codec: str) -> str:
    """An encoding as a version remembers it; empty for Unicode, which tells itself."""
    return "" if codecs.lookup(codec).name.startswith(("utf", "ascii")) else codec


def _encoding_of(files: Iterable[File], source: Source) -> str:
    """The encoding of texts that are not Unicode; empty where it is uncertain."""
    evidence = bytearray()
    for file in files:
        text = file.read()
        if not _is_unicode(text):
            evidence += text + b"\n"
        if len(evidence) > _EVIDENCE:
            break
    try:
        found = find_encoding(
            in_memory("", bytes(evidence)), learned=source.reading.learned_encoding
        )
    except SourceError:
        return ""
    source.notes.append(
        f"{source.uri}: files that are not Unicode were read as {found.name}."
    )
    return encoding_to_keep(found.codec)


def _is_unicode(text: bytes) -> bool:
    """Whether a text is UTF-8, or probably UTF-16, which the decoder handles."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return text.startswith(_DECODED_LATER) or b"\0" in text
    return True


def _recoded(text: bytes, codec: str) -> bytes:
    try:
        decoded = text.decode(codec, "surrogateescape")
    except UnicodeDecodeError:  # such as half a character of UTF-16
        return text  # its decoder says what is wrong with it
    return decoded.encode("utf-8", "surrogateescape")


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
