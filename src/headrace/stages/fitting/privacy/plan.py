"""The plan of a private fit: its samples, its noise, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.display.credentials import fingerprint
from headrace.errors import UsageError
from headrace.pipeline import TrainingSpec
from headrace.pipeline.privacy import PrivacySpec
from headrace.records import FROM_RECIPE, PrivacyRecord
from headrace.stages.fitting.privacy.accounting import (
    EXACT,
    check_installed,
    epsilon_of,
    noise_for,
    quick_interval,
)
from headrace.stages.fitting.privacy.sampling import (
    Sampler,
    derive_key,
    padded_size,
)

_ROUGH = 1e-2
# To publish one row, chosen at random, satisfies a delta of 1 / rows. With a hundredth
# of it, that happens in one of a hundred trainings at most.
DELTA_OF_ROWS = 0.01


@dataclass(frozen=True, slots=True)
class Privacy:
    """The plan.

    Attributes:
        sampler: of the rows of each step.
        noise: the standard deviation of the noise, in units of the clip.
        clip: the largest norm of the gradient of one row.
        delta: the probability with which the bound may not hold.
        budget: epsilon of the recipe; None where it gives the noise.
        interval: of quick bounds on epsilon.
        secret: the fingerprint of the user's secret; empty where there is none.
    """

    sampler: Sampler
    noise: float
    clip: float
    delta: float
    budget: float | None
    interval: float
    secret: str

    def epsilon(self, steps: int, *, exactly: bool = False) -> float:
        """What some steps have spent; an upper bound, by default a quick one."""
        interval = EXACT if exactly else self.interval
        return epsilon_of(self.noise, self.sampler.rate, steps, self.delta, interval)

    def allows(self, steps: int) -> bool:
        """Whether the budget allows so many steps in all."""
        if self.budget is None:
            return True
        most = self.budget * (1 + 1e-9)
        return self.epsilon(steps) <= most or self.epsilon(steps, exactly=True) <= most

    def __str__(self) -> str:
        """The plan in one line."""
        sampler = self.sampler
        goal = "" if self.budget is None else f" for epsilon {self.budget:g}"
        return (
            f"private, noise {self.noise:.4g}{goal} at delta {self.delta:.2g}, "
            f"{sampler.rate * sampler.rows:.0f} of {sampler.rows:,} rows in a step on "
            "average"
        )

    @property
    def params(self) -> dict[str, str]:
        """What the recipe leaves open, for MLflow."""
        return {
            "privacy.noise": f"{self.noise:.6g}",
            "privacy.delta": f"{self.delta:.6g}",
            "privacy.rate": f"{self.sampler.rate:.6g}",
            "privacy.seed": self.seed,
        }

    @property
    def seed(self) -> str:
        """The fingerprint of the secret, or the word for the recipe's seed."""
        return self.secret or FROM_RECIPE

    @property
    def facts(self) -> dict[str, str]:
        """What must be equal for a fit to resume, or to be repeated."""
        return {"privacy_key": fingerprint(self.sampler.key)}

    def record(self, steps: int) -> PrivacyRecord:
        """The record of a fit of so many steps."""
        return PrivacyRecord(
            epsilon=self.epsilon(steps, exactly=True),
            delta=self.delta,
            noise=self.noise,
            clip=self.clip,
            rate=self.sampler.rate,
            rows=self.sampler.rows,
            steps=steps,
            seed=self.seed,
        )


def plan_privacy(
    training: TrainingSpec,
    rows: int,
    batch_size: int,
    facts: Mapping[str, str],
    secret: str = "",
) -> Privacy | None:
    """The plan of a fit; None where the recipe is not private.

    Args:
        training: the recipe.
        rows: of train.
        batch_size: the expected size of a sample.
        facts: all that the weights depend on, by name.
        secret: of the user; empty: samples and noise follow from the recipe's seed.

    Raises:
        UsageError: dp-accounting is not installed, or no noise keeps the budget.
    """
    spec = training.privacy
    if spec is None:
        return None
    check_installed()
    rate, delta = batch_size / rows, spec.delta or DELTA_OF_ROWS / rows
    steps = training.epochs * -(-rows // batch_size)
    noise = _noise(spec, rate, steps, delta)
    budget = spec.epsilon or epsilon_of(noise, rate, steps, delta, _ROUGH)
    key = derive_key(secret or f"{FROM_RECIPE} {training.seed}", facts)
    return Privacy(
        sampler=Sampler(key, rows, rate, padded_size(rows, rate)),
        noise=noise,
        clip=spec.clip,
        delta=delta,
        budget=spec.epsilon,
        interval=quick_interval(budget),
        secret=fingerprint(secret.encode()) if secret else "",
    )


def _noise(spec: PrivacySpec, rate: float, steps: int, delta: float) -> float:
    if spec.noise is not None:
        return spec.noise
    if spec.epsilon is None:
        raise UsageError("training.privacy gives neither epsilon nor noise.")
    return noise_for(spec.epsilon, rate, steps, delta)
