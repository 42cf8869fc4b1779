"""``headrace serve`` and ``headrace export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from typer import Argument, Option

from headrace.serving.options import Options, flag_of, with_options
from headrace_cli.answers import answer, prepared, show_text
from headrace_cli.pipelines import ModelVersionArgument, complete_pipelines


def _as_option(name: str, described: Any) -> Any:
    kind, about = get_args(described)
    return Annotated[kind, Option(flag_of(name), **about)]  # a flag has no --no-...


@with_options(_as_option)
def serve(
    models: Annotated[
        list[str],
        Argument(
            metavar="MODEL",
            help="Models: MODEL or MODEL@champion, which follow promotions; "
            "MODEL/VERSION.",
            autocompletion=complete_pipelines,
        ),
    ],
    **options: Any,
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

    start(Options(models, **options), prepared(), ready)


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
