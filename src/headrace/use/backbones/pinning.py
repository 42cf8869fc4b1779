"""Backbones, downloaded when added and pinned by their digest when work begins."""

from __future__ import annotations

from pathlib import Path

from headrace.errors import NotFoundError, SpecError, UsageError, did_you_mean
from headrace.models.backbones import check_installed
from headrace.models.backbones.training import parsed
from headrace.pipeline import PipelineSpec
from headrace.pipeline.checks import refuse_credential
from headrace.state import backbones, hub
from headrace.state.home import Home
from headrace.use.backbones import NAME

_PATTERNS = ("*.json", "*.txt", "*.safetensors", "*.weights.h5", "assets/*", "*.md")
_FORMS = {
    "hf": "hf://OWNER/NAME",
    "kaggle": "kaggle://OWNER/MODEL/keras/VARIANT",
}
FAMILY = "pretrained"


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
