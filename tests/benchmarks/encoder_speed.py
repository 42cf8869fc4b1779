"""Prints the CPU of an engine for a text, and of its graph for the ids, as JSON.

Usage: ``python encoder_speed.py HOME MODEL TEXT``. Both have one thread and take turns;
milliseconds of a call are the median of those that follow each other.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime

from headrace.models.engines import formats
from headrace.models.engines.pieces import WordPieces
from headrace.models.engines.stored import open_unchecked, read_stored
from headrace.settings import Settings
from headrace.state.ledger import Ledger

TURNS, CALLS = 20, 20


def main() -> None:
    """Measure, in turn."""
    settings = Settings(home=Path(sys.argv[1]))
    version = Ledger(settings.database_url).find(sys.argv[2])
    stored = read_stored(version, settings)
    if stored is None:
        raise SystemExit("there is no engine")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        stored.files["model.onnx"], options, providers=["CPUExecutionProvider"]
    )
    ids = WordPieces(**json.loads(stored.files[formats.PIECES]))([sys.argv[3]])
    engine = open_unchecked(stored, (len(version.description.classes),))
    texts = np.array([sys.argv[3]], object)
    calls: dict[str, Callable[[], Any]] = {
        "bare": lambda: session.run(None, {"ids": ids}),
        "engine": lambda: engine(texts),
    }
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(TURNS + 1):
        for name, call in calls.items():
            started = time.process_time()
            for _ in range(CALLS):
                call()
            found[name].append((time.process_time() - started) / CALLS)
    medians = {name: 1000 * median(seconds[1:]) for name, seconds in found.items()}
    sys.stdout.write(json.dumps(medians) + "\n")


if __name__ == "__main__":
    main()
