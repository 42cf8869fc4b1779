"""``headrace serve`` and ``headrace export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument, Option

from headrace.display.signs import number_of
from headrace.errors import UsageError
from headrace.serving.options import Options
from headrace_cli.answers import answer, prepared, show_text
from headrace_cli.pipelines import ModelVersionArgument

if TYPE_CHECKING:
    from headrace.use.exporting import Exported


def serve(  # noqa: PLR0913, the options of a server
    models: Annotated[
        list[str],
        Argument(
            metavar="MODEL",
            help="MODEL follows promotions, MODEL/VERSION does not.",
        ),
    ],
    host: Annotated[
        str, Option(help="Where to serve; others reach it with a token and TLS only.")
    ] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="0: any that is free.")] = 8080,
    token_file: Annotated[
        Path | None, Option(help="A file with the token that requests must send.")
    ] = None,
    tls_cert: Annotated[
        Path | None, Option(help="The certificate of the server, PEM.")
    ] = None,
    tls_key: Annotated[Path | None, Option(help="Its private key, PEM.")] = None,
    shadow: Annotated[
        str, Option(metavar="MODEL/VERSION", help="Answers copies, for the log alone.")
    ] = "",
    log_inputs: Annotated[
        bool, Option("--log-inputs", help="Log the items, too; data.mask masks texts.")
    ] = False,
) -> None:
    """Serve models over HTTP until Ctrl-C.

    A request to /models/MODEL/predict gets an answer to an image, a sound or a text;
    /v2 speaks the Open Inference Protocol.
    """
    from headrace.imports import put_off

    put_off("pyarrow")  # 50 MB, which a server of images or sounds does without
    from headrace.serving.starting import serve as start

    def ready(value: dict[str, Any]) -> None:
        answer(value, lambda: _show(value))

    options = Options(
        models, host, port, token_file, tls_cert, tls_key, shadow, log_inputs
    )
    start(options, prepared(), ready)


def _show(value: dict[str, Any]) -> None:
    show_text(f"{'url':<10}{value['url']}")
    for model in value["models"]:
        engine = f"version {model['version']}, {model['engine']}"
        show_text(f"{'model':<10}{model['name']}, {engine}")
    if shadow := value["shadow"]:
        show_text(f"{'shadow':<10}{shadow['name']}, version {shadow['version']}")
    memory = sum(one["memory_mb"] for one in (value, *value["processes"]))
    show_text(f"{'memory':<10}{memory} MB")
    show_text("Press Ctrl-C to end it.")


def export(
    model: ModelVersionArgument,
    output: Annotated[
        Path,
        Option(metavar="PLACE", help="An empty folder; with --evidence a .tar file."),
    ],
    format_: Annotated[
        Literal["onnx", "savedmodel"] | None,
        Option("--format", help="The format to export to."),
    ] = None,
    evidence: Annotated[
        bool, Option("--evidence", help="Pack the model and its proofs into one file.")
    ] = False,
    push: Annotated[
        str | None,
        Option(
            metavar="URI",
            help="Push it to hf://OWNER/NAME, with the token HF_TOKEN.",
        ),
    ] = None,
) -> None:
    """Export a model to ONNX or TensorFlow, or with its proofs.

    Its golden answers come with it, and a script that replays them. It is refused where
    the exported model does not give the same answers. With --evidence: model, engines,
    page, packages, evidence, the record of its training, golden answers and
    signatures; `headrace verify FILE` checks it elsewhere.
    """
    if evidence:
        if format_ or push:
            raise UsageError(
                "--evidence goes with neither --format nor --push.",
                "Export the bundle alone, and the model with another command.",
            )
        _pack(model, output)
        return
    if format_ is None:
        raise UsageError(
            "Neither --format nor --evidence is given.",
            "Give one, such as --format onnx.",
        )
    from headrace.state.home import Home
    from headrace.use import exporting
    from headrace.use.exporting import publishing

    settings = prepared()
    home = Home.existing(settings, f"model {model!r}")
    if push is not None:
        version = publishing.require_pushable(model, push, home)
        model = f"{version.model}/{version.version}"
    exported = exporting.export(model, format_, output, settings)
    value, text = exported.model_dump(), _exported(exported)
    if push is not None:
        pushed = publishing.push(exported, push, home)
        value["pushed"] = pushed.model_dump(mode="json")
        seen = "private" if pushed.is_private else "public"
        text += (
            f"\npushed to {pushed.url}, which is {seen}: commit {pushed.commit[:12]}"
        )
    answer(value, text)


def _exported(exported: Exported) -> str:
    return (
        f"{exported.model} version {exported.version} is in {exported.output}\n"
        f"its answers differ by at most {exported.difference:.2g}: replay them with "
        "check.py there"
    )


def _pack(model: str, output: Path) -> None:
    """Pack a version and its proofs into one file."""
    from headrace.evidence import bundling
    from headrace.settings import Settings

    settings = Settings()
    if settings.home.is_dir():
        prepared(settings)
    done = bundling.bundle(model, output, settings)
    by = "signed" if done.is_signed else "unsigned"
    engines = ", ".join(done.engines) or "none"
    answer(
        done.model_dump(mode="json"),
        f"{done.model} version {done.version} is in {done.output}\n"
        f"{number_of(len(done.files), 'files')}, {done.bytes / 1e6:.1f} MB; "
        f"engines: {engines}; {by}\n"
        f"sha256 {done.sha256}\n"
        f"check it anywhere: headrace verify {output}",
    )
