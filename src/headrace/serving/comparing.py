"""Whether a canary answers otherwise than the champion: a test without labels.

Which version answers a request is drawn by the hash of the request's id, with a known
probability p, independent of what is asked. So for an event X, such as "the answer is
7", and the assignment A (1: canary), ``(X - m) (A / p - (1 - A) / (1 - p))`` has the
mean P(X | canary) - P(X | champion), whatever m, and whatever the requests are and
however they change with time. A bet on each event that this mean is above a margin, and
one that it is below its negative, is a martingale or loses where it is not. The mean of
all bets exceeds ``1 / level`` with a probability of at most ``level``, however often it
is looked at (Ville's inequality).

Sources: S. Shekhar, A. Ramdas, Nonparametric two-sample testing by betting, IEEE
Transactions on Information Theory 70 (2024); I. Waudby-Smith, A. Ramdas, Estimating
means of bounded random variables by betting, Journal of the Royal Statistical Society B
86 (2024); J. Ville, Étude critique de la notion de collectif (1939).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

# Stakes, as shares of the largest with which no bet can lose all.
_STAKES = np.array([0.02, 0.05, 0.1, 0.2, 0.4, 0.8])

Floats = npt.NDArray[np.float64]


def log_wealth(  # noqa: PLR0913
    canary: Floats,
    champion: Floats,
    canary_all: Floats | float,
    champion_all: Floats | float,
    expected: Floats,
    share: float,
    margin: float,
) -> Floats:
    """The logarithm of what bets on events have won.

    Args:
        canary, champion: how often each event was seen, ``(..., events)``.
        canary_all, champion_all: the requests of each, ``(..., 1)``.
        expected: of each event, its share in earlier requests, or 0, ``(events,)``.
        share: of the requests that the canary gets.
        margin: by which the shares of an event may differ.

    Returns:
        ``(..., 2, events)``: that the canary has more, and that it has fewer.
    """
    gain, loss = 1 / share, -1 / (1 - share)
    counts = (canary, champion, canary_all - canary, champion_all - champion)
    present, absent = 1 - expected, -expected
    values = np.stack([present * gain, present * loss, absent * gain, absent * loss])
    both = []
    for sign in (1.0, -1.0):
        bets = sign * values - margin  # (4, events)
        most = 1 / -bets.min(axis=0)
        stakes = _STAKES[:, np.newaxis] * most  # (stakes, events)
        wins = sum(
            np.asarray(count)[..., np.newaxis, :] * np.log1p(stakes * bet)
            for count, bet in zip(counts, bets, strict=True)
        )
        both.append(_log_mean(np.asarray(wins), axis=-2))
    return np.stack(both, axis=-2)


def log_evidence(wealth: Floats) -> Floats:
    """The logarithm of the mean of all bets ``(..., 2, events)``, ``(...)``."""
    return _log_mean(wealth.reshape(*wealth.shape[:-2], -1), axis=-1)


def is_shown(evidence: Floats | float, level: float) -> npt.NDArray[np.bool_]:
    """Whether the difference is shown, with the chance ``level`` of an error."""
    return np.asarray(evidence) >= math.log(1 / level)


def _log_mean(values: Floats, axis: int) -> Floats:
    top = values.max(axis=axis, keepdims=True)
    total = np.exp(values - top).mean(axis=axis)
    return np.asarray(np.log(total) + top.squeeze(axis))
