"""What cannot be private: networks, pre-processing and data beyond the bound.

A recipe is checked when it is read, by `headrace.pipeline.privacy`.
"""

from __future__ import annotations

from typing import Any

from headrace.errors import Refusal, SpecError
from headrace.imports.backend import layers_of
from headrace.media import medium
from headrace.pipeline import PipelineSpec
from headrace.stages.fitting.data import learns
from headrace.stages.fitting.privacy.ghost import row_of_zeros
from headrace.tasks import task

MOST_BYTES = 2**32  # of train, which is in memory as a whole
_MIXERS = ("CutMix", "MixUp")


def check_data(spec: PipelineSpec) -> None:
    """Refuse a pipeline that would learn from its rows what must be declared.

    Raises:
        SpecError: the task cannot be private, or classes or shape are not declared. The
            longest row would decide the shape of texts and sounds.
    """
    if spec.training.privacy is None:
        return
    if not task(spec.task).head.IS_ROW_BY_ROW:
        raise SpecError(
            f"training.privacy: the task {spec.task} cannot be private, since its "
            "network is scaled by the targets, or learns several examples from a row.",
            "Leave privacy out, or learn a classification.",
        )
    declared = task(spec.task).labels.describe((), spec.data)
    missing = [] if all(declared.values()) else ["classes"]
    if medium(spec.medium).form_of(spec.data).shape is None:
        missing.append("shape")
    if missing:
        raise SpecError(
            f"training.privacy: data.{missing[0]} is not declared, and what is found "
            "in the rows is not private.",
            f"Add {missing[0]} to [data]: classes by name; shape as [height, width, "
            "channels], [bytes] of a text or [samples] of a sound.",
        )


def check_network(preprocessing: Any, network: Any) -> None:
    """Refuse layers that learn from rows, or mix them.

    A frozen BatchNormalization does neither: Keras has it use its own statistics.

    Args:
        preprocessing: before it is adapted.
        network: built, with its head.

    Raises:
        SpecError: with the name of the layer.
    """
    import keras

    for layer in layers_of(preprocessing)[1:]:
        if learns(layer):
            raise _refusal(
                layer,
                "learns from the rows of train before the first step, which is not "
                "private",
                "Give it its numbers or words as arguments, or use another builder.",
            )
    for layer in layers_of(network)[1:]:
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
            raise _refusal(
                layer,
                "mixes the rows of a batch, so that no bound holds for one of them",
                "Freeze it (trainable = False), if it was trained on public data; use "
                "LayerNormalization or GroupNormalization, or none, such as the family "
                "mlp.",
            )
        if type(layer).__name__ in _MIXERS:
            raise _refusal(
                layer,
                "mixes the rows of a batch, so that no bound holds for one of them",
                "Leave it out.",
            )
        if getattr(layer, "activity_regularizer", None) is not None:
            raise _refusal(
                layer,
                "has an activity_regularizer, a loss that the clip does not bound",
                "Leave it out.",
            )
    if not network.trainable_variables:
        raise SpecError("training.privacy: the network has nothing to learn.")
    _check_losses(network)


def _check_losses(network: Any) -> None:
    """Refuse layers that add a loss of their own, beside regularizers of weights."""
    network(row_of_zeros(network), training=False)
    regularized = [v for v in network.trainable_variables if v.regularizer is not None]
    if len(network.losses) > len(regularized):
        raise SpecError(
            "training.privacy: a layer of the network adds a loss of its own "
            "(add_loss), which the clip does not bound.",
            "Leave it out.",
        )


def check_size(rows: int, item_bytes: int) -> None:
    """Refuse a train split that is too large to be sampled from as a whole.

    Raises:
        Refusal: it has more than 4 GiB.
    """
    if rows * item_bytes > MOST_BYTES:
        raise Refusal(
            f"training.privacy: train has {rows * item_bytes / 2**30:.1f} GiB, and "
            f"each step samples from all of it, which is done in memory up to "
            f"{MOST_BYTES // 2**30} GiB.",
            "Use smaller items, such as a smaller data.shape.",
        )


def _refusal(layer: Any, why: str, action: str) -> SpecError:
    kind = type(layer).__name__
    return SpecError(
        f"training.privacy: the layer {layer.name} ({kind}) {why}.", action
    )
