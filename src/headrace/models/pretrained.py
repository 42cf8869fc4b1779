"""A pretrained backbone of KerasHub, with the task's head on top."""

from __future__ import annotations

from typing import Any

from headrace.errors import SpecError
from headrace.models.backbones import check_installed, images, sounds, texts
from headrace.records import DataDescription

MEDIUM = ""  # any
YIELDS = "vector"
HEAD = {"kernel_initializer": "zeros"}  # with few rows, random weights stay a noise
RECIPE = {
    "epochs": 50,
    "batch_size": 32,
    "optimizer": "sgd",  # Adam's steps, equal in all directions, suit few rows less
    "learning_rate": 1.0,
    "decay": 0.0,
    "schedule": "cosine",
    "calibrate": True,
}
RECIPES = (
    (
        "train",
        ("last", "all", "lora"),
        {
            "epochs": 10,
            "optimizer": "adam",
            "learning_rate": 0.01,
            "weight_decay": 0.01,
        },
    ),
)
LEAST_STEPS = 100
NEEDS = ("preset",)


def build(
    data: DataDescription,
    preset: str,
    train: str = "head",
    max_tokens: int = 128,
    pixels: int = 0,
) -> tuple[Any, Any]:
    """The mean of what a backbone sees in all places of an item.

    Args:
        data: texts, images in colour, or sounds.
        preset: the backbone's folder.
        train: what is trained, see `headrace.models.backbones.training`.
        max_tokens: word pieces of a text that are read, with one before and one after.
        pixels: of an image's shorter side as the backbone takes it; 0: as it was
            trained with.

    Returns:
        (preprocessing, body): from raw items to what the backbone takes, and from there
        to ``(batch, width)``, of length 1. See `texts`, `images` and `sounds` in
        `headrace.models.backbones`.

    Raises:
        SpecError: the backbone does not suit the data.
        UsageError: the extra ``pretrained`` is not installed.
    """
    check_installed()
    if pixels and data.medium != "image":
        raise SpecError(
            f"model.arguments.pixels = {pixels} is of images, and the medium is "
            f"{data.medium}.",
            "Leave it out.",
        )
    if data.medium == "image":
        return images.build(data, preset, train, pixels)
    if data.medium == "audio":
        return sounds.build(data, preset, train)
    return texts.build(preset, train, max_tokens)
