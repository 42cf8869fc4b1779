"""A pretrained backbone for images: the mean of its last map, of length 1."""

from __future__ import annotations

import re
from typing import Any

from headrace.errors import SpecError
from headrace.models.backbones.training import choose
from headrace.records import DataDescription

SMALLEST = 64  # rows and columns of an image
_BLOCK = re.compile(r"(block\d+[a-z])_")  # of an EfficientNet, in a layer's name


def build(
    data: DataDescription, preset: str, train: str, pixels: int
) -> tuple[Any, Any]:
    """Normalised pixels, and the mean of what the backbone sees in all places.

    The parts are layers of Keras alone, without those of KerasHub, where the backbone
    is made of such. Normalisations keep their statistics, whatever is trained.

    Args:
        data: images in colour.
        preset: the backbone's folder.
        train: what is trained, see `choose`.
        pixels: of an image's shorter side as the backbone takes it; 0: as it was
            trained with, if it says so.

    Returns:
        (preprocessing, body): from ``(batch, height, width, 3)`` to float32 of the
        size that the backbone takes, and from there to ``(batch, channels)``.

    Raises:
        SpecError: images are small or grey, or the backbone is for something else.
    """
    import keras

    _check_shape(data.shape)
    backbone = _backbone(preset)
    preprocessing = _preprocessing(data, preset, pixels)
    taken = keras.Input(preprocessing.output_shape[1:], name="images")
    network = exact(backbone, taken)
    choose(train, _blocks(network), network)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization | keras.layers.Dropout):
            layer.trainable = False
    return preprocessing, _body(taken, network.outputs[0])


def _backbone(preset: str) -> Any:
    """That of a folder; refuses one that takes no images."""
    import keras_hub

    backbone = keras_hub.models.Backbone.from_preset(preset)
    if len(backbone.inputs) != 1 or len(backbone.output_shape) != 4:
        raise SpecError(
            f"The backbone {preset} is a {type(backbone).__name__}, which takes no "
            "images, or gives no map of them.",
            "Name one for images, such as an EfficientNet.",
        )
    return backbone


def _body(taken: Any, seen: Any) -> Any:
    """From images to the mean of a map, of length 1."""
    import keras

    mean = keras.layers.GlobalAveragePooling2D()(seen)
    vector = keras.layers.UnitNormalization()(mean)
    return keras.Model(taken, vector, name="pretrained")


def suits(shape: tuple[int, ...]) -> bool:
    """Whether images ``(height, width, channels)`` are like those it learned from."""
    return shape[2] == 3 and min(shape[:2]) >= SMALLEST


def _check_shape(shape: tuple[int, ...]) -> None:
    """Refuse images that a backbone for photos does not suit."""
    if suits(shape):
        return
    height, width, channels = shape
    colour = "in colour" if channels == 3 else "in grey"
    raise SpecError(
        f"A pretrained backbone takes images in colour from {SMALLEST} x {SMALLEST} "
        f"pixels, and these have {height} x {width} {colour}.",
        'Use builder = "cnn", or set data.shape and data.resize where the files have '
        "more.",
    )


def _preprocessing(data: DataDescription, preset: str, pixels: int) -> Any:
    """From raw pixels to the size and the values that the backbone was trained with."""
    import keras
    import keras_hub

    try:
        converter = keras_hub.layers.ImageConverter.from_preset(preset)
    except (ValueError, FileNotFoundError) as error:
        raise SpecError(
            f"The backbone {preset} does not say how its images are normalised: "
            f"{error}.",
            "Bring one with its image_converter.json.",
        ) from error
    layers = [keras.Input(data.shape)]
    height, width = data.shape[:2]
    shorter = min(height, width)
    wanted = pixels or min(converter.image_size or (shorter,))
    if wanted != shorter:
        sides = round(height * wanted / shorter), round(width * wanted / shorter)
        kind = converter.interpolation
        layers.append(keras.layers.Resizing(*sides, interpolation=kind))
    scale = 1.0 if converter.scale is None else converter.scale
    offset = 0.0 if converter.offset is None else converter.offset
    layers.append(keras.layers.Rescaling(scale, offset))
    return keras.Sequential(layers, name="preprocessing")


def _blocks(network: Any) -> list[list[Any]]:
    """The layers of each block; those after the last one belong to it."""
    blocks: dict[str, list[Any]] = {}
    for layer in network.layers:
        if found := _BLOCK.match(layer.name):
            blocks.setdefault(found[1], []).append(layer)
        elif blocks:
            [*_, last] = blocks.values()
            last.append(layer)
    return list(blocks.values())


def exact(backbone: Any, taken: Any) -> Any:
    """The same with the padding that its weights were trained with, and no dropout.

    KerasHub pads the depthwise convolutions of an EfficientNet equally on both sides,
    as PyTorch does. A stem with the padding ``same`` says that TensorFlow trained the
    weights, which puts the odd zero after the image, in all layers.

    Args:
        backbone: of KerasHub.
        taken: the input, ``(batch, height, width, 3)``.
    """
    import keras

    is_same = getattr(backbone, "stem_conv_padding", "") == "same"

    def clone(layer: Any) -> Any:
        config = layer.get_config()
        if isinstance(layer, keras.layers.Dropout):
            config["rate"] = 0.0
        if is_same and isinstance(layer, keras.layers.ZeroPadding2D):
            return keras.layers.Identity(name=layer.name)
        if is_same and config.get("padding") == "valid":
            config["padding"] = "same"
        return type(layer).from_config(config)

    model = keras.Model(backbone.inputs, backbone.outputs, name=backbone.name)
    copy = keras.models.clone_model(model, [taken], clone_function=clone)
    copy.set_weights(backbone.get_weights())
    return copy
