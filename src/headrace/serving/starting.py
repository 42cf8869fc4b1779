"""Starts the server: checks the options, finds the versions, opens their engines."""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import psutil
import pyarrow as pa

from headrace.errors import UsageError
from headrace.imports import hidden
from headrace.models.engines import EngineProcess, build_engine
from headrace.serving.app import App
from headrace.serving.bodies import Bodies
from headrace.serving.doors import Doors, read_token
from headrace.serving.listing import ListedVersion, Slot, WantedVersion
from headrace.serving.log import RequestLog
from headrace.serving.metrics import Metrics, exposed
from headrace.serving.pages import add_page
from headrace.serving.routes import Models
from headrace.serving.served import Served, open_served, return_memory
from headrace.serving.server import Tls, listen, run
from headrace.serving.shadow import Shadow, find_shadow
from headrace.serving.watching import Watcher
from headrace.state.announced import announced
from headrace.state.home import Home
from headrace.state.hosts import is_loopback, local_host, names_of, split_list

if TYPE_CHECKING:
    from prometheus_client import Metric

    from headrace.serving.answered import Answered, Observer, Role
    from headrace.serving.options import Options
    from headrace.settings import Settings
    from headrace.state.ledger import Version

_BESIDE_SECONDS = 10.0  # until a shadow must have answered
_SHADOW_NICENESS = 10  # nobody waits for its answers


def serve(
    options: Options, settings: Settings, ready: Callable[[dict[str, Any]], object]
) -> None:
    """Serve models until a SIGTERM or Ctrl-C.

    Args:
        options: what to serve, and where.
        settings: where the versions are.
        ready: called with the server's description once connections are taken.

    Raises:
        UsageError: the options do not go together.
        NotFoundError: there is no such model or version.
        DependencyError: the port is taken, or the ledger does not answer.
        IntegrityError: a version's files are gone or changed.
    """
    doors, tls = _doors_of(options, settings)
    ledger = Home(settings).ledger
    wanted = list(dict.fromkeys(map(WantedVersion.parse, options.models)))
    rows = [one.find(ledger) for one in wanted]
    listener = listen(options.host, options.port)
    with (
        without_pandas(),
        contextlib.closing(listener),
        contextlib.ExitStack() as opened,
    ):

        def open_(row: Version, role: Role) -> Served:
            return open_served(row, settings, role)

        slots = list[Slot]()
        opened.callback(_close_all, slots)
        _open_all(slots, wanted, rows, open_)
        return_memory()  # of imports, and of what the engines were made from
        shadowing = find_shadow(options.shadow, slots, ledger)
        observers: list[RequestLog | Shadow] = []
        if days := settings.request_log_days:
            log = RequestLog(Home(settings).store, days, with_inputs=options.log_inputs)
            opened.callback(log.close)
            observers.append(log)
        if shadowing is not None:
            shadow = make_shadow(shadowing, settings, [*observers])
            opened.callback(shadow.close)
            observers.append(shadow)
        app = make_app(slots, doors, settings, open_, observers)
        scheme = "https" if tls else "http"
        port = listener.getsockname()[1]
        url = f"{scheme}://{local_host(options.host)}:{port}"
        opened.enter_context(announced(settings.home, url, options.models))
        run(app, listener, tls, lambda: ready(description_of(slots, url, shadowing)))


@contextlib.contextmanager
def without_pandas() -> Iterator[None]:
    """Keep pyarrow from importing pandas to make an array, which takes 50 MB."""
    with hidden(["pandas"]):
        with contextlib.suppress(AttributeError):  # it looks for it once
            pa.array([""])
        yield


