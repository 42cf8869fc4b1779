"""Pictures in colour that look a little like photos: textures, and things on them.

All follow from a generator of random numbers. Colours, light, place, size and turn of
what is shown are random, so that only its form tells what it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]
Points = list[tuple[float, float]]
_FINE = 2  # pixels drawn for one, on each side


def noise(random: np.random.Generator, side: int, cells: int, octaves: int = 4) -> Any:
    """Smooth noise of 0 to 1, ``(side, side)``."""
    total = np.zeros((side, side))
    for octave in range(octaves):
        count = cells * 2**octave
        coarse = Image.fromarray(random.random((count, count)).astype(np.float32))
        fine = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))
        total += fine / 2**octave
    low, high = total.min(), total.max()
    return (total - low) / (high - low)


def _dots(x: Floats, y: Floats, rough: Floats) -> Any:
    return np.hypot(x % 1 - 0.5, y % 1 - 0.5) < 0.3


def _bricks(x: Floats, y: Floats, rough: Floats) -> Any:
    row = np.floor(y * 1.6)
    is_mortar = (y * 1.6 % 1 < 0.14) | ((x * 0.8 + row / 2) % 1 < 0.07)
    return np.where(is_mortar, 1.0, 0.35 * rough)


def _scales(x: Floats, y: Floats, rough: Floats) -> Any:
    row = np.floor(y * 2)
    across = (x + row % 2 / 2) % 1 - 0.5
    return np.clip(1.6 * np.hypot(across, y * 2 % 1), 0, 1)


def _weave(x: Floats, y: Floats, rough: Floats) -> Any:
    over = (np.floor(2 * x) + np.floor(2 * y)) % 2 == 0
    return np.where(over, np.abs(np.sin(2 * np.pi * y)), np.abs(np.sin(2 * np.pi * x)))


def _gravel(x: Floats, y: Floats, rough: Floats) -> Any:
    seeds = np.random.default_rng(int(rough[0, 0] * 2**32)).random((2, 90)) * 12 - 3
    far = np.hypot(x[..., None] - seeds[0], y[..., None] - seeds[1])
    nearest = np.partition(far, 1, axis=-1)
    return np.clip(2.5 * (nearest[..., 1] - nearest[..., 0]), 0, 1)


TEXTURES: dict[str, Callable[[Floats, Floats, Floats], Any]] = {
    "bricks": _bricks,
    "checks": lambda x, y, rough: (np.floor(x) + np.floor(y)) % 2,
    "clouds": lambda x, y, rough: rough,
    "dots": _dots,
    "gravel": _gravel,
    "marble": lambda x, y, rough: np.abs(np.sin(1.5 * x + 9 * rough)) ** 0.4,
    "scales": _scales,
    "stripes": lambda x, y, rough: np.sin(2 * np.pi * x) > 0,
    "weave": _weave,
    "wood": lambda x, y, rough: np.sin(9 * (x + 0.15 * y + 1.2 * rough)) / 2 + 0.5,
}


def texture(random: np.random.Generator, side: int, name: str) -> Floats:
    """A surface in two random colours, ``(side, side, 3)`` of 0 to 1."""
    angle, cells = random.uniform(0, np.pi), random.uniform(3, 6)
    place = (np.arange(side) / side - 0.5) * cells
    right, down = np.meshgrid(place, place)
    down = down * random.uniform(0.75, 1.3)
    x = right * np.cos(angle) - down * np.sin(angle) + random.uniform(0, 9)
    y = right * np.sin(angle) + down * np.cos(angle) + random.uniform(0, 9)
    if name == "gravel":
        x, y = x % 6, y % 6
    rough = noise(random, side, 3)
    share = np.clip(TEXTURES[name](x, y, rough), 0, 1)[..., None]
    one, other = random.random((2, 3))
    while np.abs(one - other).max() < 0.35:
        other = random.random(3)
    mixed: Floats = share * one + (1 - share) * other
    return mixed * (0.8 + 0.2 * noise(random, side, 2)[..., None])


def _disc(x: float, y: float, wide: float, tall: float, begin: float = 0) -> Points:
    """A polygon near an ellipse."""
    turns = begin + np.linspace(0, 2 * np.pi, 40)
    return [(x + wide * np.cos(turn), y + tall * np.sin(turn)) for turn in turns]


def _star(corners: int, inner: float) -> Points:
    turns = np.arange(2 * corners) * np.pi / corners
    sizes = [1 if number % 2 else inner for number in range(2 * corners)]
    return [
        (size * np.sin(turn), size * np.cos(turn))
        for size, turn in zip(sizes, turns, strict=True)
    ]


# Polygons from back to front, within -1 and 1, each with its brightness; 0 is a hole.
_Parts = list[tuple[Points, float]]
THINGS: dict[str, _Parts] = {
    "ball": [(_disc(0, 0, 1, 1), 0.8)],
    "cone": [([(-0.8, 0.7), (0, -1), (0.8, 0.7)], 0.8), (_disc(0, 0.7, 0.8, 0.2), 0.8)],
    "cube": [
        ([(-0.9, -0.5), (0, -0.1), (0, 1), (-0.9, 0.6)], 0.55),
        ([(0, -0.1), (0.9, -0.5), (0.9, 0.6), (0, 1)], 0.8),
        ([(-0.9, -0.5), (0, -0.9), (0.9, -0.5), (0, -0.1)], 1.0),
    ],
    "fish": [
        ([(0.4, 0), (1, -0.55), (0.85, 0), (1, 0.55)], 0.65),
        ([(-0.2, -0.3), (0.1, -0.75), (0.35, -0.2)], 0.6),
        (_disc(-0.2, 0, 0.75, 0.42), 0.85),
        (_disc(-0.62, -0.1, 0.08, 0.08), 0.1),
    ],
    "flower": [
        *((_disc(0.6 * np.cos(t), 0.6 * np.sin(t), 0.38, 0.38), 0.9) for t in range(6)),
        (_disc(0, 0, 0.32, 0.32), 0.4),
    ],
    "house": [
        ([(-0.7, -0.1), (0.7, -0.1), (0.7, 0.9), (-0.7, 0.9)], 0.9),
        ([(-0.95, -0.1), (0, -0.95), (0.95, -0.1)], 0.5),
        ([(-0.15, 0.35), (0.2, 0.35), (0.2, 0.9), (-0.15, 0.9)], 0.3),
        ([(-0.55, 0.1), (-0.3, 0.1), (-0.3, 0.35), (-0.55, 0.35)], 0.25),
    ],
    "mug": [
        (_disc(0.6, 0, 0.38, 0.45), 0.7),
        (_disc(0.6, 0, 0.22, 0.28), 0.0),
        ([(-0.7, -0.7), (0.6, -0.7), (0.55, 0.8), (-0.65, 0.8)], 0.85),
        (_disc(-0.05, -0.7, 0.65, 0.18), 0.4),
    ],
    "ring": [(_disc(0, 0, 1, 0.8), 0.85), (_disc(0, 0.03, 0.55, 0.4), 0.0)],
    "star": [(_star(5, 0.42), 0.9)],
    "tree": [
        ([(-0.13, 0.2), (0.13, 0.2), (0.18, 1), (-0.18, 1)], 0.35),
        (_disc(0, -0.35, 0.55, 0.6), 0.8),
        (_disc(-0.4, -0.05, 0.4, 0.38), 0.7),
        (_disc(0.42, -0.1, 0.38, 0.36), 0.75),
    ],
}


def _on_top(random: np.random.Generator, ground: Floats, name: str) -> Floats:
    """A thing on a ground, lit from a side, with a shadow."""
    side = len(ground)
    size = side * random.uniform(0.24, 0.36)
    middle = side / 2 + random.uniform(-0.12, 0.12, 2) * side
    angle, wide = random.normal(0, 0.25), random.uniform(0.8, 1.2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    bright = Image.new("F", (side, side), 0.0)
    pen = ImageDraw.Draw(bright)
    for points, light in THINGS[name]:
        placed = np.array(points) * [wide, 1]
        placed = placed @ turn.T * size + middle
        pen.polygon([tuple(point) for point in placed], fill=light)
    lit = np.asarray(bright, np.float64)
    covered = Image.fromarray((lit > 0).astype(np.uint8) * 255)
    far = (int(size * 0.2), int(size * 0.25))
    shade = np.roll(
        np.asarray(covered.filter(ImageFilter.GaussianBlur(side / 40))), far
    )
    ground = ground * (1 - 0.5 * shade[..., None] / 255)
    across, down = np.meshgrid(*(np.linspace(-1, 1, side),) * 2)
    slope = random.normal(0, 0.3, 2)
    glow = np.clip(1 + slope[0] * across + slope[1] * down, 0.4, 1.5)
    grain = 0.85 + 0.3 * noise(random, side, 6)
    colour = random.random(3) * 0.75 + 0.25
    thing = (lit * glow * grain)[..., None] * colour
    mask = np.asarray(covered.filter(ImageFilter.GaussianBlur(0.6)))[..., None] / 255
    whole: Floats = thing * mask + ground * (1 - mask)
    return whole


def _finished(random: np.random.Generator, drawn: Floats, side: int) -> Pixels:
    """As a camera takes it: smaller, a little blurred, and with noise."""
    values = np.uint8(np.clip(drawn * random.uniform(0.7, 1.15), 0, 1) * 255)
    image = Image.fromarray(values)
    image = image.filter(ImageFilter.GaussianBlur(random.uniform(0, 1.2)))
    small = np.asarray(image.resize((side, side), Image.Resampling.LANCZOS), np.float64)
    return np.uint8(np.clip(small + random.normal(0, 5, small.shape), 0, 255))


def textures(count: int, side: int, seed: int) -> tuple[Pixels, list[str]]:
    """So many surfaces of each kind, ``(n, side, side, 3)``, and their names."""
    random = np.random.default_rng([seed, 1])
    names = [name for name in TEXTURES for _ in range(count)]
    drawn = (texture(random, _FINE * side, name) for name in names)
    return np.stack([_finished(random, one, side) for one in drawn]), names


def things(count: int, side: int, seed: int) -> tuple[Pixels, list[str]]:
    """So many things of each kind on random surfaces, and their names."""
    random = np.random.default_rng([seed, 2])
    names, grounds = [name for name in THINGS for _ in range(count)], list(TEXTURES)
    drawn = (
        _on_top(random, texture(random, _FINE * side, random.choice(grounds)), name)
        for name in names
    )
    return np.stack([_finished(random, one, side) for one in drawn]), names
