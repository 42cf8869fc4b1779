"""A tree of encoded files, one sub-folder per class, perhaps under train/ and test/.

The tree may be a folder or an archive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.data.sources.encodings.files import in_utf_8
from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import (
    FileTree,
    ignored_files,
    is_medium,
    is_note,
    relative_name,
)
from headrace.errors import SourceError
from headrace.media import medium as medium_named
from headrace.media.chunks import (
    CHUNK_BYTES,
    Chunk,
    Reading,
    Source,
    SourceSplit,
    split_named,
)

if TYPE_CHECKING:
    from headrace.settings import Settings

ROWS_PER_CHUNK = 16_384
_Place = tuple[SourceSplit | None, str]


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file that is one item.

    Attributes:
        file: None where it is missing; the item is empty then.
    """

    split: SourceSplit | None
    label: str
    name: str
    file: File | None
    group: str | None = None
    is_unread: bool = False


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where in a file's name its split and its class are.

    Attributes:
        root: 1 where everything lies in one folder more.
        has_splits: whether the folders of classes lie in folders of splits.
    """

    root: int
    has_splits: bool

    def place(self, name: str) -> _Place | None:
        """The split and the class; None for a file outside of the classes."""
        path = name.split("/")[self.root :]
        if not self.has_splits:
            return (None, path[0]) if len(path) == 2 else None
        split = split_named(path[0]) if len(path) == 3 else None
        return (split, path[1]) if split else None

    def is_unlabelled_split(self, name: str) -> bool:
        """Whether a file lies in ``test/``, or ``test1/``, beside splits of classes."""
        path = name.split("/")[self.root :]
        split = split_named(path[0].rstrip("0123456789"))
        return self.has_splits and len(path) == 2 and split is not None


def read_folder(tree: FileTree, source: Source, settings: Settings) -> Iterator[Chunk]:
    """The files of class sub-folders, in the tree's order.

    Args:
        tree: a folder or an archive.
        source: is told of files at other depths. How it is read says whether files
            outside of class sub-folders are left out; where there need be no labels,
            all files but notes are taken.
        settings: their limit on a file is kept.

    Raises:
        SourceError: there are no class sub-folders, most files lie outside of them,
            or a file is too large.
    """
    reading = source.reading
    ignored: list[str] = []
    names = _unlabelled(tree, reading.medium)
    if reading.labelled:
        _refuse_most_astray(tree, reading.medium)
        names = _labelled(tree, ignored)
    chunks = file_chunks(
        (FileRow(*place, name, tree.files[name]) for place, name in names),
        settings,
        source,
    )
    first = next(chunks, None)
    if first is None:
        raise _nothing_found(tree, reading)
    yield first
    yield from chunks
    source.findings.extend(ignored_files(tree.where, ignored, reading.medium))


def has_classes(tree: FileTree, medium: str) -> bool:
    """Whether files of a medium lie in sub-folders of at least two classes."""
    layout = _layout_of(tree)
    classes = set()
    for name in tree.files:
        place = layout.place(name)
        if place is not None and is_medium(name, medium):
            classes.add(place[1])
        if len(classes) > 1:
            return True
    return False


def read_single(file: File, source: Source, settings: Settings) -> Iterator[Chunk]:
    """One file that is one item without a label.

    Raises:
        SourceError: it is too large.
    """
    name = relative_name(file.where.rpartition("/")[2], file.where)
    yield from file_chunks([FileRow(None, "", name, file)], settings, source)


def file_chunks(
    rows: Iterable[FileRow], settings: Settings, source: Source, not_whole: str = ""
) -> Iterator[Chunk]:
    """Files as chunks of one split, bounded by their bytes; texts are in UTF-8 then.

    Args:
        rows: the files.
        settings: their limit on a file is kept.
        source: says what encoding texts have.
        not_whole: of the labels; see `Chunk`.

    Raises:
        SourceError: a file is over ``max_file_bytes`` of the settings.
    """
    waiting: list[FileRow] = []
    size = 0
    for row in rows:
        of_file = row.file.size if row.file else 0
        if row.file and of_file > settings.max_file_bytes:
            raise SourceError(
                f"{row.file.where} has {of_file:,} bytes; one item has at most "
                f"{settings.max_file_bytes:,}.",
                "Take it out of the data, or raise HEADRACE_MAX_FILE_BYTES.",
            )
        is_full = len(waiting) == ROWS_PER_CHUNK or size + of_file > CHUNK_BYTES
        if waiting and (is_full or waiting[0].split != row.split):
            yield _chunk(waiting, source, not_whole)
            waiting, size = [], 0
        waiting.append(row)
        size += of_file
    if waiting:
        yield _chunk(waiting, source, not_whole)


def _chunk(rows: list[FileRow], source: Source, not_whole: str) -> Chunk:
    items = [row.file.read() if row.file else b"" for row in rows]
    if medium_named(source.reading.medium).IS_TEXT:
        items = in_utf_8(items, source)
    groups = [row.group for row in rows if row.group is not None]
    return Chunk(
        split=rows[0].split,
        items=items,
        labels=[row.label for row in rows],
        names=[row.name for row in rows],
        groups=groups if len(groups) == len(rows) else [],
        unread=[place for place, row in enumerate(rows) if row.is_unread],
        not_whole=not_whole,
    )


def _labelled(tree: FileTree, ignored: list[str]) -> Iterator[tuple[_Place, str]]:
    """The files of the classes, with their places; the others become ignored."""
    layout = _layout_of(tree)
    for name in tree.files:
        place = layout.place(name)
        if place is None:
            ignored.append(name)
        else:
            yield place, name


def _refuse_most_astray(tree: FileTree, medium: str) -> None:
    layout = _layout_of(tree)
    placed, astray = 0, []
    for name in tree.files:
        if layout.place(name) is not None:
            placed += 1
        elif layout.is_unlabelled_split(name):
            continue
        elif is_medium(name, medium) and not is_note(name, medium):
            astray.append(name)
    if not placed or len(astray) <= placed:
        return
    folders, example = "folders of classes", f"CLASS/{astray[0].rpartition('/')[2]}"
    if layout.has_splits:
        folders, example = f"{folders} within train/ or test/", f"train/{example}"
    raise SourceError(
        f"{tree.where} holds {placed:,} files in {folders}, and {len(astray):,} "
        f"elsewhere, such as {astray[0]}.",
        f"Put each of them into such a folder, as {example}, or take them out.",
    )


def _unlabelled(tree: FileTree, medium: str) -> Iterator[tuple[_Place, str]]:
    """All files but notes, in the tree's order; notes too where nothing else is."""
    layout = _layout_of(tree)
    only_notes = all(is_note(name, medium) for name in tree.files)
    for name in tree.files:
        if only_notes or not is_note(name, medium):
            yield layout.place(name) or (None, ""), name


