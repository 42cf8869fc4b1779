"""What it costs a search that the trials of a wave do not know of each other.

``python -m tests.benchmarks.waves`` searches functions whose best value is known, with
many seeds, by waves of several sizes. A function stands for a training: it has a value
at once. The regret is how far the best value found is above the least one there is, as
a share of the range from it to the median of random points.
"""

from __future__ import annotations

import json
import math
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from multiprocessing import Pool
from typing import Any

from headrace.use.tuning.space import Point, parse_search
from headrace.use.tuning.study import Metric, Study, Trial

WAVES = (1, 4, 8)
TRIALS = (12, 20, 40)
SEEDS = 100
Values = Sequence[float]


class Memory:
    """A store of nothing: what a search has found is in the study itself."""

    def read_record(self, *_: Any) -> None:
        """There is none."""

    def write_json(self, *_: Any) -> None:
        """It is forgotten."""


def branin(x: Values) -> float:
    """Of two variables, with three equal minima."""
    a, b = 15 * x[0] - 5, 15 * x[1]
    inner = b - 5.1 * a**2 / (4 * math.pi**2) + 5 * a / math.pi - 6
    return inner**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(a) + 10


def rosenbrock(x: Values) -> float:
    """Of two variables, with a curved valley."""
    a, b = 4 * x[0] - 2, 4 * x[1] - 2
    return (1 - a) ** 2 + 100 * (b - a * a) ** 2


def ackley(x: Values) -> float:
    """Of four variables, with many local minima."""
    z = [12 * value - 4 for value in x]
    root = math.sqrt(sum(v * v for v in z) / len(z))
    waves = sum(math.cos(2 * math.pi * v) for v in z) / len(z)
    return -20 * math.exp(-0.2 * root) - math.exp(waves) + 20 + math.e


_ALPHA = (1.0, 1.2, 3.0, 3.2)
_A = (
    (10, 3, 17, 3.5, 1.7, 8),
    (0.05, 10, 17, 0.1, 8, 14),
    (3, 3.5, 1.7, 10, 17, 8),
    (17, 8, 0.05, 10, 0.1, 14),
)
_P = (
    (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
    (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
    (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
    (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
)


def hartmann(x: Values) -> float:
    """Of six variables."""
    return -sum(
        alpha * math.exp(-sum(a * (v - p) ** 2 for a, v, p in zip(*row, strict=True)))
        for alpha, *row in zip(
            _ALPHA, *([r for r in m] for m in (_A, [x] * 4, _P)), strict=True
        )
    )


FUNCTIONS: dict[str, tuple[Callable[[Values], float], int, float]] = {
    "branin": (branin, 2, 0.397887),
    "rosenbrock": (rosenbrock, 2, 0.0),
    "ackley": (ackley, 4, 0.0),
    "hartmann": (hartmann, 6, -3.32237),
}


def searched(
    function: Callable[[Point], float], texts: list[str], wave: int, seed: int
) -> list[float]:
    """The best value after each trial of one search."""
    space = parse_search(texts)[1]
    study = Study({}, space, Metric("val_loss", True), seed, None, Memory(), wave)  # type: ignore[arg-type]
    best = []
    for number in range(1, max(TRIALS) + 1):
        point, _ = study.ask(number)
        value = function(point)
        study.add(
            Trial(
                number=number,
                state="completed",
                point=point,
                value=value,
                curve=(value,),
                seconds=0,
                fit_seconds=0,
                run_id="",
            )
        )
        best.append(min([value, *best[-1:]]))
    return best


def regrets(task: tuple[str, int, int]) -> list[float]:
    """The regret after each number of `TRIALS` of one search of a function."""
    name, wave, seed = task
    function, size, least = FUNCTIONS[name]
    texts = [f"training.x{number}=uniform(0,1)" for number in range(size)]
    draws = random.Random(0)
    points = [[draws.random() for _ in range(size)] for _ in range(2001)]
    scale = statistics.median(map(function, points)) - least
    best = searched(
        lambda p: function([float(v) for v in p.values()]), texts, wave, seed
    )
    return [(best[trials - 1] - least) / scale for trials in TRIALS]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and half of its interval at 95 %."""
    half = 1.96 * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.fmean(values), half


def main() -> None:
    """Print the regrets, and the paired differences from one by one."""
    with Pool(2) as pool:
        for name in FUNCTIONS:
            found = {
                wave: pool.map(regrets, [(name, wave, seed) for seed in range(SEEDS)])
                for wave in WAVES
            }
            for index, trials in enumerate(TRIALS):
                row: dict[str, Any] = {"function": name, "trials": trials}
                for wave, results in found.items():
                    mean, half = interval([one[index] for one in results])
                    row[f"wave {wave}"] = f"{mean:.4f} ± {half:.4f}"
                    pairs = zip(results, found[1], strict=True)
                    more, by = (
                        interval([a[index] - b[index] for a, b in pairs])
                        if wave > 1
                        else (0.0, 0.0)
                    )
                    if wave > 1:
                        row[f"wave {wave} - 1"] = f"{more:+.4f} ± {by:.4f}"
                sys.stdout.write(json.dumps(row) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
