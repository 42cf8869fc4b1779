"""Prints how long one answer takes, in milliseconds, as JSON.

Usage: ``python one_answer.py HOME MODEL REPEATS``. Ours is a call of a loaded model,
with its checks; the bare one is a concrete ``tf.function`` of the same Keras model.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from headrace.media import medium
from headrace.models.logged.loading import load_version
from headrace.settings import Settings
from headrace.state.ledger import Ledger
from headrace.state.tracking import GOLDEN_FILE, Tracking

CALLS = 200


def milliseconds(call: Callable[[], object]) -> float:
    """The median of calls, after two to warm up."""
    seconds = []
    for _ in range(CALLS + 2):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return 1000 * median(seconds[2:])


def main() -> None:
    """Measure, in turn."""
    home, name, repeats = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    settings = Settings(home=home)
    version = Ledger(settings.database_url).find(name)
    tracking = Tracking(settings)
    loaded = load_version(tracking, version)
    import tensorflow as tf

    golden = tracking.version_golden(version, GOLDEN_FILE)
    with np.load(io.BytesIO(golden), allow_pickle=False) as file:
        item = medium(loaded.description.medium).raw(file["items"][:1])
    kind = tf.string if item.dtype == object else item.dtype
    function = tf.function(lambda x: loaded.model(x, training=False), autograph=False)
    concrete = function.get_concrete_function(tf.TensorSpec(item.shape, kind))
    given: Any = item.tolist() if item.dtype == object else item
    found: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(repeats):
        found["bare"].append(milliseconds(lambda: concrete(tf.constant(item)).numpy()))
        found["ours"].append(milliseconds(lambda: loaded(given)))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
