"""The backbone that a pipeline names, pinned by its digest when work begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from headrace.errors import NotFoundError, SpecError, did_you_mean
from headrace.records import Finding
from headrace.settings import Settings
from headrace.spec import PipelineSpec
from headrace.state import backbones
from headrace.state.backbones import Backbone
from headrace.state.home import Home

_FAMILY = "pretrained"


def pinned(spec: PipelineSpec, folder: Path, home: Home) -> PipelineSpec:
    """A spec with the digest of the backbone that its argument ``preset`` names.

    That is a folder, relative to the pipeline's or the project's, which is brought into
    the store under this name; or a name that `add` has given. A spec that has a digest
    already keeps it.

    Args:
        spec: of the pipeline.
        folder: of the pipeline.
        home: with the store.

    Raises:
        NotFoundError: there is no such backbone.
        SpecError: it is for another medium, or another one than ``model.backbone``.
        UsageError, Refusal: as `add`.
    """
    preset = spec.model.arguments.get("preset")
    if not isinstance(preset, str):
        return spec
    wanted = spec.model.backbone
    backbone = backbones.find(wanted, home) if wanted else None
    if backbone is None:
        from headrace.use.backbones import bring

        place = _place_of(spec, folder, home.settings)
        if place is not None:
            backbone = bring(preset.rstrip("/"), place, home).backbone
        elif digest := backbones.digest_named(preset, home):
            backbone = backbones.known(digest, home)
        elif spec.model.builder != _FAMILY and not wanted:
            return spec  # an argument of the user's own builder
        else:
            raise _no_such(preset, wanted, backbones.names(home))
    _check(spec, backbone.medium, backbone.digest)
    model = spec.model.model_copy(update={"backbone": backbone.digest})
    return spec.model_copy(update={"model": model})


def doubts(backbone: Backbone) -> Iterator[Finding]:
    """What may be wrong with a backbone."""
    if not backbone.licence:
        yield Finding(
            check="licence",
            message=f"the backbone {backbone.digest[:12]} states no licence; give it "
            "with `headrace backbone add ... --licence` if you know it",
        )
    if not backbone.is_proved:
        yield Finding(
            check="backbone",
            message=f"the backbone {backbone.digest[:12]} is unproved: there is no "
            f"reference for {backbone.architecture} in this form",
        )


def doubts_of(spec: PipelineSpec, home: Home) -> list[Finding]:
    """What may be wrong with the backbone of a pinned spec: nothing where it has none.

    Raises:
        DependencyError: the ledger or the store does not answer.
    """
    digest = spec.model.backbone
    backbone = backbones.find(digest, home) if digest else None
    return [*doubts(backbone)] if backbone else []


def check_backbone(
    spec: PipelineSpec, folder: Path, settings: Settings
) -> PipelineSpec:
    """Check the backbone that a spec names, without writing anything.

    Returns:
        the spec with the backbone's folder in place of its name, to build it.

    Raises:
        NotFoundError, SpecError, UsageError, Refusal: as `pinned`.
    """
    preset = spec.model.arguments.get("preset")
    if not isinstance(preset, str):
        return spec
    place = _place_of(spec, folder, settings)
    if place is not None:
        from headrace.use.backbones.admission import admit

        _check(spec, admit(place).medium, spec.model.backbone)
        return _at(spec, place)
    home = Home(settings)
    has_ledger = settings.home.is_dir() or "database_url" in settings.model_fields_set
    digest = backbones.digest_named(preset, home) if has_ledger else None
    if digest:
        _check(spec, backbones.known(digest, home).medium, digest)
        return _at(spec, backbones.local_folder(digest, home))
    if spec.model.builder == _FAMILY:
        raise _no_such(preset, "", backbones.names(home) if has_ledger else ())
    return spec


def _at(spec: PipelineSpec, place: Path) -> PipelineSpec:
    arguments = {**spec.model.arguments, "preset": str(place)}
    model = spec.model.model_copy(update={"arguments": arguments})
    return spec.model_copy(update={"model": model})


def _place_of(spec: PipelineSpec, folder: Path, settings: Settings) -> Path | None:
    """The folder that a preset names, if it does; of another builder, a backbone's."""
    preset = str(spec.model.arguments["preset"])
    for place in (folder / preset, settings.project / preset) if preset else ():
        is_own = spec.model.builder != _FAMILY
        if place.is_dir() and not (is_own and not (place / "config.json").is_file()):
            return place
    return None


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
    return NotFoundError(
        f"model.arguments.preset = {preset!r}: there is no backbone of this name"
        f"{which}, and no such folder.",
        did_you_mean(preset, known, f"Run `headrace backbone add {preset} SOURCE`."),
    )
