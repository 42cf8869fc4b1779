"""Two texts spoken by two speakers, as tones: a text is a sweep, a speaker a pitch."""

import numpy as np
import pytest

from headrace.imports.backend import load_backend
from headrace.records import DataDescription
from headrace.tasks.synthesis import recogniser

RATE, SAMPLES = 8000, 4000


def take(text, speaker, seed):
    """One take ``(4000,)``, float32, zero after its end."""
    random = np.random.default_rng((text, speaker, seed))
    count = int(random.integers(2200, 3200))
    time = np.arange(count) / RATE
    pitch = (220 if speaker else 380) * random.uniform(0.97, 1.03)
    course = np.linspace(1, 2.5, count) if text == 0 else np.linspace(2.5, 1, count)
    phase = 2 * np.pi * np.cumsum(pitch * course) / RATE
    sound = sum(np.sin(k * phase) / k for k in (1, 2, 3)) * np.sin(
        np.pi * time * RATE / count
    )
    sound = 0.2 * sound + 0.003 * random.standard_normal(count)
    return np.pad(sound, (0, SAMPLES - count)).astype(np.float32)


def takes(count, first=0):
    """``count`` takes of each text and speaker, and their keys ``(n, 2)``."""
    keys = [(t, s) for t in (0, 1) for s in (0, 1) for _ in range(count)]
    seeds = [first + n % count for n in range(len(keys))]
    sounds = [take(*key, seed) for key, seed in zip(keys, seeds, strict=True)]
    return np.stack(sounds), np.array(keys)


@pytest.fixture(scope="session")
def data():
    return DataDescription(
        medium="audio",
        task="synthesis",
        shape=(SAMPLES,),
        sample_rate_hz=RATE,
        target={
            "texts": ["down", "up we go"],
            "characters": sorted(set("down up we go")),
            "longest": 8,
            "speakers": ["high", "low"],
        },
    )


@pytest.fixture(scope="session")
def quick():
    """A recogniser that is small and soon trained."""
    before = dict(recogniser.RECIPE)
    recogniser.RECIPE |= {"filters": [8, 16], "steps": 200, "augment": 0.3}
    yield
    recogniser.RECIPE.update(before)


@pytest.fixture(scope="session")
def trained(data, quick):
    load_backend()
    return recogniser.train_recogniser(*takes(8), data)