def make_app(
    slots: list[Slot],
    doors: Doors,
    settings: Settings,
    open_: Callable[[Version, Role], Served],
    observers: Sequence[RequestLog | Shadow],
) -> App:
    """The application of some models, which watches the ledger while it runs."""
    app = App(doors, Bodies(settings.max_body_bytes), Metrics())
    models = Models(app, slots)
    add_page(app)
    watcher = Watcher(slots, settings.database_url, open_, models.replace)
    models.notices.append(watcher.notice)
    models.observers += observers
    app.starting.append(watcher.start)
    app.stopping.append(watcher.stop)
    app.metrics.sources += [watcher.metrics, process_metrics]
    app.metrics.sources += [observer.metrics for observer in observers]
    return app


def make_shadow(
    row: Version, settings: Settings, observers: Sequence[Observer]
) -> Shadow:
    """A shadow whose answers go to observers, such as the request log."""

    def observe(answered: Answered) -> None:
        for each in observers:
            each(answered)

    open_engine = partial(open_alone, row, settings)
    name = row.model, row.version, row.description
    return Shadow(*name, open_engine, observe, settings.shadow_share)


def open_alone(row: Version, settings: Settings) -> EngineProcess:
    """The engine of a shadow in a process of its own, which may crash or hang.

    Nothing of the version is opened here. An engine that is not kept is built first.
    """
    build_engine(row, settings)
    return EngineProcess(
        row, settings, "", niceness=_SHADOW_NICENESS, answer_seconds=_BESIDE_SECONDS
    )


def _open_all(
    slots: list[Slot],
    wanted: Sequence[WantedVersion],
    rows: Sequence[Version],
    open_: Callable[[Version, Role], Served],
) -> None:
    """Open the models; one answers with its champion if that is wanted."""
    pairs = zip(wanted, rows, strict=True)
    for one, row in sorted(pairs, key=lambda pair: pair[0].version is not None):
        slot = next((slot for slot in slots if slot.model == one.model), None)
        if slot is None:
            slots.append(slot := Slot(one.model))
        if one.version is None:
            slot.follows, slot.current = True, open_(row, "champion")
        elif slot.current is None:
            slot.current = open_(row, "pinned")
        elif slot.current.version != row.version or slot.follows:
            slot.pinned[row.version] = open_(row, "pinned")


def _close_all(slots: Sequence[Slot]) -> None:
    for slot in slots:
        for served in slot.versions.values():
            served.close()


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
            f"Others can reach {options.host or 'all addresses'}, so the server needs "
            "a token and TLS.",
            "Give --token-file, --tls-cert and --tls-key, or leave out --host.",
        )
    token = read_token(options.token_file) if options.token_file else ""
    hosts = names_of(options.host) | split_list(settings.serve_hosts)
    return Doors(hosts, token), tls


def description_of(
    slots: Sequence[Slot], url: str, shadow: Version | None
) -> dict[str, Any]:
    """What ``headrace serve --json`` prints."""
    models = [
        {"name": slot.model, **ListedVersion.of(served).model_dump()}
        for slot in slots
        for served in slot.versions.values()
    ]
    processes = [
        {"name": name, "memory_mb": held // 2**20} for name, held in _memory_beside()
    ]
    return {
        "status": "serving",
        "url": url,
        "models": models,
        "shadow": shadow and {"name": shadow.model, "version": shadow.version},
        "memory_mb": _memory_bytes() // 2**20,
        "processes": processes,
    }


def process_metrics() -> Iterator[Metric]:
    """The memory of the server, without a label, and of what runs beside it."""
    about = "Memory of this process, and of all processes of a kind beside it."
    beside = collections.Counter[str]()
    for name, held in _memory_beside():
        beside[name] += held
    named = [({"process": name}, held) for name, held in sorted(beside.items())]
    yield exposed("resident_bytes", "gauge", about, [({}, _memory_bytes()), *named])


def _memory_beside() -> list[tuple[str, int]]:
    """The bytes that each process beside this one holds, with what it is."""
    held = []
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # it has just ended
            match process.cmdline():
                case [_, "-Pm", module]:
                    name = module.rpartition(".")[2]
                    held.append((name, process.memory_info().rss))
    return held


def _memory_bytes() -> int:
    return int(psutil.Process().memory_info().rss)
