"""The model builders on a GPU, on another Keras backend than training uses."""

import pytest

from headrace import models


def test_the_builders_learn_under_jax(on_jax):
    answer = on_jax("builders")
    names = models.builder_names("image") + models.builder_names("audio")
    assert list(answer["builders"]) == names
    for found in answer["builders"].values():
        assert found["losses"][-1] < found["losses"][0]
        assert found["sums"] == pytest.approx([1, 1], abs=1e-4)
        assert found["accuracy"] >= 0.9
