"""Trees of files with one sub-folder per class, perhaps below train/ and test/."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, zip_longest
from typing import NamedTuple

from headrace.data.sources.encodings.lines import in_utf_8
from headrace.data.sources.places.files import File, in_memory
from headrace.data.sources.places.trees import (
    FileTree,
    ignored_files,
    is_item,
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
from headrace.settings import Settings

RANK = 90  # the last, since it reads any folder
ROWS_PER_CHUNK = 4096
_Place = tuple[SourceSplit | None, str]


class FileRow(NamedTuple):
    """A file that is one item.

    Attributes:
        name: for messages.
        path: of the file; None if it is missing, which makes an empty item.
        is_unread: whether the row of a table that names it is unreadable.
        is_taken: whether the condition takes that row.
    """

    split: SourceSplit | None
    label: str
    name: str
    path: str | None
    group: str | None = None
    is_unread: bool = False
    is_taken: bool = True


class _Layout(NamedTuple):
    """Where a file's path has its split and its class.

    Attributes:
        root: 1 if one more folder contains everything, else 0.
        has_splits: whether the folders of classes lie in folders of splits.
    """

    root: int
    has_splits: bool

    def place(self, name: str) -> _Place | None:
        """The split and the class of a file; None outside of folders of classes."""
        path = name.split("/")[self.root :]
        if not self.has_splits:
            return (None, path[0]) if len(path) == 2 else None
        split = split_named(path[0]) if len(path) == 3 else None
        return (split, path[1]) if split else None

    def is_unlabelled_split(self, name: str) -> bool:
        """Whether a file lies in ``test/`` or ``test1/``, without a class."""
        path = name.split("/")[self.root :]
        split = split_named(path[0].rstrip("0123456789"))
        return self.has_splits and len(path) == 2 and split is not None


def read(
    data: File | FileTree, head: bytes, source: Source, settings: Settings
) -> Iterator[Chunk] | None:
    """The files of the folders, or one file with the medium's first bytes."""
    if isinstance(data, FileTree):
        return read_folder(data, source, settings)
    module = medium_named(source.reading.medium)
    if not head.startswith(module.MAGICS):
        return None
    if source.reading.labelled:
        raise SourceError(
            f"{data.where} is a single {module.EXAMPLE[0]}.",
            "Give a folder with one sub-folder per class.",
        )
    return read_single(data, source, settings)


def read_folder(tree: FileTree, source: Source, settings: Settings) -> Iterator[Chunk]:
    """The files of class sub-folders, in the tree's order unless they are in turn.

    Files outside of class sub-folders become a finding of the source. Where labels are
    not needed, all files but notes are read.

    Raises:
        SourceError: there are no class sub-folders, most files lie outside of them, or
            a file is too large.
    """
    reading = source.reading
    ignored: list[str] = []
    names = _unlabelled(tree, reading.medium)
    if reading.in_turn:
        names = _in_turn(names)
    if reading.labelled:
        _check_places(tree, reading.medium)
        names = _labelled(tree, ignored)
    rows = (FileRow(*place, name, name) for place, name in names)
    chunks = file_chunks(rows, tree.files.__getitem__, source, settings)
    first = next(chunks, None)
    if first is None:
        raise _no_items(tree, reading)
    yield first
    yield from chunks
    source.findings.extend(ignored_files(tree.where, ignored, reading.medium))


def has_classes(tree: FileTree, medium: str) -> bool:
    """Whether files of a medium lie in sub-folders of at least two classes."""
    placed = _labelled(tree, [])
    return len({label for (_, label), name in placed if is_medium(name, medium)}) > 1


def read_single(file: File, source: Source, settings: Settings) -> Iterator[Chunk]:
    """One file that is one item without a label.

    Raises:
        SourceError: it is too large.
    """
    source.kind = "file"
    name = relative_name(file.name, file.where)
    row = FileRow(None, "", name, file.where)
    return file_chunks([row], lambda path: file, source, settings)


def file_chunks(
    rows: Iterable[FileRow],
    find: Callable[[str], File],
    source: Source,
    settings: Settings,
    not_whole: str = "",
) -> Iterator[Chunk]:
    """Files as chunks of one split and of bounded size; texts become UTF-8.

    Args:
        find: finds a file by its path.

    Raises:
        SourceError: a file is over ``max_file_bytes`` of the settings.
    """
    batch: list[tuple[FileRow, File]] = []
    size = 0
    rows = list(rows)
    every = (find(row.path) for row in rows if row.path)
    for row in rows:
        file = find(row.path) if row.path else in_memory("", b"")
        if file.size > settings.max_file_bytes:
            raise SourceError(
                f"{file.where} has {file.size:,} bytes; one item has at most "
                f"{settings.max_file_bytes:,}.",
                "Take it out of the data, or raise HEADRACE_MAX_FILE_BYTES.",
            )
        is_full = len(batch) == ROWS_PER_CHUNK or size + file.size > CHUNK_BYTES
        if batch and (is_full or batch[0][0].split != row.split):
            yield _chunk(batch, source, not_whole, every)
            batch, size = [], 0
        batch.append((row, file))
        size += file.size
    if batch:
        yield _chunk(batch, source, not_whole, every)


