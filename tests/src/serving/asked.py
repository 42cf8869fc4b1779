"""Answered requests of small models of each medium, for tests."""

import time

import numpy as np

from headrace.media import medium
from headrace.records import DataDescription
from headrace.serving.answered import Answered

IMAGES = DataDescription(
    medium="image", shape=(8, 8, 1), target={"classes": ["one", "three", "nine"]}
)
TEXTS = DataDescription(
    medium="text", shape=(64,), mask=("email",), target={"classes": ["ham", "spam"]}
)
SOUNDS = DataDescription(
    medium="audio",
    shape=(800,),
    sample_rate_hz=8000,
    task="regression",
    target={"low": 0.0},
)
NOON_US = 1_800_000_000_000_000 // 3_600_000_000 * 3_600_000_000


def given(kind, count=1, seed=0):
    """Items as a user gives them."""
    random = np.random.default_rng(seed)
    if kind.medium == "text":
        words = ["call", "now", "free", "see you", "at nine", "ada@lab.org", "käse"]
        return [f"{i} {' '.join(random.choice(words, 4))}" for i in range(count)]
    if kind.medium == "audio":
        return random.uniform(-0.5, 0.5, (count, *kind.shape)).astype(np.float32)
    return random.integers(0, 256, (count, *kind.shape), np.uint8)


def an_answer(
    request_id="r0",
    kind=IMAGES,
    *,
    count=1,
    time_us=None,
    model="digits",
    version=2,
    role="champion",
    outputs=None,
    items=None,
    seed=0,
    latency_ms=1.5,
):
    """One answered request."""
    if items is None:
        items = given(kind, count, seed)
    items = medium(kind.medium).check_input(items, kind)
    if outputs is None:
        width = len(kind.target.get("classes", "1"))
        outputs = np.random.default_rng(seed).dirichlet(np.ones(width), len(items))
    return Answered(
        request_id,
        time.time_ns() // 1000 if time_us is None else time_us,
        model,
        version,
        role,
        items,
        np.asarray(outputs, np.float32),
        latency_ms,
        "onnx",
        kind,
    )
