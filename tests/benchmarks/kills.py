"""Training killed at random moments and run again: the same weights, little lost."""

from __future__ import annotations

import random
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from .bench import HEADRACE, ROOT, Bench, Prefect, read_answer
from .measure import end_group
from .report import Row
from .runs import epochs_of

SEED = 20
BEGINS = "train: "
LIMIT_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Variant:
    """A training to kill, some seconds long.

    Attributes:
        steps: of one epoch's training, on the packaged images.
    """

    name: str
    settings: tuple[str, ...]
    checkpoint_steps: int
    steps: int = 30

    def command(self) -> list[str]:
        """The run, with a checkpoint every few steps."""
        checkpoints = f"training.checkpoint_steps={self.checkpoint_steps}"
        pairs = [("--set", text) for text in (*self.settings, checkpoints, "gates=[]")]
        return ["run", "digits", "--json", *(word for pair in pairs for word in pair)]


VARIANTS = (
    Variant(
        "mlp with dropout",
        ("training.epochs=40", "model.arguments.dropout=0.2"),
        checkpoint_steps=70,
    ),
    Variant("cnn", ("training.epochs=8", "model.builder=cnn"), checkpoint_steps=14),
)


@dataclass(frozen=True, slots=True)
class Whole:
    """A run that nobody killed.

    Attributes:
        training: seconds of the stage.
        wall: seconds in all.
        start_up: seconds before training, and of tracing.
        interval: seconds between two checkpoints.
    """

    digest: str
    training: float
    wall: float
    start_up: float
    interval: float


@dataclass(frozen=True, slots=True)
class Killed:
    """A run that was killed, and the one after it.

    Attributes:
        share: of the training, when it was killed.
        lost: seconds more, in all, than a run that nobody killed.
        allowed: seconds of one interval and of start-up.
    """

    variant: str
    share: float
    same: bool
    state: str
    lost: float
    allowed: float


def kills(bench: Bench) -> list[Row]:
    """Kill, run again and compare, the variants in turn.

    Raises:
        Unavailable: training keeps no checkpoints yet.
    """
    moments = random.Random(SEED)
    with bench.prefect() as prefect:
        wholes = [_whole(bench, prefect, variant) for variant in VARIANTS]
        done: list[Killed] = []
        for number in range(bench.options.kills):
            which = number % len(VARIANTS)
            share = moments.uniform(0.02, 0.98)
            kill = _killed(bench, prefect, VARIANTS[which], wholes[which], share)
            done.append(kill)
            bench.say(f"kills {number + 1}/{bench.options.kills}: {kill}")
    return rows_of(done, wholes)


def rows_of(done: list[Killed], wholes: list[Whole]) -> list[Row]:
    """How many had the same weights, and what was lost."""
    same = sum(kill.same for kill in done)
    states: dict[str, int] = {}
    for kill in done:
        states[kill.state] = states.get(kill.state, 0) + 1
    named = [(v.name, w) for v, w in zip(VARIANTS, wholes, strict=True)]
    return [
        Row(
            "kills",
            f"killed at {len(done)} random moments: runs with the same weights",
            same,
            unit=f"of {len(done)}",
            at_least=len(done),
            rising=True,
            parts={
                "the training stage was": states,
                "not the same": [
                    f"{k.variant} at {k.share:.3f}" for k in done if not k.same
                ],
            },
        ),
        Row(
            "kills",
            "the most lost to a kill ÷ one checkpoint interval and start-up",
            max(kill.lost / kill.allowed for kill in done),
            aim=1.0,
            parts={
                "lost, s (median)": median(kill.lost for kill in done),
                "lost, s (most)": max(kill.lost for kill in done),
                "interval, s": {n: w.interval for n, w in named},
                "start-up, s": {n: w.start_up for n, w in named},
                "training, s": {n: w.training for n, w in named},
            },
        ),
    ]


def _whole(bench: Bench, prefect: Prefect, variant: Variant) -> Whole:
    home = bench.new_home()
    ran = _run(bench, prefect, variant, home)
    answer = ran.answer()
    epochs = epochs_of(home, answer["run_id"])["epoch_seconds"]
    usual = median(epochs[1:])
    return Whole(
        digest=answer["weights_digest"],
        training=_stage(answer)["seconds"],
        wall=ran.wall,
        start_up=ran.begun + max(0.0, epochs[0] - usual),
        interval=usual * variant.checkpoint_steps / variant.steps,
    )


def _killed(
    bench: Bench, prefect: Prefect, variant: Variant, whole: Whole, share: float
) -> Killed:
    while True:
        home = bench.new_home()
        first = _run(bench, prefect, variant, home, share * whole.training)
        if first.exit_code == -signal.SIGKILL:
            break
        share *= 0.9  # it had ended before
    second = _run(bench, prefect, variant, home)
    answer = second.answer()
    return Killed(
        variant=variant.name,
        share=round(share, 4),
        same=answer["weights_digest"] == whole.digest,
        state=_stage(answer)["state"],
        lost=first.wall + second.wall - whole.wall,
        allowed=whole.interval + whole.start_up,
    )


def _stage(answer: dict[str, Any]) -> dict[str, Any]:
    return next(dict(s) for s in answer["stages"] if s["name"] == "train")


@dataclass(frozen=True, slots=True)
class Ran:
    """A run, to its end or to its kill.

    Attributes:
        wall: seconds.
        begun: seconds until training began.
    """

    exit_code: int
    wall: float
    begun: float
    stdout: str
    stderr: str

    def answer(self) -> dict[str, Any]:
        """What it answered; raises Unavailable."""
        return read_answer(self.exit_code, self.stdout, self.stderr)


def _run(
    bench: Bench,
    prefect: Prefect,
    variant: Variant,
    home: Path,
    kill_after: float | None = None,
) -> Ran:
    """Run, and kill it some seconds after training began."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [HEADRACE, *variant.command()],
        cwd=ROOT,
        env=bench.environment_of(home, prefect),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    begun, said, timer = 0.0, [], threading.Timer(LIMIT_SECONDS, end_group, [process])
    timer.start()
    try:
        for line in process.stderr or ():
            said.append(line)
            if BEGINS in line and not begun:
                begun = time.perf_counter() - started
                if kill_after is not None:
                    timer.cancel()
                    timer = threading.Timer(kill_after, end_group, [process])
                    timer.start()
        answer, _ = process.communicate()
    finally:
        timer.cancel()
        end_group(process)
    wall = time.perf_counter() - started
    return Ran(process.returncode, wall, begun, answer, "".join(said))
