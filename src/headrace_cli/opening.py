"""``headrace open``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from headrace_cli.answers import JsonOption, answer, console, prepared
from headrace_cli.pipelines import complete_pipelines


def open_report(
    name: Annotated[
        str,
        typer.Argument(
            help="A pipeline, for its last run; or MODEL/VERSION.",
            metavar="PIPELINE|MODEL/VERSION",
            autocompletion=complete_pipelines,
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Open the report of a run in a browser.

    It is one HTML page with verdict, metrics, pictures, data and recipe, and needs no
    network. Its path is printed; the browser opens on a terminal with windows only.
    """
    from headrace.use.reporting import find_report

    place = find_report(name, prepared())
    path = Path(place)
    uri = path.as_uri() if path.is_absolute() else place
    value = {"name": name, "status": "ok", "report": place, "uri": uri}
    answer(value, lambda: _show(place, uri), as_json=as_json)


def _show(place: str, uri: str) -> None:
    console().print(place, soft_wrap=True)
    if sys.stdout.isatty() and _has_windows():
        typer.launch(uri)


def _has_windows() -> bool:
    from headrace.settings import variable

    if sys.platform != "linux":
        return True
    return bool(variable("DISPLAY") or variable("WAYLAND_DISPLAY"))


open_report.__name__ = "open"
COMMANDS = (open_report,)
