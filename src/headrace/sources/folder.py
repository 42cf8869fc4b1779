"""A tree of encoded files, one sub-folder per class, perhaps under train/ and test/.

The tree may be a folder or an archive. ``val``, ``valid`` and ``validation`` are
read as train, from which the validation rows are always carved anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from headrace.errors import SourceError
from headrace.records import Finding
from headrace.sources.chunks import CHUNK_BYTES, Chunk, SourceSplit, split_named
from headrace.sources.files import File
from headrace.sources.trees import FileTree, ignored_files, is_note, relative_name

ROWS_PER_CHUNK = 16_384
FILE_LIMIT = 256 * 2**20
_Place = tuple[SourceSplit | None, str]
_Row = tuple[_Place, str, File]


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


def read_folder(
    tree: FileTree, findings: list[Finding], *, labelled: bool = True
) -> Iterator[Chunk]:
    """The files of class sub-folders, in the tree's order.

    Args:
        tree: a folder or an archive.
        findings: files at other depths are reported here.
        labelled: whether files outside of class sub-folders are left out; where not,
            all files but notes are taken.

    Raises:
        SourceError: there are no class sub-folders, or a file is over 256 MiB.
    """
    ignored: list[str] = []
    names = _labelled(tree, ignored) if labelled else _unlabelled(tree)
    chunks = _chunks((place, name, tree.files[name]) for place, name in names)
    first = next(chunks, None)
    if first is None:
        raise _no_classes(tree) if labelled else _no_files(tree)
    yield first
    yield from chunks
    findings.extend(ignored_files(tree.where, ignored))


def read_single(file: File) -> Iterator[Chunk]:
    """One file that is one item without a label.

    Raises:
        SourceError: it is over 256 MiB.
    """
    name = relative_name(file.where.rpartition("/")[2], file.where)
    yield from _chunks([((None, ""), name, file)])


def _chunks(rows: Iterable[_Row]) -> Iterator[Chunk]:
    waiting: list[_Row] = []
    size = 0
    for row in rows:
        (split, _), _, file = row
        if file.size > FILE_LIMIT:
            raise SourceError(
                f"{file.where} has {file.size:,} bytes; one item has at most "
                f"{FILE_LIMIT:,}.",
                "Take it out of the data.",
            )
        is_full = len(waiting) == ROWS_PER_CHUNK or size + file.size > CHUNK_BYTES
        if waiting and (is_full or waiting[0][0][0] != split):
            yield _chunk(waiting)
            waiting, size = [], 0
        waiting.append(row)
        size += file.size
    if waiting:
        yield _chunk(waiting)


def _chunk(rows: list[_Row]) -> Chunk:
    return Chunk(
        split=rows[0][0][0],
        items=[file.read() for *_, file in rows],
        labels=[label for (_, label), _, _ in rows],
        names=[name for _, name, _ in rows],
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


def _unlabelled(tree: FileTree) -> Iterator[tuple[_Place, str]]:
    """All files but notes, in the tree's order; notes too where nothing else is."""
    layout = _layout_of(tree)
    only_notes = all(map(is_note, tree.files))
    for name in tree.files:
        if only_notes or not is_note(name):
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


def _no_files(tree: FileTree) -> SourceError:
    links = "".join(f" {finding.message}" for finding in tree.findings)
    return SourceError(f"{tree.where} holds no files.{links}", "Give data with items.")


def _no_classes(tree: FileTree) -> SourceError:
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
    links = "".join(f" {finding.message}" for finding in tree.findings)
    return SourceError(
        f"{tree.where} {seen}.{links}",
        "Put each image into a folder named after its class, such as 7/00012.png or "
        "train/7/00012.png and test/7/00013.png.",
    )
