"""The plan of a private fit: its samples, its noise, and what they cost.

The only door to dp-accounting. Its privacy loss distributions compose exactly, and are
rounded up: epsilon is an upper bound (S. Meiser and E. Mohammadi, Tight on Budget?,
2018; A. Koskela, J. Jälkö and A. Honkela, Computing Tight Differential Privacy
Guarantees Using FFT, 2020). Rényi bounds were a quarter larger.

Each step samples every row with one probability, independently of all others: Poisson
sampling, for which the budget is computed. So a sample may have any size. It is padded
to a size that it rarely exceeds, and a larger one is computed in several passes: no row
is ever left out, since that would make the samples depend on each other.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import importlib.util
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.display.credentials import fingerprint
from headrace.errors import UsageError
from headrace.pipeline import TrainingSpec
from headrace.pipeline.privacy import PrivacySpec
from headrace.records import FROM_RECIPE, PrivacyRecord

_ROUGH = 1e-2
# To publish one row, chosen at random, satisfies a delta of 1 / rows. With a hundredth
# of it, that happens in one of a hundred trainings at most.
DELTA_OF_ROWS = 0.01
EXACT = 1e-4  # dp-accounting's own interval, which takes seconds
_COARSE = 1e-2
_NOISES = 0.1, 1_000.0
_TOLERANCE = 1e-4  # of the logarithm of the noise
LARGER = 1e-2  # the probability that a sample does not fit into one pass
PADDING = -1
_MULTIPLE = 8


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


def check_installed() -> None:
    """Refuse to go on without dp-accounting.

    Raises:
        UsageError: the extra ``privacy`` is not installed.
    """
    if importlib.util.find_spec("dp_accounting") is None:
        raise UsageError(
            "training.privacy needs dp-accounting, which is not installed.",
            "Install it with Headrace's extra `privacy`, such as by "
            "pip install 'headrace[privacy]'.",
        )


def quick_interval(epsilon: float) -> float:
    """An interval with which a bound near ``epsilon`` is at most 0.1 % larger.

    It takes a tenth of the time of `EXACT`.
    """
    return min(_COARSE, max(EXACT, epsilon / 5_000))


@functools.lru_cache(maxsize=8)
def _one_step(noise: float, rate: float, interval: float) -> Any:
    from dp_accounting.pld import privacy_loss_distribution

    return privacy_loss_distribution.from_gaussian_mechanism(
        noise, sampling_prob=rate, value_discretization_interval=interval
    )


def epsilon_of(
    noise: float, rate: float, steps: int, delta: float, interval: float = EXACT
) -> float:
    """Epsilon of some steps, for neighbours that differ by one row.

    Args:
        noise: the standard deviation of the noise, in units of the clip.
        rate: the probability with which a step samples a row.
        steps: 0 or more.
        delta: the probability with which the bound may not hold.
        interval: of the privacy losses that are told apart.
    """
    if not steps:
        return 0.0
    composed = _one_step(noise, rate, interval).self_compose(steps)
    return float(composed.get_epsilon_for_delta(delta))


def noise_for(epsilon: float, rate: float, steps: int, delta: float) -> float:
    """The least noise with which some steps keep a budget, within about 0.1 %.

    Args:
        epsilon: the budget.
        rate, steps, delta: see `epsilon_of`.

    Raises:
        UsageError: a noise multiplier of 1,000 is not enough.
    """
    from scipy.optimize import brentq

    interval = quick_interval(epsilon)

    @functools.cache
    def excess(log_noise: float) -> float:
        spent = epsilon_of(math.exp(log_noise), rate, steps, delta, interval)
        return math.log(max(spent, 1e-9) / epsilon)

    least, most = map(math.log, _NOISES)
    low = high = 0.0
    while excess(high) > 0 and high < most:
        low, high = high, min(most, high + 1)
    while excess(low) <= 0 and low > least:
        low, high = max(least, low - 0.5), low
    if excess(high) > 0:
        raise UsageError(
            f"training.privacy.epsilon = {epsilon:g} cannot be kept for {steps:,} "
            f"steps that sample {rate:.2%} of the rows, by any noise up to 1,000.",
            "Raise epsilon, or lower training.epochs or training.batch_size.",
        )
    if excess(low) <= 0:
        return _NOISES[0]
    root = float(brentq(excess, low, high, xtol=_TOLERANCE))
    while excess(root) > 0:
        root += _TOLERANCE
    return math.exp(root)


def derive_key(secret: str, facts: Mapping[str, str]) -> bytes:
    """The key of one fit, of 32 bytes.

    It depends on all facts, so that two fits that differ in anything have other samples
    and other noise: the difference of two fits with equal noise would reveal a row.

    Args:
        secret: of the user; or, in its place, the seed of the recipe.
        facts: all that the weights depend on, by name.
    """
    lines = "\n".join(f"{name}={facts[name]}" for name in sorted(facts))
    return hmac.digest(secret.encode(), lines.encode(), "sha256")


def padded_size(rows: int, rate: float) -> int:
    """The size of a pass, which `LARGER` of all samples exceed."""
    from scipy.stats import binom

    size = int(binom.ppf(1 - LARGER, rows, rate))
    return max(1, min(rows, -(-size // _MULTIPLE) * _MULTIPLE))


@dataclass(frozen=True, slots=True)
class Sampler:
    """The samples of all steps of a fit.

    Attributes:
        key: from `derive_key`.
        rows: of train.
        rate: the probability with which a step samples a row.
        size: of a pass.
    """

    key: bytes = field(repr=False)
    rows: int
    rate: float
    size: int

    def sample(self, step: int) -> npt.NDArray[np.int32]:
        """The rows of a step, in passes, int32 ``(passes, size)``.

        The last pass is filled up with `PADDING`. There is at least one pass.

        Args:
            step: its number in the fit, from 0.
        """
        uniform = self._generator(step).random(self.rows)
        rows = np.flatnonzero(uniform < self.rate).astype(np.int32)
        passes = max(1, -(-len(rows) // self.size))
        padded = np.full(passes * self.size, PADDING, np.int32)
        padded[: len(rows)] = rows
        return padded.reshape(passes, self.size)

    def noise_seeds(self, step: int, count: int) -> npt.NDArray[np.int64]:
        """The seeds of the noise of a step for some variables, int64 ``(count, 2)``."""
        digests = (self._of_step(f"noise {n} ".encode(), step) for n in range(count))
        return np.stack([np.frombuffer(d[:16], np.int64) for d in digests])

    def _generator(self, step: int) -> np.random.Generator:
        key = np.frombuffer(self._of_step(b"sample", step)[:16], np.uint64)
        return np.random.Generator(np.random.Philox(key=key))

    def _of_step(self, purpose: bytes, step: int) -> bytes:
        text = purpose + step.to_bytes(8, "big")
        return hashlib.blake2b(text, key=self.key, digest_size=32).digest()
