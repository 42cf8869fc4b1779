"""The options of every command: verbosity, version and help."""

from __future__ import annotations

import logging
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

HELP = ("-h", "--help")
_LEVELS = {"quiet": logging.WARNING, "verbose": logging.DEBUG}


def _set_level(parameter: typer.CallbackParam, value: bool) -> None:
    if value:
        logging.getLogger("headrace").setLevel(_LEVELS[parameter.name or ""])


def _level(name: str, short: str, help_: str) -> Any:
    return typer.Option(
        name, short, callback=_set_level, expose_value=False, help=help_
    )


def _print_version(value: bool) -> None:
    if value:
        from headrace import __version__

        typer.echo(f"headrace {__version__}")
        raise typer.Exit


def options(
    quiet: Annotated[
        bool,
        _level("--quiet", "-q", "Show no progress, only warnings and the answer."),
    ] = False,
    verbose: Annotated[
        bool,
        _level(
            *("--verbose", "-v"),
            "Show more: also where in the code an error was raised.",
        ),
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            expose_value=False,
            is_eager=True,
            help="Print the version.",
        ),
    ] = False,
) -> None:
    """The options before a command; ``Group`` puts the first two behind it as well."""


def _use_capitals(parameter: Any) -> None:
    """What stands for a value in the help: in capitals, without the name of a type."""
    described, name = parameter.type_descriptor, str(parameter.name).strip("_").upper()
    if parameter.param_type_name == "argument":
        parameter.display_type_rich = lambda ctx: None
    elif parameter.is_flag or described.is_choice:
        return
    elif described.is_ranged:
        name = "N"
    parameter.metavar = parameter.metavar or name


class Group(TyperGroup):
    """Commands that all take ``--quiet`` and ``--verbose``; the help has them by panel.

    The parameters have metavars in capitals.
    """

    def __init__(
        self, *, commands: dict[str, Any], params: list[Any], **others: Any
    ) -> None:
        shared = [param for param in params if param.name in _LEVELS]
        for command in commands.values():
            command.params += shared
            for parameter in command.params:
                _use_capitals(parameter)
        super().__init__(commands=commands, params=params, **others)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """A section of the help for each panel."""
        width = formatter.width - 6 - max(map(len, self.commands))
        panels: dict[str, list[tuple[str, str]]] = {}
        commands: Any = self.commands
        for name, command in commands.items():
            row = name, command.get_short_help_str(width)
            panels.setdefault(command.rich_help_panel, []).append(row)
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl(rows)
