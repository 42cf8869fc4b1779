"""Seeds of a model, safe from other threads."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Build layers whose seeds depend on ``seed`` alone.

    Keras draws the seed of each layer with ``random.randint``, from the generator of
    the process. A thread that waits a random time before a retry draws from it as well,
    and would change the seeds of all later layers.

    Args:
        seed: of Keras, NumPy, TensorFlow and ``random``.
    """
    import keras

    keras.utils.set_random_seed(seed)
    ours, thread, before = random.Random(seed), threading.get_ident(), random.randint  # noqa: S311

    def randint(a: int, b: int) -> int:
        here = threading.get_ident() == thread
        return ours.randint(a, b) if here else before(a, b)

    random.randint = randint
    try:
        yield
    finally:
        random.randint = before
