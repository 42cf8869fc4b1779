"""``headrace serve`` in ``infra/``: compose and Kubernetes run the same."""

import shlex
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

INFRA = Path(__file__).resolve().parents[2] / "infra"
FOLDER = INFRA / "kubernetes"
PORT = 8080


def documents(path):
    text = path.read_text(encoding="utf-8")
    return {one["kind"]: one for one in yaml.safe_load_all(text)}


COMPOSE = yaml.safe_load((INFRA / "compose.yaml").read_text("utf-8"))
SERVICE = COMPOSE["services"]["serve"]
MANIFESTS = documents(FOLDER / "serve.yaml")
POD = MANIFESTS["Deployment"]["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
COMMANDS = {
    "compose": shlex.split(SERVICE["command"].replace("${SERVE_MODELS:-digits}", "m")),
    "kubernetes": CONTAINER["command"],
}


def serve_command():
    from headrace_cli.main import app

    return get_command(app).commands["serve"]


@pytest.mark.parametrize("place", COMMANDS)
def test_the_command_takes_the_options(place):
    program, _, *arguments = COMMANDS[place]
    assert program == "headrace"
    context = serve_command().make_context("serve", list(arguments))
    values = context.params
    assert (values["host"], values["port"]) == ("0.0.0.0", PORT)
    # Without them the server would not start on an address that others can reach.
    assert all(values[name] for name in ("token_file", "tls_cert", "tls_key"))


def paths():
    """The paths by which the server's health is asked for."""
    probes = ("startupProbe", "readinessProbe", "livenessProbe")
    found = {probe: CONTAINER[probe]["httpGet"]["path"] for probe in probes}
    url = SERVICE["healthcheck"]["test"][-1]
    return {**found, "compose": url.partition(f":{PORT}")[2]}


@pytest.mark.parametrize("place", paths())
def test_health_is_a_route_that_needs_no_token(place):
    from headrace.serving.app import App
    from headrace.serving.bodies import Bodies
    from headrace.serving.doors import Doors
    from headrace.serving.metrics import Metrics
    from headrace.serving.routes import Models

    app = App(Doors(), Bodies(1), Metrics())
    Models(app, [])
    assert app.paths[paths()[place]].is_open
