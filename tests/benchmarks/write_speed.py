"""Prints the characters a second of a language model, as JSON.

Ours are `stream_text`; the bare one is a compiled loop of the same model that draws
with ``tf.random.categorical``. The models have the sizes of those of the two pipelines,
and are not trained; their n-grams are of random texts.
Usage: ``python write_speed.py REPEATS``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from headrace.models import gru_lm
from headrace.records import DataDescription
from headrace.tasks.generation.following import Following
from headrace.tasks.generation.learn import HEAD
from headrace.tasks.generation.mixing import mix
from headrace.tasks.generation.writing import Writer, stream_text

CHARACTERS, TEXTS = 2_000, 5_000
ORDERS = {"plays": 8, "poems": 4}
DATA = DataDescription(medium="text", task="generation", shape=(512,))
MODELS: dict[str, dict[str, Any]] = {
    "plays": {"max_tokens": 80},
    "poems": {"width": 96, "grams": [2, 3], "max_tokens": 6000, "tied": True},
}


def a_model(name: str) -> Any:
    """A saved model of a pipeline's size, which knows as many characters."""
    keras.utils.set_random_seed(1)
    preprocessing, network = gru_lm.build(DATA, **MODELS[name])
    size = MODELS[name]["max_tokens"]
    known = np.arange(0x4E00, 0x4E00 + size - 2, dtype=np.int32)
    preprocessing.layers[-1].adapt(known[np.newaxis])
    chance = np.random.default_rng(1)
    drawn = (chance.pareto(1.0, (TEXTS, 100)) * 5).astype(np.int32) % (size - 2) + 2
    mixed, _ = mix(network, [*drawn], [*drawn[:100]], ORDERS[name], marks=[0])
    return HEAD.compose(preprocessing, mixed, DATA)


def bare_loop(model: Any) -> Callable[[], Any]:
    """Writes one text of `CHARACTERS`."""
    following = Following(model)

    @tf.function(autograph=False)
    def write(states: list[Any]) -> Any:
        outputs = tf.TensorArray(tf.int32, CHARACTERS)

        def advance(number: Any, id_: Any, outputs: Any, *states: Any) -> Any:
            logits, *states = following(id_, *states)
            id_ = tf.random.categorical(logits, 1, dtype=tf.int32)
            return number + 1, id_, outputs.write(number, id_[:, 0]), *states

        begin = (tf.constant(0), tf.zeros((1, 1), tf.int32), outputs, *states)
        _, _, outputs, *_ = tf.while_loop(lambda n, *_: n < CHARACTERS, advance, begin)
        return outputs.stack()

    states = [tf.zeros((1, *shape[1:]), dtype) for shape, dtype in following.states]
    return lambda: write(states).numpy()


def main() -> None:
    """Measure, in turn."""
    found: dict[str, dict[str, list[float]]] = {}
    for name in MODELS:
        model = a_model(name)
        writer, bare = Writer(model), bare_loop(model)

        def ours(writer: Writer = writer) -> int:
            pieces = stream_text(writer, "", 1, CHARACTERS, 1.0, may_end=False)
            return sum(map(len, pieces))

        rates: dict[str, list[float]] = {"ours": [], "bare": []}
        for turn in range(int(sys.argv[1]) + 1):
            began = time.perf_counter()
            bare()
            middle = time.perf_counter()
            written = ours()
            ended = time.perf_counter()
            if turn:
                rates["bare"].append(CHARACTERS / (middle - began))
                rates["ours"].append(written / (ended - middle))
        found[name] = rates
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
