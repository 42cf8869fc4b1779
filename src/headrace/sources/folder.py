"""A tree of encoded files, one sub-folder per class, perhaps under train/ and test/.

The tree may be a folder or an archive. ``val``, ``valid`` and ``validation`` are
read as train, from which the validation rows are always carved anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from headrace.errors import SourceError
from headrace.records import Finding
from headrace.sources.chunks import CHUNK_BYTES, Chunk, SourceSplit, split_named
from headrace.sources.files import File, FileTree, ignored_files, is_note, relative_name

ROWS_PER_CHUNK = 16_384
FILE_LIMIT = 256 * 2**20
_Row = tuple[SourceSplit | None, str, str, File]


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
    rows, ignored = _rows_of(tree)
    if not labelled:
        rows, ignored = _with_unlabelled(rows, tree), []
    if not rows:
        raise _no_classes(tree) if labelled else _no_files(tree)
    findings.extend(ignored_files(tree.where, ignored))
    yield from _chunks(rows)


def read_single(file: File) -> Iterator[Chunk]:
    """One file that is one item without a label.

    Raises:
        SourceError: it is over 256 MiB.
    """
    name = relative_name(file.where.rpartition("/")[2], file.where)
    yield from _chunks([(None, "", name, file)])


def _chunks(rows: list[_Row]) -> Iterator[Chunk]:
    waiting: list[_Row] = []
    size = 0
    for row in rows:
        file = row[3]
        if file.size > FILE_LIMIT:
            raise SourceError(
                f"{file.where} has {file.size:,} bytes; one item has at most "
                f"{FILE_LIMIT:,}.",
                "Take it out of the data.",
            )
        is_full = len(waiting) == ROWS_PER_CHUNK or size + file.size > CHUNK_BYTES
        if waiting and (is_full or waiting[0][0] != row[0]):
            yield _chunk(waiting)
            waiting, size = [], 0
        waiting.append(row)
        size += file.size
    yield _chunk(waiting)


def _chunk(rows: list[_Row]) -> Chunk:
    return Chunk(
        split=rows[0][0],
        items=[file.read() for *_, file in rows],
        labels=[label for _, label, _, _ in rows],
        names=[name for _, _, name, _ in rows],
    )


def _rows_of(tree: FileTree) -> tuple[list[_Row], list[str]]:
    parts = {name: tuple(name.split("/")) for name in tree.files}
    root = _wrapping_folder(list(parts.values()))
    parts = {name: path[root:] for name, path in parts.items()}
    split_folders = {
        path[0] for path in parts.values() if len(path) == 3 and split_named(path[0])
    }
    rows: list[_Row] = []
    ignored: list[str] = []
    for name, path in parts.items():
        if split_folders and len(path) == 3 and path[0] in split_folders:
            rows.append((split_named(path[0]), path[1], name, tree.files[name]))
        elif not split_folders and len(path) == 2:
            rows.append((None, path[0], name, tree.files[name]))
        else:
            ignored.append(name)
    return rows, ignored


def _with_unlabelled(rows: list[_Row], tree: FileTree) -> list[_Row]:
    """All files but notes, in the tree's order; notes too where nothing else is."""
    labelled = {row[2]: row for row in rows}
    names = [name for name in tree.files if not is_note(name)] or list(tree.files)
    return [labelled.get(name, (None, "", name, tree.files[name])) for name in names]


def _no_files(tree: FileTree) -> SourceError:
    links = "".join(f" {finding.message}" for finding in tree.findings)
    return SourceError(f"{tree.where} holds no files.{links}", "Give data with items.")


def _wrapping_folder(paths: list[tuple[str, ...]]) -> int:
    """1 where everything lies in one folder that is neither a class nor a split."""
    tops = {path[0] for path in paths}
    deepest = max((len(path) for path in paths), default=0)
    return int(len(tops) == 1 and deepest > 2 and not split_named(*tops))


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
