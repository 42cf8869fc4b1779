"""EfficientNet in NumPy, from the published weights alone.

It says what a converted backbone must give. It is slow, and only answers golden images.

Sources: M. Tan and Q. Le, EfficientNet: Rethinking Model Scaling for Convolutional
Neural Networks, ICML 2019; of Lite0, the same without squeeze and excitation, with
ReLU6 (tensorflow/tpu, models/official/efficientnet/lite). Weights that TensorFlow
trained expect its padding ``SAME``: of the zeros that are needed, the larger half comes
after the image (https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2).
Those that PyTorch trained expect equally many on both sides.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.models.backbones import Golden
from headrace.records import DataDescription

_Floats = npt.NDArray[np.float64]
_Sides = tuple[int, int]  # zeros before and after
_GOLDEN = 64, 96, 3  # rows, columns and channels of golden images


def _swish(x: _Floats) -> _Floats:
    made: _Floats = x / (1 + np.exp(-x))
    return made


_ACTIVATIONS: dict[str, Callable[[_Floats], _Floats]] = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "silu": _swish,
    "swish": _swish,
}


def golden(folder: Path) -> Golden | None:
    """Images of random pixels, and the mean of the map of each, of length 1.

    Args:
        folder: as KerasHub writes it; None is given for one of another form, or of
            other blocks.
    """
    files = (folder / "config.json", folder / "image_converter.json")
    if not all(path.is_file() for path in files):
        return None
    config, how = (json.loads(path.read_bytes()).get("config") for path in files)
    weights = layers_in(folder / "model.weights.h5")
    if config is None or how is None or not weights:
        return None
    try:
        network = EfficientNet(config, weights)
    except ValueError:
        return None
    items = np.random.default_rng(7).integers(0, 256, (4, *_GOLDEN), np.uint8)
    scale, offset = (how.get(name) for name in ("scale", "offset"))
    pixels = items * np.array(1 if scale is None else scale)
    mean = network(pixels + np.array(0 if offset is None else offset)).mean((1, 2))
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    target = {"classes": ["no", "yes"]}
    data = DataDescription(medium="image", shape=_GOLDEN, target=target)
    return Golden(data, items, mean, {"pixels": min(_GOLDEN[:2])})


def layers_in(path: Path) -> dict[str, list[Any]]:
    """The arrays of each layer in a ``.weights.h5`` by its name; empty if unnamed."""
    import h5py

    if not path.is_file():
        return {}
    with h5py.File(path) as file:
        groups = [group["vars"] for group in file.get("layers", {}).values()]
        return {
            str(arrays.attrs["name"]): [arrays[key][()] for key in sorted(arrays)]
            for arrays in groups
            if len(arrays) and "name" in arrays.attrs
        }


class EfficientNet:
    """The backbone of a configuration and its weights.

    Args:
        config: as KerasHub's ``config.json`` has it, in its ``config``. A stem with the
            padding ``same`` says that TensorFlow trained the weights.
        weights: the arrays of each layer by its name, such as ``block2a_dwconv``: a
            kernel ``(height, width, inputs, outputs)``, of a depthwise convolution
            ``(height, width, channels, 1)``, and a bias; of a normalisation scale,
            shift, mean and variance.

    Raises:
        ValueError: blocks or an activation are of another kind.
        KeyError: a layer or a field is missing.
    """

    def __init__(
        self, config: Mapping[str, Any], weights: Mapping[str, Sequence[Any]]
    ) -> None:
        kinds = set(config["stackwise_block_types"])
        if kinds != {"v1"}:
            raise ValueError(f"the blocks are {sorted(kinds)}, and not v1")
        activation = config["activation"]
        if activation not in _ACTIVATIONS:
            raise ValueError(f"the activation {activation!r} is not known")
        if config.get("projection_activation") is not None:
            raise ValueError("there is an activation after the projections")
        self._config, self._weights = config, weights
        self._act = _ACTIVATIONS[activation]
        self._is_same = config["stem_conv_padding"] == "same"

    def __call__(self, images: npt.NDArray[Any]) -> _Floats:
        """The last layer's map.

        Args:
            images: ``(n, height, width, 3)``, normalised as the backbone asks.

        Returns:
            float64 ``(n, height / 32, width / 32, channels)``, rounded up.
        """
        config = self._config
        x = np.asarray(images, np.float64)
        if config["include_stem_padding"]:
            x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        (kernel,) = self._arrays("stem_conv")
        padding = _same if self._is_same else _none
        x = self._act(self._normal(_convolve(x, kernel, 2, padding), "stem_bn"))
        stacks = zip(
            config["stackwise_num_repeats"],
            config["stackwise_depth_coefficients"],
            config["stackwise_strides"],
            strict=True,
        )
        for number, (repeats, depth, stride) in enumerate(stacks, 1):
            for repeat in range(math.ceil(repeats * depth)):
                name = f"block{number}{chr(ord('a') + repeat)}_"
                x = self._block(x, name, 1 if repeat else stride)
        x = x @ self._arrays("top_conv")[0][0, 0]
        return self._act(self._normal(x, "top_bn"))

    def _block(self, inputs: _Floats, name: str, stride: int) -> _Floats:
        """An inverted residual block; one that does not expand has no layers for it."""
        x = inputs
        if f"{name}expand_conv" in self._weights:
            x = x @ self._arrays(f"{name}expand_conv")[0][0, 0]
            x = self._act(self._normal(x, f"{name}expand_bn"))
        (kernel,) = self._arrays(f"{name}dwconv")
        padding = _same if self._is_same else _equal
        x = _convolve(x, kernel, stride, padding)
        x = self._act(self._normal(x, f"{name}dwconv_bn"))
        if f"{name}se_reduce" in self._weights:
            squeezed = x.mean(axis=(1, 2), keepdims=True)
            reduced = self._act(self._dense(squeezed, f"{name}se_reduce"))
            x = x / (1 + np.exp(-self._dense(reduced, f"{name}se_expand")))
        x = x @ self._arrays(f"{name}project")[0][0, 0]
        x = self._normal(x, f"{name}project_bn")
        return x + inputs if stride == 1 and x.shape == inputs.shape else x

    def _dense(self, x: _Floats, name: str) -> _Floats:
        kernel, bias = self._arrays(name)
        made: _Floats = x @ kernel[0, 0] + bias
        return made

    def _normal(self, x: _Floats, name: str) -> _Floats:
        scale, shift, mean, variance = self._arrays(name)
        deviation = np.sqrt(variance + self._config["batch_norm_epsilon"])
        made: _Floats = (x - mean) / deviation * scale + shift
        return made

    def _arrays(self, name: str) -> list[_Floats]:
        return [np.asarray(array, np.float64) for array in self._weights[name]]


def _none(size: int, width: int, stride: int) -> _Sides:
    return 0, 0


def _equal(size: int, width: int, stride: int) -> _Sides:
    """As PyTorch pads: as many zeros before as after."""
    return width // 2, width // 2


def _same(size: int, width: int, stride: int) -> _Sides:
    """As TensorFlow pads: the fewest zeros, the odd one after."""
    zeros = max(0, (math.ceil(size / stride) - 1) * stride + width - size)
    return zeros // 2, zeros - zeros // 2


def _convolve(
    x: _Floats,
    kernel: _Floats,
    stride: int,
    padding: Callable[[int, int, int], _Sides],
) -> _Floats:
    """Cross-correlate images, each channel by itself where the kernel's last side is 1.

    Args:
        x: ``(n, height, width, channels)``.
        kernel: ``(height, width, channels, filters or 1)``.
        stride: of rows and columns.
        padding: zeros before and after an axis, of its size, the kernel's and stride.
    """
    tall, wide = kernel.shape[:2]
    rows, columns = (
        padding(size, width, stride)
        for size, width in zip(x.shape[1:3], (tall, wide), strict=True)
    )
    x = np.pad(x, ((0, 0), rows, columns, (0, 0)))
    high, broad = ((x.shape[1] - tall) // stride, (x.shape[2] - wide) // stride)
    is_depthwise = kernel.shape[3] == 1
    made: Any = 0.0
    for row in range(tall):
        for column in range(wide):
            seen = x[
                :,
                row : row + high * stride + 1 : stride,
                column : column + broad * stride + 1 : stride,
            ]
            weight = kernel[row, column]
            made = made + (seen * weight[:, 0] if is_depthwise else seen @ weight)
    whole: _Floats = made
    return whole
