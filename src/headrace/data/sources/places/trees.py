"""Trees of files with safe relative names, and what the names of files say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.data.sources.places.files import File
from headrace.errors import SourceError
from headrace.media import medium as medium_named
from headrace.records import Finding

# Of equal tables in several formats, the first of these is read.
SUFFIXES = (".parquet", ".jsonl", ".ndjson", ".csv", ".tsv", ".tab", ".json")
_TABLE = re.compile(
    rf"({'|'.join(map(re.escape, SUFFIXES))})(\.gz|\.bz2|\.xz)*\Z", re.ASCII | re.I
)
_NAME_LIMIT = 1024
_NOT_USED = ("file was not used", "files were not used")
_NOTE = re.compile(
    r"\.(md|rst|txt)$"
    r"|(^|/)(licen[cs]e|notice|readme|source)([^./]*|[^/]*\.(html?|pdf))$"
    r"|^[^/]*\.(csv|json)$",
    re.IGNORECASE,
)
# Among texts, only files with these names are notes.
_TEXT_NOTE = re.compile(
    r"(^|/)(licen[cs]e|notice|readme|source|upstream_readme)([^./]*|[^/]*\.\w+)$",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"(?:[\w-][\w. -]*/)*[\w-][\w. -]*", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DRIVE = re.compile(r"[A-Za-z]:")
_NOT_UTF8 = re.compile(r"[\ud800-\udfff]")
_JUNK = {"__macosx", "thumbs.db", "desktop.ini"}


class FolderFiles(Mapping[str, File]):
    """Files by name, each created on access, since there may be millions.

    Args:
        make: creates a file from its name and its entry in `facts`.

    Attributes:
        facts: what is needed to create each file, by name.
    """

    def __init__(self, make: Callable[[str, Any], File]) -> None:
        self._make = make
        self.facts: dict[str, Any] = {}

    def __getitem__(self, name: str) -> File:
        return self._make(name, self.facts[name])

    def __contains__(self, name: object) -> bool:
        return name in self.facts

    def __iter__(self) -> Iterator[str]:
        return iter(self.facts)

    def __len__(self) -> int:
        return len(self.facts)


@dataclass(frozen=True, slots=True)
class FileTree:
    """Files by safe relative name, such as ``train/7/00012.png``."""

    where: str
    files: Mapping[str, File]
    findings: list[Finding] = field(default_factory=list)


def relative_name(name: str, where: str) -> str:
    """The normalised name of a member.

    Raises:
        SourceError: it is absolute, leaves the tree, or has deceptive characters.
    """
    if len(name) <= _NAME_LIMIT and _PLAIN.fullmatch(name):
        return name  # as most names, in a third of the time
    reason = ""
    if name.startswith("/"):
        reason = "an absolute path"
    elif _DRIVE.match(name):
        reason = "a path with a drive letter"
    elif ".." in name.split("/"):
        reason = "a path that leaves its folder"
    elif "\\" in name:
        reason = "a backslash in its name"
    elif _CONTROL.search(name):
        reason = "a control character in its name"
    elif _NOT_UTF8.search(name):
        reason = "a name that is not UTF-8"
    elif len(name) > _NAME_LIMIT:
        reason = f"a name of {len(name):,} characters"
    if reason:
        shown = name if len(name) < 200 else f"{name[:200]}..."
        raise SourceError(
            f"{where} holds {shown!a}: {reason}.",
            "Rename it, or make the archive again from plain files.",
        )
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def is_junk(name: str) -> bool:
    """Whether a file is a by-product of a system: hidden, __MACOSX, Thumbs.db."""
    parts = name.lower().split("/")
    return any(part.startswith(".") or part in _JUNK for part in parts)


def is_note(name: str, medium: str = "") -> bool:
    """Whether a file is about the data: a README, a licence, text, a table at the top.

    Args:
        name: of the file.
        medium: of the data; among texts, fewer files are notes.
    """
    of_texts = medium != "" and medium_named(medium).IS_TEXT
    return (_TEXT_NOTE if of_texts else _NOTE).search(name) is not None


def is_medium(name: str, medium: str) -> bool:
    """Whether a file has a suffix of a medium."""
    return name.lower().endswith(medium_named(medium).SUFFIXES)


def is_item(name: str, medium: str) -> bool:
    """Whether a file has a suffix of a medium, and is not about the data."""
    return is_medium(name, medium) and not is_note(name, medium)


def ignored_files(where: str, names: Sequence[str], medium: str = "") -> list[Finding]:
    """A finding for unused files, except notes such as a README."""
    unused = [name for name in names if not is_note(name, medium)]
    return name_findings("ignored_files", where, _NOT_USED, unused)


def name_findings(
    check: str, where: str, what: tuple[str, str], names: Sequence[str]
) -> list[Finding]:
    """A finding on some names in ``where``; empty for no names.

    Args:
        what: is found, in words, of one name and of several.
    """
    if not names:
        return []
    message = f"{where}: {len(names):,} {what[len(names) > 1]}, such as {names[0]}."
    return [Finding(check=check, count=len(names), message=message)]


def table_suffix(name: str) -> str:
    """The suffix of a table's format in a name; empty for other names."""
    match = _TABLE.search(name)
    return match[1].lower() if match else ""


def folder_of(uri: str, medium: str) -> str:
    """The folder of a table whose rows name files beside it; empty for other URIs.

    Texts are in their tables, and Parquet may hold the items of any medium.
    """
    suffix = table_suffix(uri)
    if not suffix or suffix == SUFFIXES[0] or "::" in uri or not medium:
        return ""
    if medium_named(medium).IS_TEXT:
        return ""
    place, slash, _ = uri.rpartition("/")
    return place or slash or "."


def stem_of(name: str) -> str:
    """The name of a table without its format's suffixes."""
    return _TABLE.sub("", name)
