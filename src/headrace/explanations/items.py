"""Items whose answers are explained, and the explainer of one Keras model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from headrace.explanations.gradients import Gradients, NoGradientsError
from headrace.explanations.occlusion import Answer, OcclusionQuestion, occlusion
from headrace.explanations.places import Map, of_places, of_tokens, shares_of
from headrace.media import medium
from headrace.media.forms import Payload
from headrace.media.pieces import Pieces
from headrace.models.logged import loading
from headrace.models.logged.halves import parts_of
from headrace.records import DataDescription
from headrace.tasks import asks_items, task
from headrace.tasks.forms import Outputs

Method = Literal["gradients", "occlusion"]
_SEED = 2_018


def why_not(data: DataDescription) -> str:
    """Why answers to such data are not explained; empty if they are."""
    if not task(data.task).explains or not asks_items(data):
        return f"the answers of a {data.task} are not explained"
    if not medium(data.medium).DIVIDES_ITEMS:
        return f"the medium {data.medium} does not say what the pieces of an item are"
    return ""


@dataclass(slots=True)
class Item:
    """An item, the answer to explain, and what is computed of both only once.

    Attributes:
        item: in stored form, ``shape``.
        chosen: the answer, from `Explained.chosen`.
        pieces: of the item.
        shares: of each token of a text, from `shares_of`, once they are needed.
    """

    item: Payload
    chosen: int
    pieces: Pieces
    shares: list[npt.NDArray[np.float64]] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, item: Payload, chosen: int, data: DataDescription) -> Item:
        """An item of a medium that has pieces."""
        return cls(item, chosen, medium(data.medium).pieces(item, data))


def occluded(answer: Answer, items: Sequence[Item], data: DataDescription) -> list[Map]:
    """The maps of items by `occlusion`, with any engine.

    Args:
        answer: from raw items to outputs.
        items: with the answers to explain.
        data: of the model.
    """
    explained, raw = task(data.task).explained, medium(data.medium).raw
    questions = [
        OcclusionQuestion(item.item, item.pieces, item.chosen) for item in items
    ]
    every = occlusion(answer, raw, questions, explained)
    return [
        Map(values, item.pieces.present.reshape(item.pieces.shape))
        for values, item in zip(every, items, strict=True)
    ]


class Explainer:
    """Explains the answers of one Keras model, whose weights may be changed.

    Args:
        model: from raw items to outputs.
        data: that `why_not` has nothing against.

    Attributes:
        network: the part of the model that is fitted; None if it is not known.
        no_gradients: why there are no integrated gradients; empty if there are.
    """

    def __init__(self, model: Any, data: DataDescription) -> None:
        self._data = data
        self._answer: Answer = partial(loading.answers, model)
        self.no_gradients = ""
        self._gradients: Gradients | None = None
        parts = parts_of(model)
        self._preprocessing: Any = None
        self.network: Any = None
        if parts is None:
            self.no_gradients = "it is not made of pre-processing and network"
            return
        self._preprocessing, self.network = parts
        try:
            self._gradients = Gradients(*parts, task(data.task).explained)
        except NoGradientsError as error:
            self.no_gradients = str(error)

    def freeze(self, prefix: Any, rest: Any) -> None:
        """Take the rest of the network for what is fitted.

        What the prefix gives is computed once for each item and each piece without
        which it is asked. There are no gradients, which would ask all of the network
        at each step of each item.

        Args:
            prefix: the frozen part of the network, a Keras model.
            rest: from there to its outputs.
        """
        kept: dict[bytes, Payload] = {}

        def answer(items: Payload) -> Outputs:
            is_text = items.dtype == object
            data = repr(items.tolist()).encode() if is_text else items.tobytes()
            key = hashlib.sha256(data).digest()
            if key not in kept:
                given = loading.outputs(self._preprocessing, items)
                kept[key] = loading.outputs(prefix, given)
            return loading.answers(rest, kept[key])

        self.network, self._answer, self._gradients = rest, answer, None
        self.no_gradients = "its network begins with frozen layers"

    @property
    def methods(self) -> tuple[Method, ...]:
        """The methods that suit the model."""
        return ("gradients", "occlusion") if self._gradients else ("occlusion",)

    def of_any_answer(self, items: Sequence[Item]) -> list[Item]:
        """The same items, with answers at random: see `Explained.at_random`."""
        explained, random = (
            task(self._data.task).explained,
            np.random.default_rng(_SEED),
        )
        chosen = np.array([item.chosen for item in items], np.int32)
        others = explained.at_random(chosen, self._data, random).tolist()
        return [
            replace(item, chosen=other)
            for item, other in zip(items, others, strict=True)
        ]

    def maps(
        self, items: Sequence[Item], method: Method, *, refine: bool = True
    ) -> list[Map]:
        """The map of each item.

        Args:
            items: with the answers to explain.
            method: one of `methods`.
            refine: whether gradients that do not add up get more steps.
        """
        if method == "gradients":
            return self._by_gradients(items, refine=refine)
        return occluded(self._answer, items, self._data)

    def _by_gradients(self, items: Sequence[Item], *, refine: bool) -> list[Map]:
        if self._gradients is None:
            raise ValueError(self.no_gradients)
        data, module = self._data, medium(self._data.medium)
        stored = np.stack([item.item for item in items])
        empty = np.stack([module.absent(item.item, data) for item in items])
        raw = module.raw(stored)
        chosen = np.array([item.chosen for item in items], np.int32)
        given = raw, module.raw(empty), chosen
        attributions = self._gradients(*given, refine=refine)
        maps = []
        for row, item in enumerate(items):
            values = [own[row] for own in attributions.values]
            differs = [own[row] for own in attributions.differs]
            if self._gradients.tokens:
                if item.shares is None:
                    item.shares = shares_of(
                        item.pieces,
                        raw[row : row + 1],
                        self._gradients.preprocessing,
                        self._gradients.tokens,
                    )
                places = of_tokens(values, differs, item.shares, item.pieces)
            else:
                places = of_places(values[0], differs[0], item.pieces)
            maps.append(Map(*places, float(attributions.errors[row])))
        return maps
