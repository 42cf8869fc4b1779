"""Marks of tests that need an extra.

Nothing is imported to find out: Keras, once imported, changes what all later tests of a
process see of the environment.
"""

import importlib.util

import pytest

needs_keras_hub = pytest.mark.skipif(
    importlib.util.find_spec("keras_hub") is None, reason="extra pretrained"
)
needs_hub = pytest.mark.skipif(
    importlib.util.find_spec("huggingface_hub") is None, reason="extra hub"
)
