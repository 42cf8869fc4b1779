"""The options of a server: one declaration for the command and the flow."""

from pathlib import Path

import typer

from headrace import extensions
from headrace.serving.options import Options


def parsed(arguments):
    """The options that the command takes from its arguments."""
    from headrace_cli.main import app

    command = typer.main.get_command(app)
    context = command.get_command(None, "serve").make_context("serve", arguments)
    return Options(**{name: context.params[name] for name in Options._fields})


def test_the_command_reads_what_the_flow_asks_of_it():
    for options in (
        Options(["digits"]),
        Options(["--a", "b/2"], port=9000, log_inputs=True),
        Options(["a"], "::1", 1, Path("t"), Path("c"), Path("k"), "a/3"),
    ):
        assert parsed(options.arguments()) == options


def test_the_flow_checks_and_describes_each_option():
    from headrace_flows.serve import serve

    assert "serve" in extensions.modules("flows")
    described = serve.parameters.properties
    assert [*described] == [
        "models",
        "port",
        *Options._fields[1:2],
        *Options._fields[3:],
    ]
    assert all(about["description"] for about in described.values())
    assert serve.validate_parameters({"token_file": "t", "port": "9000"}) == {
        "models": (),
        "port": 9000,
        **{n: d for n, d in Options._field_defaults.items() if n != "port"},
        "token_file": Path("t"),
    }
