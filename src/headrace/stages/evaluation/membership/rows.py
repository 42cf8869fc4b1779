"""The rows of an attack, and the halves of them that reference models learn from."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from headrace.media.forms import Flags
from headrace.stages.fitting.shards import Chosen
from headrace.tasks.forms import Split

REFERENCES = 8
MOST_ROWS = 20_000  # of each split that are attacked
# With fewer, DeLong's interval is too narrow: at a confidence of 95 % it has the area
# in 64 % of draws with 2 rows of test, in 90 % with 10, and in 94 % with 40.
LEAST_ROWS = 50
_SEED = 0


class AttackedRows:
    """The rows of train, which a model learned from, and those of test.

    An item is in a half or not, however many rows it has. Each item is in exactly half
    of the halves. The first rows of a split are attacked, which are a random sample,
    each item once; items that are in both splits are left out.

    Args:
        train, test: the splits.

    Attributes:
        splits: both.
        halves: which rows of both splits, one after the other, a reference model learns
            from, bool ``(rows, REFERENCES)``.
    """

    def __init__(self, train: Split, test: Split) -> None:
        self.splits = (train, test)
        items = np.concatenate([train.items(), test.items()])
        _, first, item = np.unique(items, return_index=True, return_inverse=True)
        random = np.random.default_rng(_SEED).random((len(first), REFERENCES))
        drawn = random.argsort(axis=1) < REFERENCES // 2
        self.halves: npt.NDArray[np.bool_] = drawn[item]
        in_train, in_test = (
            np.bincount(part, minlength=len(first)) > 0
            for part in (item[: len(train)], item[len(train) :])
        )
        once = np.zeros(len(items), bool)
        once[first] = True
        once &= ~(in_train & in_test)[item]
        once[MOST_ROWS : len(train)] = False
        once[len(train) + MOST_ROWS :] = False
        self._chosen = np.flatnonzero(once)

    def __len__(self) -> int:
        return len(self._chosen)

    @cached_property
    def is_member(self) -> Flags:
        """Which of the attacked rows are of train, bool ``(n,)``."""
        return np.asarray(self._chosen < len(self.splits[0]), bool)

    @property
    def inside(self) -> Flags:
        """The halves that each attacked row is in, bool ``(n, REFERENCES)``."""
        return self.halves[self._chosen]

    @property
    def is_enough(self) -> bool:
        """Whether there are `LEAST_ROWS` rows of each split."""
        members = int(self.is_member.sum())
        return min(members, len(self) - members) >= LEAST_ROWS

    def half(self, number: int) -> Chosen:
        """The rows that a reference model learns from."""
        return Chosen(self.splits, self.halves[:, number])

    @cached_property
    def attacked(self) -> Chosen:
        """The rows whose membership is guessed, from both splits."""
        chosen = np.zeros(len(self.halves), bool)
        chosen[self._chosen] = True
        return Chosen(self.splits, chosen)
