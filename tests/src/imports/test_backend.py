"""Keras on TensorFlow, with or without what it takes of other libraries."""

import gc
import json
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from headrace.imports.backend import compiled, load_backend


@pytest.mark.system
def test_alone_it_leaves_other_libraries_out_and_hides_none():
    code = (
        "import sys, json\n"
        "from headrace.imports.backend import load_backend\n"
        "load_backend(minimal=True)\n"
        "others = {'matplotlib', 'pandas', 'scipy', 'sklearn'}\n"
        "seen = sorted(others & set(sys.modules))\n"
        "import keras, pandas, scipy, matplotlib\n"
        "model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])\n"
        "shape = model(keras.ops.ones((3, 2))).shape\n"
        "print(json.dumps([keras.backend.backend(), seen, list(shape)]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == ["tensorflow", [], [3, 1]]
    assert done.stderr == ""


def test_a_compiled_model_answers_as_predict_does_and_is_not_kept():
    load_backend()
    import keras

    class Counted(keras.layers.Dense):
        calls = 0

        def call(self, inputs):
            Counted.calls += 1
            return super().call(inputs)

    inputs = keras.Input((3,))
    model = keras.Model(inputs, Counted(2)(keras.layers.Dropout(0.5)(inputs)))
    items = np.random.default_rng(5).random((4, 3), np.float32)
    compute, calls = compiled(model), Counted.calls
    given = compute(items)
    assert [len(compute(items[:count])) for count in (3, 1, 0)] == [3, 1, 0]
    assert compiled(model) is compute and Counted.calls == calls
    assert np.allclose(given, model.predict_on_batch(items), rtol=0, atol=1e-6)
    for dtype in (np.uint8, np.int16, np.int64):
        numbers = np.arange(12).reshape(4, 3).astype(dtype)
        assert np.array_equal(compute(numbers), compute(numbers.astype(np.float32)))
    model.set_weights([np.zeros_like(value) for value in model.get_weights()])
    assert not compute(items).any()
    known = weakref.ref(model)
    del model, inputs, compute
    keras.backend.clear_session()
    gc.collect()
    assert known() is None


def test_threads_share_a_compiled_model():
    load_backend()
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    items = np.random.default_rng(6).random((400, 3), np.float32)
    blocks = np.split(items, 40)
    with ThreadPoolExecutor(4) as threads:
        made = {*threads.map(lambda _: compiled(model), range(8))}
        answers = [*threads.map(compiled(model), blocks)]
    assert len(made) == 1
    assert np.allclose(
        np.concatenate(answers), model.predict_on_batch(items), atol=1e-6
    )
