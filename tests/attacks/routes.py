"""All routes of Prefect's and MLflow's applications, read from their routers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

HEALTH = {"/api/health", "/api/ready", "/health"}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_FILLED = str(UUID(int=1))


@dataclass(frozen=True, order=True)
class Route:
    """One route; the method of a WebSocket is ``WS``."""

    method: str
    path: str


def of_prefect():
    """Every route of Prefect's server, those of its pages and its health too."""
    from prefect.server.api.server import create_app

    return sorted(set(_walk(create_app().routes, "")))


def of_mlflow():
    """Every route of MLflow's server: FastAPI's and those of the Flask app in it."""
    import mlflow.server
    from mlflow.server.fastapi_app import app

    flask = {
        Route(method, _fill(rule.rule))
        for rule in mlflow.server.app.url_map.iter_rules()
        for method in (rule.methods or set()) & set(METHODS)
    }
    return sorted({*flask, *_walk(app.routes, "")})


def _walk(routes, above):
    for route in routes:
        contexts = getattr(route, "effective_route_contexts", None)
        if contexts is not None:  # of a router that FastAPI keeps whole
            yield from _walk(contexts(), above)
            continue
        one = getattr(route, "starlette_route", None) or route
        path = above + (getattr(one, "path", None) or "")
        below = getattr(one, "routes", None)
        if below:
            yield from _walk(below, path)
        elif getattr(one, "methods", None):
            for method in set(one.methods) & set(METHODS):
                yield Route(method, _fill(path))
        elif "WebSocket" in type(one).__name__:
            yield Route("WS", _fill(path))
        else:  # an application mounted there, such as one of files
            yield Route("GET", _fill(path or "/"))


def _fill(path):
    """A path with something in place of its parameters, in either notation."""
    return re.sub(r"\{[^}]*\}|<[^>]*>", _FILLED, path)
