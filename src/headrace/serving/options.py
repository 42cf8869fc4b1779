"""The options of a server, of which those of a command and of a flow are made.

The help of the command line needs them, so this imports nothing that takes time.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_type_hints

F = TypeVar("F", bound=Callable[..., Any])


class Options(NamedTuple):
    """What to serve, where, and what watches it; each described as Typer does it.

    Attributes:
        models: see `headrace.serving.slots.WantedVersion.parse`.
    """

    models: Sequence[str]
    host: Annotated[
        str, {"help": "Where to serve; others reach it with a token and TLS only."}
    ] = "127.0.0.1"
    port: Annotated[int, {"help": "0: any that is free.", "min": 0, "max": 65535}] = (
        8080
    )
    token_file: Annotated[
        Path | None, {"help": "A file with the token that requests must send."}
    ] = None
    tls_cert: Annotated[
        Path | None, {"help": "The certificate of the server, PEM."}
    ] = None
    tls_key: Annotated[Path | None, {"help": "Its private key, PEM."}] = None
    shadow: Annotated[
        str,
        {
            "help": "A version that answers copies of requests; only the log has its "
            "answers.",
            "metavar": "MODEL/VERSION",
        },
    ] = ""
    log_inputs: Annotated[
        bool, {"help": "Log the items, too; data.mask masks texts."}
    ] = False

    def arguments(self) -> list[str]:
        """The arguments of ``headrace serve``."""
        given = {
            flag_of(name): getattr(self, name)
            for name, default in self._field_defaults.items()
            if getattr(self, name) != default
        }
        words = [f if value is True else f"{f}={value}" for f, value in given.items()]
        return [*words, "--", *self.models]


def flag_of(name: str) -> str:
    """An option on the command line."""
    return f"--{name.replace('_', '-')}"


def with_options(
    annotate: Callable[[str, Any], Any] | None = None,
) -> Callable[[F], F]:
    """Let a function that takes ``**options`` name those that it does not name yet.

    Args:
        annotate: gives the type of a parameter, from an option's name and type; None:
            the type of the option, and the docstring has its help, where Prefect looks
            for it.
    """

    def add(function: F) -> F:
        own = inspect.signature(function, eval_str=True)
        described = get_type_hints(Options, include_extras=True)
        described = {
            name: described[name]
            for name in Options._field_defaults
            if name not in own.parameters
        }
        named = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
        named += [
            Parameter(
                name,
                Parameter.KEYWORD_ONLY,
                default=Options._field_defaults[name],
                annotation=annotate(name, kind) if annotate else get_args(kind)[0],
            )
            for name, kind in described.items()
        ]
        if annotate is None:
            helps = (f"    {n}: {get_args(k)[1]['help']}" for n, k in described.items())
            function.__doc__ = "\n".join([inspect.getdoc(function) or "", *helps])
        vars(function)["__signature__"] = own.replace(parameters=named)
        function.__annotations__ |= {p.name: p.annotation for p in named}
        return function

    return add
