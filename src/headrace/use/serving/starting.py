"""Starts the server: checks the options, finds the versions, opens their engines."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.errors import UsageError
from headrace.state.hosts import is_loopback, local_host, names_of, split_list
from headrace.state.ledger import Ledger
from headrace.use.serving import keras_here
from headrace.use.serving.app import App
from headrace.use.serving.doors import Doors, read_token
from headrace.use.serving.served import Slot, Wanted, open_served
from headrace.use.serving.server import Tls, listen, run

if TYPE_CHECKING:
    from headrace.settings import Settings


class Options(NamedTuple):
    """The options of ``headrace serve``."""

    models: Sequence[str]
    host: str = "127.0.0.1"
    port: int = 8080
    token_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None


def serve(
    options: Options, settings: Settings, ready: Callable[[dict[str, Any]], None]
) -> None:
    """Serve models until a SIGTERM or Ctrl-C.

    Args:
        ready: called with the server's description once connections are taken.

    Raises:
        UsageError: the options do not go together.
        NotFoundError: there is no such model or version.
        DependencyError: the port is taken, or the ledger does not answer.
        IntegrityError: a version's files are gone or changed.
    """
    doors, tls = _doors_of(options, settings)
    ledger = Ledger(settings.database_url)
    wanted = list(dict.fromkeys(map(Wanted.parse, options.models)))
    versions = [one.find(ledger) for one in wanted]
    listener = listen(options.host, options.port)
    slots: dict[str, Slot] = {}
    for one, version in zip(wanted, versions, strict=True):
        follows = one.version is None
        slot = slots.setdefault(one.model, Slot(one.model, follows=follows))
        role = "champion" if follows else "pinned"
        served = open_served(version, settings, keras_here.open_engine, role)
        if follows or slot.current is None:
            slot.current = served
        else:
            slot.pinned[version.version] = served
    app = App(list(slots.values()), doors, settings)
    scheme = "https" if tls else "http"
    port = listener.getsockname()[1]
    url = f"{scheme}://{local_host(options.host)}:{port}"
    run(app, listener, tls, lambda: ready(_description(app, url)))


def _doors_of(options: Options, settings: Settings) -> tuple[Doors, Tls | None]:
    """Who may use the server; raises UsageError where anybody could."""
    if (options.tls_cert is None) != (options.tls_key is None):
        raise UsageError(
            "Only one of --tls-cert and --tls-key is given.", "Give both, or neither."
        )
    tls = None
    if options.tls_cert is not None and options.tls_key is not None:
        tls = Tls(options.tls_cert, options.tls_key)
    if not is_loopback(options.host) and (tls is None or options.token_file is None):
        raise UsageError(
            f"Others can reach {options.host}, so the server needs a token and TLS.",
            "Give --token-file, --tls-cert and --tls-key, or leave out --host.",
        )
    token = read_token(options.token_file) if options.token_file else ""
    hosts = names_of(options.host) | split_list(settings.serve_hosts)
    return Doors(hosts, token), tls


def _description(app: App, url: str) -> dict[str, Any]:
    models = [
        {"name": slot.model, "version": served.version, "engine": served.engine.name}
        for slot in app.slots.values()
        for served in slot.versions.values()
    ]
    return {"status": "serving", "url": url, "models": models, "memory_mb": _memory()}


def _memory() -> int:
    import psutil

    return int(psutil.Process(os.getpid()).memory_info().rss) // 2**20
