"""Training killed at random moments and run again: the same weights, little lost."""

from __future__ import annotations

import random
import signal
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from . import machine
from .bench import Bench, Prefect, Unavailable
from .killing import Moment, run_until
from .report import Row
from .runs import epochs_of
from .whole import BATCH_SIZE

SEED = 20
TRIES = 5


@dataclass(frozen=True, slots=True)
class Variant:
    """A training to kill.

    Attributes:
        packaged: whether it is on the packaged images, not on those of the bench.
        checkpoint_steps: between two checkpoints, so that most lie inside an epoch.
    """

    name: str
    packaged: bool
    epochs: int
    checkpoint_steps: int
    settings: tuple[str, ...]

    def command(self, bench: Bench) -> list[str]:
        """The run."""
        settings = (
            f"training.epochs={self.epochs}",
            f"training.checkpoint_steps={self.checkpoint_steps}",
            "gates=[]",
            *self.settings,
        )
        pairs = [("--set", text) for text in settings]
        if not self.packaged:
            pairs.append(("--data", str(bench.options.data)))
        return ["run", "digits", "--json", *(word for pair in pairs for word in pair)]


VARIANTS = (
    Variant("mlp with dropout", False, 5, 200, ("model.arguments.dropout=0.2",)),
    Variant("cnn with dropout", True, 8, 14, ("model.builder=cnn",)),
)


@dataclass(frozen=True, slots=True)
class Whole:
    """A run that nobody killed.

    Attributes:
        trained: seconds from its start until training ended.
        epochs: seconds of each; the first from the beginning of the stage.
        interval: seconds between two checkpoints.
    """

    digest: str
    trained: float
    epochs: list[float]
    interval: float

    @property
    def tracing(self) -> float:
        """What the first epoch takes more than others: to build and to trace."""
        return max(0.0, self.epochs[0] - median(self.epochs[1:]))

    def moment(self, share: float) -> Moment:
        """When some share of its epochs is done."""
        done = int(share * len(self.epochs))
        return Moment(done, (share * len(self.epochs) - done) * self.epochs[done])


@dataclass(frozen=True, slots=True)
class Killed:
    """A run that was killed, and the one after it.

    Attributes:
        share: of the training, when it was killed.
        lost: seconds more, until training ended, than a run that nobody killed.
        start_up: seconds of the second run before its training, and of tracing.
    """

    variant: str
    share: float
    same: bool
    state: str
    lost: float
    start_up: float
    interval: float

    @property
    def lost_share(self) -> float:
        """Of one checkpoint interval and start-up."""
        return self.lost / (self.start_up + self.interval)


def kills(bench: Bench) -> list[Row]:
    """Kill, run again and compare, the variants in turn.

    Raises:
        Unavailable: training keeps no checkpoints yet.
    """
    moments = random.Random(SEED)
    variants = VARIANTS[: bench.options.kills]
    with bench.prefect() as prefect:
        before, spent = machine.now(), _seconds(prefect)
        wholes = [_whole(bench, prefect, variant) for variant in variants]
        done: list[Killed] = []
        for number in range(bench.options.kills):
            which = number % len(variants)
            share = moments.uniform(0.02, 0.98)
            kill = _killed(bench, prefect, variants[which], wholes[which], share)
            done.append(kill)
            bench.say(
                f"kills {number + 1}/{bench.options.kills}: {kill.variant} at "
                f"{kill.share:.2f}, {kill.state}, same weights: {kill.same}, "
                f"lost {kill.lost:.1f} s"
            )
        own = {process.pid for process in prefect.processes()}
        spent = _seconds(prefect) - spent
        seen = machine.surroundings(before, machine.now(), spent, own)
    return rows_of(done, machine.doubt([seen]))


def _seconds(prefect: Prefect) -> float:
    """CPU seconds of the server, and of all commands so far."""
    server = sum(machine.seconds_of(process) for process in prefect.processes())
    return server + machine.children_seconds()


def rows_of(done: list[Killed], note: str) -> list[Row]:
    """How many had the same weights, and what was lost."""
    same = sum(kill.same for kill in done)
    states: dict[str, int] = {}
    for kill in done:
        states[kill.state] = states.get(kill.state, 0) + 1
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
            max(kill.lost_share for kill in done),
            aim=1.0,
            parts={
                "lost, s (median)": median(kill.lost for kill in done),
                "lost, s (most)": max(kill.lost for kill in done),
                "start-up, s (median)": median(kill.start_up for kill in done),
                "interval, s": {k.variant: k.interval for k in done},
            },
            note=note,
        ),
    ]


def _whole(bench: Bench, prefect: Prefect, variant: Variant) -> Whole:
    home = bench.new_home()
    ran = run_until(variant.command(bench), bench.environment_of(home, prefect))
    answer = ran.answer()
    logged = epochs_of(home, answer["run_id"])["epoch_seconds"]
    steps = -(-answer["snapshot"]["rows"]["train"] // BATCH_SIZE)
    return Whole(
        digest=answer["weights_digest"],
        trained=ran.said[-1],
        epochs=[b - a for a, b in pairwise(ran.said)],
        interval=median(logged[1:]) * variant.checkpoint_steps / steps,
    )


def _killed(
    bench: Bench, prefect: Prefect, variant: Variant, whole: Whole, share: float
) -> Killed:
    """Raises Unavailable if training was over before each kill."""
    command = variant.command(bench)
    for _ in range(TRIES):
        home = bench.new_home()
        environment = bench.environment_of(home, prefect)
        first = run_until(command, environment, whole.moment(share))
        second = run_until(command, environment)
        answer = second.answer()
        state = _stage(answer)["state"]
        if first.exit_code == -signal.SIGKILL and state != "cached":
            return Killed(
                variant=variant.name,
                share=round(share, 4),
                same=answer["weights_digest"] == whole.digest,
                state=state,
                lost=first.wall + second.said[-1] - whole.trained,
                start_up=second.said[0] + whole.tracing,
                interval=whole.interval,
            )
    raise Unavailable(f"training ended {TRIES} times before it could be killed")


def _stage(answer: dict[str, Any]) -> dict[str, Any]:
    return next(dict(s) for s in answer["stages"] if s["name"] == "train")