def _layout_of(tree: FileTree) -> _Layout:
    first = next(iter(tree.files), "")
    top = first.partition("/")[0]
    # One folder around everything, if it is neither a class nor a split.
    is_wrapped = (
        not split_named(top)
        and max((name.count("/") for name in tree.files), default=0) > 1
        and all(name.partition("/")[0] == top for name in tree.files)
    )
    paths = (name.split("/")[is_wrapped:] for name in tree.files)
    has_splits = any(len(path) == 3 and split_named(path[0]) for path in paths)
    return _Layout(int(is_wrapped), has_splits)


def _nothing_found(tree: FileTree, reading: Reading) -> SourceError:
    links = "".join(f" {finding.message}" for finding in tree.findings)
    if not reading.labelled:
        action = "Give data with items."
        return SourceError(f"{tree.where} holds no files.{links}", action)
    medium = medium_named(reading.medium)
    what, end = medium.EXAMPLE
    of_table = "the texts" if medium.IS_TEXT else "the names of the files"
    depths = Counter(name.count("/") for name in tree.files)
    if not depths:
        seen = "holds no files"
    elif len(tree.files) == 1:
        seen = f"holds {next(iter(tree.files))} alone; if that is the data, give it"
    elif set(depths) == {0}:
        seen = f"holds {depths[0]:,} files but no class sub-folders"
    else:
        common, count = depths.most_common(1)[0]
        seen = f"holds no files directly in class sub-folders ({count:,} lie in "
        seen += f"{common} folders, such as {next(iter(tree.files))})"
    return SourceError(
        f"{tree.where} {seen}.{links}",
        f"Put each {what} into a folder named after its class, such as 7/00012.{end} "
        f"or train/7/00012.{end} and test/7/00013.{end}; or give a table that holds "
        f"{of_table} and the labels.",
    )
