"""The environment variables that a process gets, and the logins of the servers."""

from __future__ import annotations

import fnmatch
import importlib.util
import ipaddress
import json
import os
from collections.abc import Mapping

from headrace.errors import UsageError
from headrace.settings import Settings, variable
from headrace.state.logins import Login, ensure_login, login_of

# What a flow may need. Everything else, such as the secrets of the servers, is not
# handed on.
HANDED_ON = (
    # the system
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR"),
    *("SSL_CERT_*", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "*_PROXY", "*_proxy"),
    *("LD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "PYTHON*", "XDG_*"),
    # places and the ways there
    *("HEADRACE_*", "PREFECT_*", "MLFLOW_*", "AWS_*", "FSSPEC_*", "PG*"),
    # computing
    *("CUDA_*", "NVIDIA_*", "TF_*", "XLA_*", "KERAS_*", "JAX_*", "NCCL_*"),
    *("OMP_*", "MKL_*", "OPENBLAS_*", "MALLOC_*"),
    *("DO_NOT_TRACK", "GX_ANALYTICS_ENABLED"),
)
KEPT_BACK = (
    *("PREFECT_SERVER_*", "PREFECT_API_DATABASE_*", "PREFECT_UI_*"),
    *("MLFLOW_BACKEND_STORE_URI", "MLFLOW_REGISTRY_STORE_URI", "MLFLOW_AUTH_*"),
    *("MLFLOW_FLASK_SERVER_SECRET_KEY", "MLFLOW_SERVER_*", "MLFLOW_CRYPTO_*"),
)

_HEADERS = "PREFECT_CLIENT_CUSTOM_HEADERS"
CONFIGURED = {"prefect": "PREFECT_API_URL", "mlflow": "MLFLOW_TRACKING_URI"}
CLIENT_VARIABLES = ("PREFECT_API_AUTH_STRING", _HEADERS)


def for_flows(
    settings: Settings, environment: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The part of the environment that a worker hands on to its flows.

    ``HEADRACE_WORKER_ENVIRONMENT`` names more variables. The paths of the home are
    absolute, so that a flow finds them from any folder.
    """
    environment = os.environ if environment is None else environment
    more = tuple(filter(None, map(str.strip, settings.worker_environment.split(","))))
    chosen = {
        name: value
        for name, value in environment.items()
        if _matches(name, more)
        or (_matches(name, HANDED_ON) and not _matches(name, KEPT_BACK))
    }
    chosen["HEADRACE_HOME"] = str(settings.home.absolute())
    chosen["HEADRACE_PROJECT"] = str(settings.project.absolute())
    if settings.data:
        chosen["HEADRACE_DATA"] = str(settings.data.expanduser().absolute())
    return chosen


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def prefect_login() -> Login | None:
    """The login for Prefect in the environment, if any."""
    for name in ("PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"):
        if variable(name):
            return Login.parse(variable(name))
    return None


def mlflow_login() -> Login | None:
    """The login for MLflow in the environment, if any."""
    user = variable("MLFLOW_TRACKING_USERNAME")
    password = variable("MLFLOW_TRACKING_PASSWORD")
    return Login(user, password) if user and password else None


def prefect_authorization() -> dict[str, str]:
    """The header that Prefect's server asks for; empty without a login."""
    login = prefect_login()
    return {"Authorization": login.header} if login else {}


def for_prefect(login: Login) -> dict[str, str]:
    """The variables that make Prefect's clients send a login with every connection.

    By themselves most of their WebSockets send it only once open. The gate asks
    for it before.
    """
    variables = {"PREFECT_API_AUTH_STRING": login.text}
    try:
        headers = json.loads(variable(_HEADERS) or "{}")
        variables[_HEADERS] = json.dumps({"Authorization": login.header, **headers})
    except (ValueError, TypeError):  # Prefect reports what is wrong with it
        pass
    return variables


def enter_prefect(settings: Settings, api_url: str) -> None:
    """Make the Prefect clients of this process send the login of a server.

    A login in the environment comes first. The home's login is sent to the home's own
    server only. Call this before Prefect is imported.
    """
    login = prefect_login() or login_of(settings.home, api_url)
    if login is not None:
        os.environ.update(for_prefect(login))


def servers_logins(settings: Settings) -> dict[str, Login]:
    """The logins that the servers started here accept: Prefect's and MLflow's."""
    of_home = ensure_login(settings.home)
    asked = variable("PREFECT_SERVER_API_AUTH_STRING")
    prefect = Login.parse(asked) if asked else prefect_login()
    return {"prefect": prefect or of_home, "mlflow": mlflow_login() or of_home}


def homes_own(settings: Settings) -> dict[str, Login]:
    """The servers that are started here and accept the home's login, by name."""
    of_home = ensure_login(settings.home)
    logins = {
        name: of_home
        for name, login in servers_logins(settings).items()
        if login == of_home and not variable(CONFIGURED[name]).startswith("http")
    }
    if mlflow_has_users():
        logins.pop("mlflow", None)
    return logins


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def mlflow_has_users() -> bool:
    """Whether MLflow's own access control is configured."""
    names = ("MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_AUTH_CONFIG_PATH")
    return any(map(variable, names))


def check_doors(host: str) -> None:
    """Refuse to serve other machines without passwords.

    Raises:
        UsageError: the address can be reached from other machines, and Prefect or
            MLflow has no password; or MLflow's access control is not complete.
    """
    if mlflow_has_users():
        if importlib.util.find_spec("flask_wtf") is None:
            raise UsageError(
                "MLflow's access control needs the Python package 'Flask-WTF'.",
                "Install it: pip install 'mlflow[auth]'.",
            )
        if not variable("MLFLOW_FLASK_SERVER_SECRET_KEY"):
            raise UsageError(
                "MLflow's access control needs MLFLOW_FLASK_SERVER_SECRET_KEY.",
                "Set it to a long random text that stays the same.",
            )
    if is_loopback(host):
        return
    missing = []
    if not variable("PREFECT_SERVER_API_AUTH_STRING"):
        missing.append("PREFECT_SERVER_API_AUTH_STRING (user:password) for Prefect")
    if not mlflow_has_users():
        missing.append("MLFLOW_AUTH_ADMIN_PASSWORD for MLflow")
    if missing:
        raise UsageError(
            f"Other machines can reach {host}. Without a password, anyone there could "
            "start flows and change models.",
            f"Set {' and '.join(missing)}, or leave --host out.",
        )
