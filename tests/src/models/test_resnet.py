"""The residual family: its form, any size of image, and what it refuses."""

from collections import Counter

import pytest

from headrace import models
from headrace.errors import SpecError
from headrace.models.resnet import build
from headrace.records import DataDescription


def data_of(shape):
    return DataDescription(medium="image", shape=shape, classes=("a", "b", "c"))


def test_arguments_say_how_many_stages_and_blocks():
    _, network = models.build(
        "resnet", data_of((16, 16, 3)), {"filters": [4, 8], "blocks": 2}
    )
    shapes = [tuple(w.shape) for w in network.trainable_weights]
    assert Counter(shape for shape in shapes if len(shape) == 4) == {
        (3, 3, 3, 4): 1,
        (3, 3, 4, 4): 4,
        (3, 3, 4, 8): 1,
        (1, 1, 4, 8): 1,
        (3, 3, 8, 8): 3,
    }
    means = network.get_layer(index=-3)
    assert means.input.shape == (None, 4, 4, 8)


@pytest.mark.parametrize("arguments", [{"filters": []}, {"blocks": 0}])
def test_a_network_without_blocks_is_refused(arguments):
    message = "at least one stage, with at least one block: received filters="
    with pytest.raises(ValueError, match=message):
        build(data_of((8, 8, 1)), **arguments)
    with pytest.raises(SpecError, match=message):
        models.build("resnet", data_of((8, 8, 1)), arguments)
