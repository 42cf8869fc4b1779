"""What of a backbone is trained, and how fast.

What was pretrained needs a far smaller learning rate than a new head, and the less the
nearer a block is to the input: J. Howard, S. Ruder, Universal Language Model
Fine-tuning for Text Classification, ACL 2018. Low-rank updates: E. Hu et al., LoRA,
ICLR 2022.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from headrace.errors import SpecError
from headrace.imports.backend import layers_of

# Shares of the head's learning rate: of the last block, of each one from that of the
# next, and of low-rank updates.
LAST, EACH, LORA = 0.01, 0.8, 0.1
_ADAPTED = {"query", "value"}
_PARTS = (
    'Write "head", "last:N" for the last N blocks, "all", or "lora:R" for updates of '
    "rank R."
)


def parsed(train: str) -> tuple[str, int]:
    """What is to be trained, and how many blocks or of which rank; see `choose`.

    Raises:
        SpecError: it is nothing of these.
    """
    kind, _, text = str(train).partition(":")  # a pipeline's file may have a number
    number = int(text) if text.isdecimal() and len(text) < 10 else 0
    if train in ("head", "all") or (kind in ("last", "lora") and number > 0):
        return kind, number
    raise SpecError(f"model.arguments.train = {train!r} names no part.", _PARTS)


def choose(train: str, blocks: Sequence[Sequence[Any]], backbone: Any) -> None:
    """Make trainable what is to be trained, each part with its own learning rate.

    Args:
        train: ``head``: nothing of the backbone; ``last:2``: its last two blocks;
            ``all``: all of it; ``lora:8``: low-rank updates, of rank 8, of what the
            attention of each block asks for and gives.
        blocks: of the backbone, in order, each as its layers.
        backbone: a Keras model.

    Raises:
        SpecError: it is nothing of these, of more blocks than there are, or of a rank
            that saves nothing.
    """
    kind, number = parsed(train)
    if kind == "last" and number > len(blocks):
        raise SpecError(
            f"model.arguments.train = {train!r}: it has {len(blocks)} blocks.",
            _PARTS,
        )
    backbone.trainable = kind != "head"
    if kind in ("last", "lora"):
        last = [layer for block in blocks[-number:] for layer in block]
        for layer in backbone.layers:
            layer.trainable = layer in last and kind == "last"
    if kind == "lora":
        _adapt(layers_of(backbone), number)
    rate = LORA if kind == "lora" else LAST
    depth = {
        id(variable): number
        for number, block in enumerate(blocks)
        for layer in block
        for variable in layer.variables
    }
    for variable in backbone.trainable_variables:
        below = len(blocks) - 1 - depth.get(id(variable), -1)
        variable.rate = rate if kind == "lora" else rate * EACH**below


def _adapt(layers: Iterable[Any], rank: int) -> None:
    """Low-rank updates of the queries and values; all else stays."""
    adapted = 0
    for layer in layers:
        if layer.name in _ADAPTED and hasattr(layer, "enable_lora"):
            width = layer.kernel.shape[0]
            if rank > width // 2:  # two matrices, each of width x rank
                raise SpecError(
                    f'model.arguments.train = "lora:{rank}": an update of a layer of '
                    f"{width} units has a rank of {width // 2} at most.",
                    'Write a small one, such as "lora:8".',
                )
            layer.trainable = True
            layer.enable_lora(rank)
            adapted += 1
    if not adapted:
        raise SpecError(
            'model.arguments.train = "lora": the backbone has no attention.',
            'Write "last:N".',
        )
