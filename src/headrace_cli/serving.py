"""``headrace serve`` and ``headrace export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from typer import Argument, Option

from headrace_cli.answers import answer, prepared, show_text
from headrace_cli.pipelines import ModelVersionArgument, complete_pipelines


def serve(  # noqa: PLR0913
    models: Annotated[
        list[str],
        Argument(
            metavar="MODEL",
            help="Models: MODEL or MODEL@champion, which follow promotions; "
            "MODEL/VERSION.",
            autocompletion=complete_pipelines,
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
        str,
        Option(
            metavar="MODEL/VERSION",
            help="A version that answers copies of requests; only the log has its "
            "answers.",
        ),
    ] = "",
    canary: Annotated[
        str,
        Option(
            metavar="[MODEL[/VERSION]:]SHARE%",
            help="A version that answers a share of the requests, such as 5% or "
            "digits/3:5%, until it fails or its answers differ from the champion's; "
            "by default the newest version that is newer than the champion.",
        ),
    ] = "",
    log_inputs: Annotated[
        bool,
        Option("--log-inputs", help="Log the items, too; data.mask masks texts."),
    ] = False,
) -> None:
    """Serve models over HTTP until Ctrl-C.

    A request to /models/MODEL/predict gets an answer to an image, a sound or a text;
    /v2 speaks the Open Inference Protocol.
    """
    from headrace.imports import put_off

    put_off("pyarrow")  # 50 MB, which a server of images or sounds does without
    from headrace.use.serving.observing import Watch
    from headrace.use.serving.starting import Options
    from headrace.use.serving.starting import serve as start

    watch = Watch(shadow, canary, log_inputs)
    options = Options(models, host, port, token_file, tls_cert, tls_key, watch)

    def ready(value: dict[str, Any]) -> None:
        answer(value, lambda: _show(value))

    start(options, prepared(), ready)


def _show(value: dict[str, Any]) -> None:
    show_text(f"{'url':<10}{value['url']}")
    for model in value["models"]:
        engine = f"version {model['version']}, {model['engine']}"
        show_text(f"{'model':<10}{model['name']}, {engine}")
    for canary in value["canaries"]:
        named = f"{canary['name']}, version {canary['version']}"
        gets = (
            f"{100 * canary['share']:.4g}% of the requests" if "share" in canary else ""
        )
        show_text(f"{'canary':<10}{named}, {gets or 'ended: ' + canary['ended']}")
    if shadow := value["shadow"]:
        show_text(f"{'shadow':<10}{shadow['name']}, version {shadow['version']}")
    memory, beside = f"{value['memory_mb']} MB", value["processes"]
    if beside:
        total = sum(process["memory_mb"] for process in beside)
        memory += f", and {total} MB in {len(beside)} process"
        memory += f"{'es' if len(beside) > 1 else ''} beside it"
    show_text(f"{'memory':<10}{memory}")
    show_text("Press Ctrl-C to end it.")


def export(
    model: ModelVersionArgument,
    format_: Annotated[
        Literal["onnx", "openvino", "savedmodel"],
        Option("--format", help="The format to export to."),
    ],
    output: Annotated[
        Path, Option(metavar="DIR", help="A new folder, or an empty one.")
    ],
) -> None:
    """Export a model to ONNX, OpenVINO or TensorFlow.

    Its golden answers come with it, and a script that replays them. It is refused where
    the exported model does not give the same answers.
    """
    from headrace.use import exporting

    exported = exporting.export(model, format_, output, prepared())
    name = f"{exported.model} version {exported.version}"
    answer(
        exported.model_dump(),
        f"{name} is in {exported.output}\n"
        f"its answers differ by at most {exported.difference:.2g}: replay them with "
        "check.py there",
    )
