"""Opens a table as Parquet, JSON or delimited text, by its content."""

from __future__ import annotations

from headrace.data.sources.encodings.detection import find_encoding
from headrace.data.sources.places.archive import unpacked
from headrace.data.sources.places.files import File
from headrace.data.sources.tables.delimited import open_delimited
from headrace.data.sources.tables.jsonl import open_json
from headrace.data.sources.tables.parquet import MAGIC, ParquetTable
from headrace.data.sources.tables.tabular import Table
from headrace.errors import SourceError
from headrace.media.chunks import Reading
from headrace.settings import Settings

HEAD = 512
AS_CSV = "Save the sheet as CSV (UTF-8)."
AS_TEXT = "Give its text, as CSV or .txt files."
_WRONG: tuple[tuple[tuple[bytes, ...], str, str], ...] = (
    (
        (
            *(b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"),
            *(b"(lp", b"(dp", b"ccopy_reg\n", b"c__builtin__\n", b"cnumpy"),
        ),
        "is a Python pickle, which is never loaded",
        "Save a table as CSV or Parquet, and arrays with numpy.savez(PATH, "
        "x_train=..., y_train=...).",
    ),
    ((b"\xd0\xcf\x11\xe0",), "is an Excel or Word file", AS_CSV),
    (
        (b"version https://git-lfs.github.com/",),
        "is a pointer of Git LFS, and the data itself is elsewhere",
        "Fetch it with `git lfs pull`.",
    ),
    ((b"%PDF",), "is a PDF", AS_TEXT),
    ((b"{\\rtf",), "is a document in RTF", AS_TEXT),
    ((b"SQLite format 3",), "is an SQLite database", "Save the table as CSV."),
    ((b"\x89HDF",), "is an HDF5 file", "Save the data as npz, CSV or Parquet."),
    ((b"ARROW1", b"FEA1"), "is an Arrow file", "Save the table as Parquet."),
    (
        (b"7z\xbc\xaf", b"Rar!", b"\x28\xb5\x2f\xfd"),
        "is an archive by 7-Zip, RAR or Zstandard",
        "Pack it as zip or tar.gz, or give the folder.",
    ),
)
_HTML = (b"<!doctype html", b"<html", b"<?xml")


def open_table(file: File, reading: Reading, settings: Settings) -> Table | None:
    """A file as a table; None where it is text and no table.

    Args:
        file: perhaps compressed by gzip, bzip2 or xz.
        reading: its encoding, and columns whose names may show that there is a header.

    Raises:
        SourceError: it is no text, damaged, or begins as a table and is none.
    """
    head = file.head(HEAD)
    if not head:
        raise SourceError(f"{file.where} is empty: 0 bytes.", "Give data with rows.")
    refuse_others(head, file.where)
    if head.startswith(MAGIC):
        return ParquetTable(file, settings)
    plain = unpacked(file, settings)
    refuse_others(plain.head(HEAD), file.where)
    encoding = find_encoding(plain, reading.encoding, reading.learned_encoding)
    table = open_json(plain, encoding)
    return table or open_delimited(plain, encoding, reading)


def refuse_others(head: bytes, where: str) -> None:
    """Refuse known formats that hold no data to learn from.

    Raises:
        SourceError: the first bytes are those of a pickle, a PDF or the like.
    """
    for magics, what, action in _WRONG:
        if head.startswith(magics):
            raise SourceError(f"{where} {what}.", action)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_HTML):
        raise SourceError(
            f"{where} is a web page or XML, perhaps a server's error.",
            "Open it to see what it says, and give the data itself.",
        )
