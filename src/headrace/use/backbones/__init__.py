"""``headrace backbone``: pretrained backbones, tried and brought into the store."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.errors import NotFoundError, Refusal, UsageError
from headrace.pipeline import PipelineSpec
from headrace.records import Finding, Record
from headrace.state import backbones
from headrace.state.backbones import Backbone
from headrace.state.home import Home

if TYPE_CHECKING:
    from headrace.use.backbones.admission import Admitted

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}(/[a-z0-9][a-z0-9._-]{0,63}){0,3}", re.I)


class AddedBackbone(Record):
    """A backbone that was brought into the store.

    Attributes:
        name: by which pipelines name it.
        backbone: what is known of it.
        is_new: whether the store did not have it.
        licence_before: the other one that was known of it; None where it is the same.
        left_out: files of the source that were not taken.
        warnings: what may be wrong with it.
    """

    name: str
    backbone: Backbone
    is_new: bool
    licence_before: str | None
    left_out: tuple[str, ...]
    warnings: tuple[Finding, ...]


def add(name: str, source: str, home: Home, licence: str = "") -> AddedBackbone:
    """Bring a backbone into the store under a name.

    Args:
        name: by which pipelines will name it.
        source: a folder, ``kaggle://...`` or ``hf://...``.
        home: with the store.
        licence: an SPDX identifier; by default the one that the source names.

    Raises:
        UsageError: it is no backbone, an extra is missing, or the name is no name.
        Refusal: it holds what is not safe to read, or does not answer.
        DependencyError: a download failed.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for a backbone.",
            "Take letters, digits, dots and dashes, such as minilm.",
        )
    from headrace.use.backbones.admission import admit

    with _folder_of(source) as (folder, origin):
        return bring(name, admit(folder), home, origin, licence)


@contextlib.contextmanager
def _folder_of(source: str) -> Iterator[tuple[Path, str]]:
    """The folder of a source, downloaded where it is elsewhere, and its full name."""
    scheme, separator, _ = source.partition("://")
    if separator:
        from headrace.use.backbones.fetching import fetch

        with tempfile.TemporaryDirectory(prefix="headrace-") as place:
            yield fetch(source, scheme, Path(place))
        return
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise NotFoundError(
            f"{source} is no folder.", "Name a folder, kaggle://... or hf://..."
        )
    yield folder, str(folder.absolute())


def bring(
    name: str, admitted: Admitted, home: Home, source: str = "", licence: str = ""
) -> AddedBackbone:
    """Try what was checked, keep it, and give it a name.

    Args:
        name: by which pipelines will name it.
        admitted: what of a folder is the backbone.
        home: with the store.
        source: where it came from, by default the folder. What is known of it stays,
            unless that place is gone, or the name is this backbone's already.
        licence: by default the one that is known of it, else that its README names.

    Raises:
        UsageError, Refusal: as `add`.
    """
    with tempfile.TemporaryDirectory(prefix="headrace-") as place:
        paths = admitted.with_made(Path(place))
        files = backbones.files_of(paths)
        digest = backbones.digest_of(files)
        known = backbones.find(digest, home)
        source = source or (known.source if known else str(admitted.folder.absolute()))
        if known and _is_there(known.source):
            is_again = backbones.digest_named(name, home) == digest
            source = source if is_again else known.source
        licence = licence or (known.licence if known else "") or admitted.licence
        if known is None or backbones.damaged(known, home.store):
            backbone = Backbone(
                digest=digest,
                files=files,
                medium=admitted.medium,
                architecture=admitted.architecture,
                source=source,
                licence=licence,
            )
            backbone = _kept(paths, backbone, home)
        else:
            about = {"source": source, "licence": licence}
            backbone = known.model_copy(update=about)
            if backbone != known:
                backbones.describe(backbone, home)
    backbones.give_name(name, digest, home)
    return AddedBackbone(
        name=name,
        backbone=backbone,
        is_new=known is None,
        licence_before=known.licence if known and known.licence != licence else None,
        left_out=admitted.left_out,
        warnings=tuple(doubts(backbone)),
    )


def _is_there(source: str) -> bool:
    """Whether a backbone can still be brought from where it came."""
    return "://" in source or Path(source).is_dir()


def _kept(paths: Mapping[str, Path], backbone: Backbone, home: Home) -> Backbone:
    """A backbone whose files were copied into the store, and tried there."""
    from headrace.use.backbones.admission import admit
    from headrace.use.backbones.trial import try_out

    with home.store.work_folder(backbones.FOLDER) as work:
        folder = work / "folder"
        for name, path in paths.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)
        admit(folder)  # what is kept is what was checked
        copied = {name: folder / name for name in paths}
        if backbones.files_of(copied) != backbone.files:
            raise Refusal(
                f"{backbone.source} was changed while it was read.", "Bring it again."
            )
        try_out(folder, backbone.architecture)
        backbones.keep(backbone, folder, home)
    return backbone


def doubts(backbone: Backbone) -> Iterator[Finding]:
    """What may be wrong with a backbone."""
    if not backbone.licence:
        yield Finding(
            check="licence",
            message=f"the backbone {backbone.digest[:12]} states no licence; give it "
            "with `headrace backbone add ... --licence` if you know it",
        )


def doubts_of(spec: PipelineSpec, home: Home) -> list[Finding]:
    """What may be wrong with the backbone of a pinned spec: nothing where it has none.

    Raises:
        DependencyError: the ledger or the store does not answer.
    """
    digest = spec.model.backbone
    backbone = backbones.find(digest, home) if digest else None
    return [*doubts(backbone)] if backbone else []


def listed(home: Home) -> dict[str, Backbone | None]:
    """What is known of each named backbone, by name; None where its record is gone."""
    named = backbones.names(home)
    return {name: backbones.find(digest, home) for name, digest in named.items()}