def _chunk(
    batch: list[tuple[FileRow, File]],
    source: Source,
    not_whole: str,
    every: Iterable[File],
) -> Chunk:
    rows = [row for row, _ in batch]
    items = [file.read() for _, file in batch]
    if medium_named(source.reading.medium).IS_TEXT:
        items = in_utf_8(items, source, every)
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
    """The places and names of files of classes; all others are added to ``ignored``."""
    layout = _layout_of(tree)
    for name in tree.files:
        if place := layout.place(name):
            yield place, name
        else:
            ignored.append(name)


def _check_places(tree: FileTree, medium: str) -> None:
    layout = _layout_of(tree)
    placed, elsewhere = 0, []
    for name in tree.files:
        if layout.place(name):
            placed += 1
        elif is_item(name, medium) and not layout.is_unlabelled_split(name):
            elsewhere.append(name)
    if not placed or len(elsewhere) <= placed:
        return
    folders, example = "folders of classes", f"CLASS/{elsewhere[0].rpartition('/')[2]}"
    if layout.has_splits:
        folders, example = f"{folders} within train/ or test/", f"train/{example}"
    raise SourceError(
        f"{tree.where} holds {placed:,} files in {folders}, and {len(elsewhere):,} "
        f"elsewhere, such as {elsewhere[0]}.",
        f"Put each of them into such a folder, as {example}, or take them out.",
    )


def _unlabelled(tree: FileTree, medium: str) -> Iterator[tuple[_Place, str]]:
    """All files but notes, in the tree's order; notes too if there is nothing else."""
    layout = _layout_of(tree)
    only_notes = all(is_note(name, medium) for name in tree.files)
    for name in tree.files:
        if only_notes or not is_note(name, medium):
            yield layout.place(name) or (None, ""), name


def _in_turn(names: Iterable[tuple[_Place, str]]) -> Iterator[tuple[_Place, str]]:
    """One file of each folder, then the next one of each, and so on."""
    folders: dict[str, list[tuple[_Place, str]]] = {}
    for place, name in names:
        folders.setdefault(name.rpartition("/")[0], []).append((place, name))
    return filter(None, chain.from_iterable(zip_longest(*folders.values())))


def _layout_of(tree: FileTree) -> _Layout:
    top = next(iter(tree.files), "").partition("/")[0]
    # One folder around everything, if it is neither a class nor a split.
    is_wrapped = (
        not split_named(top)
        and max((name.count("/") for name in tree.files), default=0) > 1
        and all(name.partition("/")[0] == top for name in tree.files)
    )
    paths = (name.split("/")[is_wrapped:] for name in tree.files)
    has_splits = any(len(path) == 3 and split_named(path[0]) for path in paths)
    return _Layout(int(is_wrapped), has_splits)


def _no_items(tree: FileTree, reading: Reading) -> SourceError:
    links = "".join(f" {finding.message}" for finding in tree.findings)
    if not reading.labelled:
        return SourceError(
            f"{tree.where} holds no files.{links}", "Give data with items."
        )
    medium = medium_named(reading.medium)
    item, suffix = medium.EXAMPLE
    of_table = "the texts" if medium.IS_TEXT else "the names of the files"
    depths = Counter(name.count("/") for name in tree.files)
    if not depths:
        problem = "holds no files"
    elif len(tree.files) == 1:
        problem = f"holds {next(iter(tree.files))} alone; if that is the data, give it"
    elif set(depths) == {0}:
        problem = f"holds {depths[0]:,} files but no class sub-folders"
    else:
        common, count = depths.most_common(1)[0]
        problem = f"holds no files directly in class sub-folders ({count:,} lie in "
        problem += f"{common} folders, such as {next(iter(tree.files))})"
    return SourceError(
        f"{tree.where} {problem}.{links}",
        f"Put each {item} into a folder named after its class, such as "
        f"7/00012.{suffix} or train/7/00012.{suffix} and test/7/00013.{suffix}; or "
        f"give a table that holds {of_table} and the labels.",
    )
