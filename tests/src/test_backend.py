"""Keras on TensorFlow, with or without what it takes of other libraries."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import weakref

import numpy as np

from headrace.backend import compiled, load_backend


def test_alone_it_leaves_other_libraries_out_and_hides_none() -> None:
    code = (
        "import sys, json\n"
        "from headrace.backend import load_backend\n"
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


def test_a_compiled_model_answers_as_predict_does_and_is_not_kept() -> None:
    load_backend()
    import keras

    inputs = keras.Input((3,))
    outputs = keras.layers.Dense(2)(keras.layers.Dropout(0.5)(inputs))
    model = keras.Model(inputs, outputs)
    items = np.random.default_rng(5).random((4, 3), np.float32)
    given = compiled(model)(items)
    assert np.array_equal(given, model.predict_on_batch(items))
    assert compiled(model) is compiled(model)
    model.set_weights([np.zeros_like(value) for value in model.get_weights()])
    assert not compiled(model)(items).any()
    known = weakref.ref(model)
    del model, inputs, outputs
    keras.backend.clear_session()
    gc.collect()
    assert known() is None
