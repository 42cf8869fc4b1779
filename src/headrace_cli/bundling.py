"""``headrace bundle``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from headrace_cli.answers import answer, prepared
from headrace_cli.pipelines import ModelVersionArgument


def bundle(
    model: ModelVersionArgument,
    output: Annotated[Path, Option(metavar="FILE", help="A new .tar file.")],
) -> None:
    """Pack a version and its proofs into one file.

    Model, engines, page, bill of materials, evidence, the record of its training,
    golden answers and signatures; `headrace verify FILE` checks it elsewhere.
    """
    from headrace.evidence import bundling
    from headrace.settings import Settings

    settings = Settings()
    if settings.home.is_dir():
        prepared(settings)
    done = bundling.bundle(model, output, settings)
    by = f"signed by the key {done.signed_by[:12]}..." if done.signed_by else "unsigned"
    engines = ", ".join(done.engines) or "none"
    answer(
        done.model_dump(mode="json"),
        f"{done.model} version {done.version} is in {done.output}\n"
        f"{len(done.files)} files, {done.bytes / 1e6:.1f} MB; engines: {engines}; "
        f"{by}\n"
        f"sha256 {done.sha256}\n"
        f"check it anywhere: headrace verify {output}",
    )
