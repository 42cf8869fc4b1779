"""Which rows a step samples, from a key that is as secret as the samples.

Each step samples every row with one probability, independently of all others: Poisson
sampling, for which the budget is computed. So a sample may have any size. It is padded
to a size that it rarely exceeds, and a larger one is computed in several passes: no row
is ever left out, since that would make the samples depend on each other.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

LARGER = 1e-2  # the probability that a sample does not fit into one pass
PADDING = -1
_MULTIPLE = 8


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
