"""What a server takes for an answer, and how it bears swaps and killed helpers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict
from statistics import median
from typing import Any

from .bench import HERE, Bench, Unavailable
from .load import Load
from .online import LOAD_CORE, Asked, Online, Server
from .others import OTHERS
from .report import Row, median_row, missing_row, ratios

SHARE = 0.8
SWAPS, COMMANDS = 1000, 20
SWAP_RATE = 200.0
SHADOW = ("--log-inputs", "--shadow", "digits/1", "--shadow-share", "10%")


def serving(bench: Bench) -> list[Row]:
    """All rows, on one home."""
    online = Online(bench)
    rows = []
    for measure in (_cost, _watched_cost, _others, _delays, _one_answer, _swaps):
        bench.say(f"serving: {measure.__name__.strip('_')} ...")
        try:
            rows += measure(bench, online)
        except Unavailable as error:
            rows.append(missing_row("serving", measure.__name__[1:], str(error)))
    return rows


def _cost(bench: Bench, online: Online, *options: str) -> list[Row]:
    """CPU of a request with one raw image against the barest server."""
    ours, bare = list[float](), list[float]()
    with online.bare() as least, online.serve("digits", *options) as server:
        for _ in range(bench.options.repeats):
            bare.append(least.cpu_a_request(online.images))
            ours.append(server.cpu_a_request(online.images))
        memory = server.process.memory_info().rss / 1e6
    how = "with a log of inputs and a shadow of 10 %" if options else "one raw image"
    return [
        median_row(
            "serving",
            f"CPU of the server for a request ÷ the barest server, {how}",
            ratios(ours, bare),
            at_least=1.6 if options else 1.3,
            parts={
                "ours, µs": 1e6 * median(ours),
                "barest, µs": 1e6 * median(bare),
                "memory, MB": memory,
            },
        )
    ]


def _watched_cost(bench: Bench, online: Online) -> list[Row]:
    return _cost(bench, online, *SHADOW)


def _others(bench: Bench, online: Online) -> list[Row]:
    """Servers that nobody here wrote."""
    rows = []
    with online.serve("digits") as server:
        ours = server.cpu_a_request(online.images)
        for name, serve in OTHERS.items():
            what = f"CPU of a request with one image: {name} ÷ ours"
            try:
                with serve(online) as (theirs, asked):
                    cpu = theirs.cpu_a_request(asked)
            except Unavailable as error:
                rows.append(missing_row("serving", what, str(error)))
                continue
            rows.append(Row("serving", what, cpu / ours, at_least=1.0, rising=True))
    return rows


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


def _one_answer(bench: Bench, online: Online) -> list[Row]:
    """One item through `LoadedModel` against a concrete ``tf.function``."""
    rows = []
    for asked in (online.images, online.texts, online.sounds):
        arguments = (str(online.home), asked.name, str(bench.options.repeats))
        measured = bench.python("one_answer.py", *arguments)
        if measured.exit_code:
            raise Unavailable(measured.stderr[-300:])
        found = json.loads(measured.stdout.splitlines()[-1])
        rows.append(
            median_row(
                "serving",
                f"{asked.name}: one answer of a loaded model ÷ a concrete function",
                ratios(found["ours"], found["bare"]),
                at_least=1.5,
                parts={f"{kind}, ms": median(ms) for kind, ms in found.items()},
            )
        )
    return rows


def _swaps(bench: Bench, online: Online) -> list[Row]:
    """Promotions and rollbacks under load: each answer is its version's own."""
    file = bench.place / "golden.json"
    file.write_text(json.dumps({n: online.answer("digits", n) for n in (1, 2)}))
    with online.serve("digits") as server:
        calm = [_asked(server, online, str(file)) for _ in range(2)]
        before = server.process.memory_info().rss
        load = _loading(server, online, str(file))
        begun = time.perf_counter()
        for number in range(SWAPS):
            _decide(online, number)
        seconds = time.perf_counter() - begun
        for number in range(COMMANDS):
            _command(bench, online, number)
        load.terminate()
        seen = _ended(load)
        grown = (server.process.memory_info().rss - before) / 1e6
    failed = sum(n for status, n in seen["statuses"].items() if status != "200")
    usual = max(one["ms"]["p99"] for one in calm)
    parts = {"answers": seen["statuses"], "decisions in one process, s": seconds}
    return [
        Row(
            "serving", "failed or wrong answers amid swaps", failed, "", 0, parts=parts
        ),
        Row("serving", "p99 amid swaps ÷ without", seen["ms"]["p99"] / usual, "", 1.2),
        Row("serving", "memory that swaps added", grown, "MB", 30),
    ]


def _asked(server: Server, online: Online, golden: str) -> dict[str, Any]:
    return server.ask(online.images, rate=SWAP_RATE, golden=golden)


def _loading(server: Server, online: Online, golden: str) -> subprocess.Popen[str]:
    load = Load(
        port=server.port,
        path=online.images.path,
        body=str(online.images.body),
        type=online.images.type,
        rate=SWAP_RATE,
        seconds=600,
        core=LOAD_CORE,
        golden=golden,
    )
    script = [sys.executable, str(HERE / "load.py"), json.dumps(asdict(load))]
    return subprocess.Popen(script, stdout=subprocess.PIPE, text=True)


def _ended(load: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = load.communicate(timeout=60)
    return dict(json.loads(out))


def _decide(online: Online, number: int) -> None:
    """A promotion of version 1, or the rollback of it."""
    ledger = online.ledger
    how = {"who": "benchmark", "why": "a swap"}
    sequence = ledger.sequence("digits")
    if number % 2:
        ledger.rollback("digits", expected_sequence=sequence, **how)
    else:
        ledger.promote("digits", 1, expected_sequence=sequence, forced=True, **how)


def _command(bench: Bench, online: Online, number: int) -> None:
    words = ["rollback", "digits", "--reason", "a swap", "--json"]
    if number % 2 == 0:
        words = ["promote", "digits", "1", "--force", "--reason", "a swap", "--json"]
    measured = bench.headrace(*words, home=online.home)
    if measured.exit_code:
        raise Unavailable(measured.stderr[-300:])
