"""What a server takes for an answer."""

from __future__ import annotations

from statistics import median

from .bench import Bench, Unavailable
from .online import Asked, Online
from .report import Row, median_row, missing_row, ratios

SHARE = 0.8
ALONE = {"HEADRACE_REQUEST_LOG_DAYS": "0"}
WATCHED = {"HEADRACE_SHADOW_SHARE": "0.1"}


def serving(bench: Bench) -> list[Row]:
    """All rows, on one home."""
    online = Online(bench)
    rows = list[Row]()
    for measure in (_cost, _delays):
        name = measure.__name__.strip("_")
        try:
            found = measure(bench, online)
        except Unavailable as error:
            found = [missing_row("serving", name, str(error))]
        for row in found:
            bench.say(f"serving: {row.what}: {row.value} {row.note}")
        rows += found
    return rows


def _cost(bench: Bench, online: Online) -> list[Row]:
    """CPU of a request with one raw image against the barest server."""
    watched = ("--log-inputs", "--shadow", "digits/1")
    found: dict[str, list[float]] = {"barest": [], "ours": [], "watched": []}
    with (
        online.bare() as bare,
        online.serve("digits", variables=ALONE) as alone,
        online.serve("digits", *watched, variables=WATCHED) as beside,
    ):
        servers = dict(zip(found, (bare, alone, beside), strict=True))
        for _ in range(bench.options.repeats):
            for name, server in servers.items():
                found[name].append(server.cpu_a_request(online.images))
        memory = {n: s.process.memory_info().rss / 1e6 for n, s in servers.items()}
    what = "CPU of a request with one raw image ÷ the barest server"
    parts = {f"{name}, µs": 1e6 * median(cpu) for name, cpu in found.items()}
    parts["memory, MB"] = memory
    how = "with a log of inputs, and a shadow of 10 %"
    return [
        median_row(
            "serving",
            what,
            ratios(found["ours"], found["barest"]),
            at_least=1.3,
            parts=parts,
        ),
        median_row(
            "serving",
            f"{what}, {how}",
            ratios(found["watched"], found["barest"]),
            at_least=1.6,
        ),
    ]


def _delays(bench: Bench, online: Online) -> list[Row]:
    """The slowest hundredth of answers at four fifths of the capacity."""
    return [
        _delay(bench, online, a) for a in (online.images, online.texts, online.sounds)
    ]


def _delay(bench: Bench, online: Online, asked: Asked) -> Row:
    slowest, capacity = list[float](), list[float]()
    with online.serve(asked.name) as server:
        server.ask(asked)
        for _ in range(bench.options.repeats):
            capacity.append(server.ask(asked)["rate"])
            seen = server.ask(asked, rate=SHARE * capacity[-1])
            if set(seen["statuses"]) != {"200"}:
                raise Unavailable(f"not all was answered: {seen['statuses']}")
            slowest.append(seen["ms"]["p99"])
    return median_row(
        "serving",
        f"{asked.name}: p99 at {SHARE:.0%} of the capacity",
        slowest,
        unit="ms",
        at_least=asked.limit_ms,
        parts={"requests/s at most": median(capacity)},
    )
