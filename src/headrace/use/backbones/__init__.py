"""``headrace backbone``: pretrained backbones, tried and brought into the store."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from headrace.errors import NotFoundError, UsageError
from headrace.pipeline import PipelineSpec
from headrace.records import Finding, Record
from headrace.state import backbones
from headrace.state.backbones import Backbone
from headrace.state.home import Home

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
        licence: an SPDX identifier; by default the one that is known of it, else that
            its README names.

    Raises:
        UsageError: it is no backbone, an extra is missing, or the name is no name.
        Refusal: it may run code when it is read, is damaged, or does not answer.
        DependencyError: a download failed.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for a backbone.",
            "Take letters, digits, dots and dashes, such as minilm.",
        )
    from headrace.use.backbones.admission import admit, try_out

    work_folder = home.store.work_folder(backbones.FOLDER)
    with _folder_of(source) as (folder, origin), work_folder as work:
        admitted, place = admit(folder), work / "folder"
        files = backbones.files_of(admitted.copy(place))
        digest = backbones.digest_of(files)
        known = backbones.find(digest, home)
        backbone = Backbone(
            digest=digest,
            files=files,
            medium=admitted.medium,
            architecture=admitted.architecture,
            source=origin,
            licence=licence or (known.licence if known else "") or admitted.licence,
        )
        if known is None or backbones.damaged(known, home.store):
            try_out(place, backbone.architecture)
            backbones.keep(backbone, place, home)
        elif backbone != known:
            backbones.describe(backbone, home)
    backbones.give_name(name, digest, home)
    before = known.licence if known else backbone.licence
    return AddedBackbone(
        name=name,
        backbone=backbone,
        is_new=known is None,
        licence_before=before if before != backbone.licence else None,
        left_out=admitted.left_out,
        warnings=tuple(_doubts(backbone)),
    )


@contextlib.contextmanager
def _folder_of(source: str) -> Iterator[tuple[Path, str]]:
    """The folder of a source, downloaded where it is elsewhere, and its full name."""
    scheme, separator, _ = source.partition("://")
    if separator:
        from headrace.use.backbones.pinning import fetch

        with tempfile.TemporaryDirectory(prefix="headrace-") as place:
            yield fetch(source, scheme, Path(place))
        return
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise NotFoundError(
            f"{source} is no folder.", "Name a folder, kaggle://... or hf://..."
        )
    yield folder, str(folder.absolute())


def _doubts(backbone: Backbone) -> Iterator[Finding]:
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
    return [*_doubts(backbone)] if backbone else []


def listed(home: Home) -> dict[str, Backbone | None]:
    """What is known of each named backbone, by name; None where its record is gone."""
    named = backbones.names(home)
    return {name: backbones.find(digest, home) for name, digest in named.items()}
