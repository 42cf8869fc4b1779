"""The environment variables that a process gets, and the logins of the servers."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

from headrace.settings import Settings, variable
from headrace.state.logins import Login, ensure_login, login_of

_HEADERS = "PREFECT_CLIENT_CUSTOM_HEADERS"
CONFIGURED = {"prefect": "PREFECT_API_URL", "mlflow": "MLFLOW_TRACKING_URI"}
# Of Prefect's database; Prefect prefers the first one.
PREFECT_DATABASES = (
    "PREFECT_SERVER_DATABASE_CONNECTION_URL",
    "PREFECT_API_DATABASE_CONNECTION_URL",
)
CLIENT_VARIABLES = ("PREFECT_API_AUTH_STRING", _HEADERS)


def prefect_database() -> str:
    """The URL of Prefect's database in its own variables; empty if they have none."""
    return next(filter(None, map(variable, PREFECT_DATABASES)), "")


def own_prefect_database() -> Path | None:
    """Prefect's SQLite database in PREFECT_HOME; None if another is configured."""
    home = variable("PREFECT_HOME")
    if not home or prefect_database() or variable("PREFECT_SERVER_DATABASE_DRIVER"):
        return None
    return Path(home, "prefect.db").absolute()


def places(settings: Settings) -> dict[str, str]:
    """The variables of this home's places, which are valid in any working directory."""
    names = "home", "project", "data", "signing_key_file", "verify_key_file"
    paths = {name: getattr(settings, name) for name in names}
    return {
        f"HEADRACE_{name.upper()}": str(Path(path).expanduser().absolute())
        for name, path in paths.items()
        if path
    }


def prefect_login() -> Login | None:
    """The login for Prefect in the environment, if any."""
    text = variable("PREFECT_API_AUTH_STRING")
    text = text or variable("PREFECT_SERVER_API_AUTH_STRING")
    return Login.parse(text) if text else None


def mlflow_login() -> Login | None:
    """The login for MLflow in the environment, if any."""
    user = variable("MLFLOW_TRACKING_USERNAME")
    password = variable("MLFLOW_TRACKING_PASSWORD")
    return Login(user, password) if user and password else None


def authorization(login: Login | None) -> dict[str, str]:
    """The header with a login that a server asks for; empty without one."""
    return {"Authorization": login.header} if login else {}


def prefect_variables(login: Login) -> dict[str, str]:
    """The variables that make Prefect's clients send a login with every connection.

    By default most of their WebSockets send it only after the handshake. The gate
    requires it in the handshake.
    """
    variables = {"PREFECT_API_AUTH_STRING": login.text}
    with contextlib.suppress(ValueError, TypeError):  # Prefect reports such an error
        headers = json.loads(variable(_HEADERS) or "{}")
        variables[_HEADERS] = json.dumps({"Authorization": login.header, **headers})
    return variables


def mlflow_variables(login: Login) -> dict[str, str]:
    """The variables with which MLflow's clients send a login."""
    return {
        "MLFLOW_TRACKING_USERNAME": login.user,
        "MLFLOW_TRACKING_PASSWORD": login.password,
    }


def enter_prefect(settings: Settings, api_url: str) -> None:
    """Make this process a client of a Prefect server, with the server's login.

    A login in the environment takes precedence. The home's login is only sent to the
    home's own server.
    """
    if login := prefect_login() or login_of(settings.home, api_url):
        os.environ.update(prefect_variables(login))
    os.environ["PREFECT_API_URL"] = api_url
    if "prefect" in sys.modules:  # which has read the variables
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()


def server_logins(settings: Settings) -> dict[str, Login]:
    """The login of each server that is started here."""
    own = ensure_login(settings.home)
    logins = {"prefect": prefect_login(), "mlflow": mlflow_login(), "headrace": own}
    return {n: login or own for n, login in logins.items() if not configured(n)}


def configured(server: str) -> str:
    """The address of a server in its variable; empty if it is to be started here."""
    url = variable(CONFIGURED.get(server, ""))
    return url.rstrip("/") if url.startswith("http") else ""
