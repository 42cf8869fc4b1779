"""The backbone that a pipeline names, pinned by its digest when work begins."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.errors import NotFoundError, SpecError, did_you_mean
from headrace.models.backbones.training import parsed
from headrace.pipeline import PipelineSpec
from headrace.settings import Settings
from headrace.state import backbones
from headrace.state.home import Home
from headrace.use.backbones import NAME, bring

if TYPE_CHECKING:
    from headrace.use.backbones.admission import Admitted

_FAMILY = "pretrained"


def pinned(spec: PipelineSpec, folder: Path, home: Home) -> PipelineSpec:
    """A spec with the digest of the backbone that its argument ``preset`` names.

    That is a folder, relative to the pipeline's or the project's, which is brought into
    the store under this name; or a name that `add` has given.

    Args:
        spec: of the pipeline; its ``model.backbone`` is empty, or what a person wrote.
        folder: of the pipeline.
        home: with the store.

    Raises:
        NotFoundError: there is no such backbone.
        SpecError: it is for another medium, or another one than ``model.backbone``; or
            ``preset`` is no text, or a folder that is not the project's.
        UsageError, Refusal: as `add`.
    """
    preset = _preset_of(spec)
    if preset is None:
        return spec
    wanted = spec.model.backbone
    backbone: backbones.Backbone | None
    if place := _place_of(spec, folder, home.settings):
        admitted = _looked_through(spec, place)
        backbone = bring(preset.rstrip("/"), admitted, home).backbone
    elif digest := backbones.digest_named(preset, home):
        backbone = backbones.known(digest, home)
    else:
        backbone = backbones.find(wanted, home) if wanted else None
    if backbone is None:
        if spec.model.builder != _FAMILY and not wanted:
            return spec  # an argument of the user's own builder
        raise _no_such(preset, wanted, backbones.names(home))
    _check(spec, backbone.medium, backbone.digest)
    model = spec.model.model_copy(update={"backbone": backbone.digest})
    return spec.model_copy(update={"model": model})


def check_backbone(
    spec: PipelineSpec, folder: Path, settings: Settings
) -> PipelineSpec:
    """Check the backbone that a spec names, without writing anything.

    Returns:
        the spec with the backbone's folder in place of its name, to build it.

    Raises:
        NotFoundError, SpecError, UsageError, Refusal: as `pinned`.
    """
    preset = _preset_of(spec)
    if preset is None:
        return spec
    if place := _place_of(spec, folder, settings):
        _looked_through(spec, place)
        return _at(spec, place)
    home = Home(settings)
    wanted, digest = spec.model.backbone, None
    if settings.has_ledger:
        own = backbones.find(wanted, home) if wanted else None
        digest = backbones.digest_named(preset, home) or (own and own.digest)
    if digest:
        _check(spec, backbones.known(digest, home).medium, digest)
        return _at(spec, backbones.local_folder(digest, home))
    if spec.model.builder == _FAMILY or wanted:
        raise _no_such(
            preset, wanted, backbones.names(home) if settings.has_ledger else ()
        )
    return spec


def _preset_of(spec: PipelineSpec) -> str | None:
    """What may name a backbone; None of a spec that does not."""
    preset = spec.model.arguments.get("preset")
    if spec.model.builder == _FAMILY:
        parsed(spec.model.arguments.get("train", "head"))
    if isinstance(preset, str):
        return preset
    if "preset" in spec.model.arguments and spec.model.builder == _FAMILY:
        raise SpecError(
            f"model.arguments.preset = {preset!r} is no text.",
            "Name a backbone or a folder of the project; see `headrace backbone list`.",
        )
    return None


def _at(spec: PipelineSpec, place: Path) -> PipelineSpec:
    arguments = {**spec.model.arguments, "preset": str(place)}
    model = spec.model.model_copy(update={"arguments": arguments})
    return spec.model_copy(update={"model": model})


def _place_of(spec: PipelineSpec, folder: Path, settings: Settings) -> Path | None:
    """The folder that a preset names, if it does; of another builder, a backbone's.

    Raises:
        SpecError: it is neither in the pipeline's folder nor in the project.
    """
    preset = str(spec.model.arguments["preset"])
    is_own = spec.model.builder != _FAMILY
    homes = (folder, settings.project)
    places = [
        place
        for place in (home / preset for home in homes if preset)
        if place.is_dir() and (not is_own or (place / "config.json").is_file())
    ]
    for place in places:
        real = place.resolve()
        if any(real.is_relative_to(home.resolve()) for home in homes):
            return place
    if places:
        raise SpecError(
            f"model.arguments.preset = {preset!r} is the folder {places[0].resolve()}, "
            "which is no folder of the project.",
            "Copy it into the project, or run `headrace backbone add NAME "
            f'{places[0].resolve()}` and write preset = "NAME".',
        )
    return None


def _looked_through(spec: PipelineSpec, place: Path) -> Admitted:
    """What of a folder is the backbone that a spec names; nothing is kept."""
    from headrace.use.backbones.admission import admit

    admitted = admit(place)
    wanted = spec.model.backbone
    _check(spec, admitted.medium, admitted.digest() if wanted else "")
    return admitted


def _check(spec: PipelineSpec, medium: str, digest: str) -> None:
    preset, wanted = spec.model.arguments["preset"], spec.model.backbone
    if medium != spec.medium:
        raise SpecError(
            f"model.arguments.preset = {preset!r} is a backbone for {medium}, and this "
            f"pipeline's medium is {spec.medium}.",
            f"Name a backbone for {spec.medium}; see `headrace backbone list`.",
        )
    if wanted and digest != wanted:
        raise SpecError(
            f"model.arguments.preset = {preset!r} is the backbone {digest[:16]}, and "
            f"model.backbone says {wanted[:16]}.",
            "Bring the other one, or leave model.backbone out.",
        )


def _no_such(preset: str, wanted: str, known: Iterable[str]) -> NotFoundError:
    which = f" ({wanted[:16]})" if wanted else ""
    action = f"Run `headrace backbone add {preset} SOURCE`."
    if not NAME.fullmatch(preset):
        action = 'Run `headrace backbone add NAME SOURCE`, and write preset = "NAME".'
    return NotFoundError(
        f"model.arguments.preset = {preset!r}: there is no backbone of this name"
        f"{which}, and no such folder.",
        did_you_mean(preset, known, action),
    )
