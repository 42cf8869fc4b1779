"""What a server takes for an answer, and how it bears swaps and killed helpers."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil

from .bench import HERE, Bench, Unavailable
from .load import Load
from .online import LOAD_CORE, SECONDS, Asked, Online, Server
from .others import OTHERS
from .report import Row, median_row, missing_row, ratios

SHARE = 0.8
SETTLE_SECONDS = 2.0
SWAPS, COMMANDS = 1000, 20
SWAP_RATE = 200.0
NICENESS = 19
ALONE = {"HEADRACE_REQUEST_LOG_DAYS": "0"}
WATCHED = {"HEADRACE_SHADOW_SHARE": "0.1"}


def serving(bench: Bench) -> list[Row]:
    """All rows, on one home."""
    online = Online(bench)
    rows = list[Row]()
    for measure in (_cost, _others, _delays, _one_answer, _score, _swaps, _kills):
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
    how = "with a log of inputs, its process, and a shadow of 10 %"
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


def _others(bench: Bench, online: Online) -> list[Row]:
    """Servers that nobody here wrote."""
    rows = []
    with online.serve("digits", variables=ALONE) as server:
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


def _score(bench: Bench, online: Online) -> list[Row]:
    """Batch scoring of a file against predictions of arrays in memory."""
    file = bench.place / "images.npz"
    with np.load(bench.options.data) as arrays:
        np.savez(file, x=np.tile(arrays["x_train"], (4, 1, 1)))
    arguments = (str(online.home), str(file), str(bench.options.repeats))
    measured = bench.python("score_speed.py", *arguments)
    if measured.exit_code:
        raise Unavailable(measured.stderr[-300:])
    found = json.loads(measured.stdout.splitlines()[-1])
    return [
        median_row(
            "serving",
            "score, rows/s ÷ Keras's predict of arrays in memory",
            ratios(found["ours"], found["bare"]),
            at_least=1.0,
            rising=True,
            parts={f"{kind}, rows/s": median(rates) for kind, rates in found.items()},
        )
    ]


def _swaps(bench: Bench, online: Online) -> list[Row]:
    """Promotions and rollbacks under load: each answer is its version's own."""
    golden = bench.place / "golden.json"
    answers = {n: online.answer("digits", n) for n in (1, 2)}
    golden.write_text(json.dumps(answers))
    amid, undisturbed = list[float](), list[float]()
    statuses, memory = Counter[str](), list[int]()
    with online.serve("digits") as server:
        for _ in range(bench.options.repeats):
            calm = [_asked(server, online, str(golden)) for _ in range(2)]
            undisturbed.append(max(one["ms"]["p99"] for one in calm))
            memory.append(server.process.memory_info().rss)
            load = _loading(server, online, str(golden))
            _decide(bench, online.home)
            seen = _ended(load)
            memory.append(server.process.memory_info().rss)
            amid.append(seen["ms"]["p99"])
            statuses.update(seen["statuses"])
    grown = (max(memory) - memory[0]) / 1e6
    return [
        Row(
            "serving",
            "failed or wrong answers amid swaps",
            statuses.total() - statuses["200"],
            "",
            0,
            parts={"answers": dict(statuses)},
        ),
        median_row(
            "serving",
            "p99 amid swaps ÷ undisturbed",
            ratios(amid, undisturbed),
            at_least=1.2,
            parts={
                "p99 amid swaps, ms": median(amid),
                "p99 undisturbed, ms": median(undisturbed),
            },
        ),
        Row("serving", "memory that swaps added", grown, "MB", 30),
    ]


def _kills(bench: Bench, online: Online) -> list[Row]:
    """Helpers and the ledger are lost, one after the other, under load."""
    version = online.ledger.find("messages")
    shutil.rmtree(online.home / "store" / "engines" / version.model_digest)
    arguments = ("digits", "messages", "--log-inputs", "--shadow", "digits/1")
    ledger = online.home / "headrace.db"
    away = ledger.with_suffix(".away")
    with online.serve(*arguments, variables=WATCHED) as server:
        server.ask(online.images, seconds=1.0)
        time.sleep(SETTLE_SECONDS)  # its helpers have just started
        load = _loading(server, online, "")
        for module in ("engines.exporting", "engines.answering", "log_writer"):
            _kill(server, module)
            time.sleep(SECONDS)
        ledger.rename(away)
        time.sleep(SECONDS)
        away.rename(ledger)
        seen = _ended(load)
        calm = [_asked(server, online, "") for _ in range(2)]
    failed = sum(n for status, n in seen["statuses"].items() if status != "200")
    delays = [one["ms"]["p99"] for one in calm]
    parts = {"answers": seen["statuses"], "p99 undisturbed, ms": delays}
    what = "failed answers while helpers are killed and the ledger is gone"
    return [
        Row("serving", what, failed, "", 0, parts=parts),
        Row("serving", "p99 meanwhile", seen["ms"]["p99"], "ms", max(delays)),
    ]


def _kill(server: Server, module: str) -> None:
    """Kill the first helper that runs a module, once it is there."""
    for _ in range(600):
        for child in server.process.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if any(module in word for word in child.cmdline()):
                    child.kill()
                    return
        time.sleep(0.1)
    raise Unavailable(f"the server has no process of {module}")


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
    load.terminate()
    out, _ = load.communicate(timeout=60)
    return dict(json.loads(out))


def _decide(bench: Bench, home: Path) -> None:
    """Promotions and rollbacks that leave both cores to the server and its load."""
    # A command leads a session, and Linux shares a core out by session first.
    step_back = f'echo {NICENESS} > /proc/self/autogroup; exec nice -n {NICENESS} "$@"'
    polite = ("sh", "-c", step_back, "sh")
    together = bench.python("deciding.py", str(home), str(SWAPS), limits=polite)
    promote = ("promote", "digits", "1", "--force", "--reason", "a swap", "--json")
    rollback = ("rollback", "digits", "--reason", "a swap", "--json")
    apart = [
        bench.headrace(*(rollback if number % 2 else promote), home=home, limits=polite)
        for number in range(COMMANDS)
    ]
    for measured in (together, *apart):
        if measured.exit_code:
            raise Unavailable(measured.stderr[-300:])
