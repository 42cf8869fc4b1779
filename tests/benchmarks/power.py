"""How often the policy promotes, by simulation: ``docs/explanation/statistics.md``.

Run it with ``python -m tests.benchmarks.power``. It takes half a minute and prints the
tables of the docs; the seed is fixed.
"""

from __future__ import annotations

import sys

import numpy as np

from headrace.gates.champion import Challenge, Opponent, champion_gate
from headrace.spec import GateSpec

GATE = GateSpec.model_validate({"name": "champion"})
TRIALS = 1000
ROWS = (1000, 2000, 5000, 10_000)
APART = (0.02, 0.05)  # rows that exactly one of the two models has right
ATTEMPTS = (1, 2, 5, 20)


def share_promoted(
    rows: int, apart: float, gain: float, attempt: int, *, new: bool
) -> float:
    """The share of challengers that are promoted.

    Args:
        rows: test items.
        apart: share of them that exactly one of the two models has right.
        gain: accuracy of the challenger minus that of the champion.
        attempt: its number.
        new: whether the items are new.
    """
    random = np.random.default_rng(7)
    better, worse = (apart + gain) / 2, (apart - gain) / 2
    outcomes = random.multinomial(rows, [better, worse, 1 - apart], TRIALS)
    promoted = 0
    for only_challenger, only_champion, _ in outcomes:
        challenger, champion = np.ones(rows, bool), np.ones(rows, bool)
        champion[:only_challenger] = False
        challenger[only_challenger : only_challenger + only_champion] = False
        every = np.ones(rows, bool)
        trial = Challenge(
            scores=challenger,
            new=every if new else ~every,
            champion=Opponent(1, champion, every),
            attempt=attempt,
            attempt_on_new=attempt,
        )
        promoted += champion_gate(GATE, trial)[0].passed
    return promoted / TRIALS


def table(gains: tuple[float, ...], *, new: bool) -> str:
    """A Markdown table: a line for rows, disagreement and attempt."""
    heads = [f"{100 * gain:+.1f} points" for gain in gains]
    lines = [
        f"| test items | apart | attempt | {' | '.join(heads)} |",
        "| --- " * (3 + len(gains)) + "|",
    ]
    for rows in ROWS:
        for apart in APART:
            for attempt in ATTEMPTS:
                shares = [
                    f"{share_promoted(rows, apart, gain, attempt, new=new):.0%}"
                    for gain in gains
                ]
                cells = [f"{rows:,}", f"{apart:.0%}", str(attempt), *shares]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    old = table((0.0, 0.005, 0.01, 0.02), new=False)
    fresh = table((-0.005, 0.0, 0.005, 0.01), new=True)
    sys.stdout.write(f"Items that were judged before\n\n{old}\n\n")
    sys.stdout.write(f"New items\n\n{fresh}\n")
