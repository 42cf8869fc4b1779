"""``headrace backbone``: pretrained backbones, tried and brought into the store.

They are downloaded when added, and pinned by their digest when work begins.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from headrace.errors import NotFoundError, SpecError, UsageError, did_you_mean
from headrace.models.backbones import check_installed
from headrace.models.backbones.training import parsed
from headrace.pipeline import PipelineSpec
from headrace.pipeline.checks import refuse_credential
from headrace.records import Finding, Record
from headrace.state import backbones, hub
from headrace.state.backbones import Backbone
from headrace.state.home import Home

_PATTERNS = ("*.json", "*.txt", "*.safetensors", "*.weights.h5", "assets/*", "*.md")
_FORMS = {
    "hf": "hf://OWNER/NAME",
    "kaggle": "kaggle://OWNER/MODEL/keras/VARIANT",
}
FAMILY = "pretrained"
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


def fetch(source: str, scheme: str, place: Path) -> tuple[Path, str]:
    """Download what may be taken of a backbone.

    Args:
        source: ``hf://...`` or ``kaggle://...``.
        scheme: its scheme.
        place: an empty folder.

    Returns:
        its folder, and the source with the version that was downloaded.

    Raises:
        UsageError: it is of another scheme or form, the hub does not have it, or an
            extra is missing.
        DependencyError: the hub does not answer.
    """
    refuse_credential(source, "The backbone's source")
    handle = source.partition("://")[2].strip("/")
    parts = handle.split("/")
    counts = {"hf": (2,), "kaggle": (4, 5)}.get(scheme, ())
    if len(parts) not in counts or not all(parts):
        forms = " or ".join(_FORMS.values())
        raise UsageError(
            f"{source} is no source of a backbone.", f"Name a folder, {forms}."
        )
    check_installed()
    otherwise = "; or download it elsewhere, and name the folder"
    with hub.translated(source, "downloaded", otherwise):
        return (_of_kaggle if scheme == "kaggle" else _of_hugging_face)(handle, place)


def _of_hugging_face(handle: str, place: Path) -> tuple[Path, str]:
    api = hub.client(f"hf://{handle}")
    commit = api.model_info(handle, timeout=hub.SECONDS).sha
    api.snapshot_download(
        handle, revision=commit, allow_patterns=[*_PATTERNS], local_dir=place
    )
    return place, f"hf://{handle}@{commit}"


def _of_kaggle(handle: str, place: Path) -> tuple[Path, str]:
    import kagglehub

    folder = kagglehub.model_download(handle, output_dir=str(place))
    return Path(folder), f"kaggle://{handle}"


def pinned(spec: PipelineSpec, home: Home) -> PipelineSpec:
    """A spec with the digest of the backbone that its argument ``preset`` names.

    Nothing is written. An argument of the user's own builder that names no backbone is
    not looked at.

    Args:
        spec: of the pipeline; its ``model.backbone`` is empty, or what a person wrote.
        home: with the store.

    Raises:
        NotFoundError: there is no such backbone.
        SpecError: it is for another medium, or another one than ``model.backbone``; or
            ``preset`` is no text.
    """
    arguments, wanted = spec.model.arguments, spec.model.backbone
    is_family = spec.model.builder == FAMILY
    if is_family:
        parsed(arguments.get("train", "head"))
    if "preset" not in arguments:
        return spec
    preset = arguments["preset"]
    named = backbones.names(home) if home.settings.has_ledger else {}
    digest = named.get(preset, wanted) if isinstance(preset, str) else None
    if digest:
        backbone = backbones.known(digest, home)
        _check(spec, backbone)
        model = spec.model.model_copy(update={"backbone": digest})
        return spec.model_copy(update={"model": model})
    if not is_family:
        return spec
    if not isinstance(preset, str):
        raise SpecError(
            f"model.arguments.preset = {preset!r} is no text.",
            "Name a backbone; see `headrace backbone list`.",
        )
    action = f"Run `headrace backbone add {preset} SOURCE`."
    if not NAME.fullmatch(preset):
        action = 'Run `headrace backbone add NAME SOURCE`, and write preset = "NAME".'
    raise NotFoundError(
        f"model.arguments.preset = {preset!r}: there is no backbone of this name.",
        did_you_mean(preset, named, action),
    )


def with_folder(spec: PipelineSpec, home: Home) -> PipelineSpec:
    """A pinned spec with the folder of its backbone for the name, to build it.

    Raises:
        IntegrityError: a file of the backbone was changed or damaged.
    """
    arguments = backbones.arguments_of(spec, home)
    model = spec.model.model_copy(update={"arguments": arguments})
    return spec.model_copy(update={"model": model})


def _check(spec: PipelineSpec, backbone: backbones.Backbone) -> None:
    """Refuse a backbone for another medium, or another one than the spec holds."""
    preset, wanted = spec.model.arguments["preset"], spec.model.backbone
    if backbone.medium != spec.medium:
        raise SpecError(
            f"model.arguments.preset = {preset!r} is a backbone for {backbone.medium}, "
            f"and this pipeline's medium is {spec.medium}.",
            f"Name a backbone for {spec.medium}; see `headrace backbone list`.",
        )
    if wanted and backbone.digest != wanted:
        raise SpecError(
            f"model.arguments.preset = {preset!r} is the backbone "
            f"{backbone.digest[:16]}, and model.backbone says {wanted[:16]}.",
            "Bring the other one, or leave model.backbone out.",
        )
