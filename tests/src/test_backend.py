"""Keras on TensorFlow, with or without what it takes of other libraries."""

from __future__ import annotations

import json
import subprocess
import sys


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
