"""The backbone that ``headrace new`` names for new data; nothing is downloaded."""

from __future__ import annotations

import importlib.util
import itertools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from headrace.display.signs import number_of
from headrace.errors import IntegrityError
from headrace.imports.extensions import task_default
from headrace.media import medium
from headrace.models.backbones import images, sounds
from headrace.pipeline.families import family_yields
from headrace.pipeline.gates import COMMON_GATES
from headrace.records import DataDescription
from headrace.state import backbones
from headrace.state.home import Home
from headrace.tasks import task
from headrace.use.backbones import FAMILY, listed
from headrace.use.inspecting import Inspection, learned_items

# With more items of each class, a network of the task's own learns as much.
MOST_OF_A_CLASS = 1_000
FEW_OF_A_CLASS = 100
# With the vocabulary of an English encoder, of English texts nothing is unknown, and a
# word has 1.0 to 1.2 pieces; a German one has 1.9, a Russian one 4.5; of Chinese texts,
# 63 % is unknown.
MOST_UNKNOWN, MOST_PIECES = 0.05, 1.6
_SAMPLE = 500  # texts by which a backbone is chosen
_OF_A_SIZE = 1.1  # a saved model has more than the weights of its backbone


class Proposal(NamedTuple):
    """A backbone whose head is to be trained.

    Attributes:
        name: by which pipelines name it.
        megabytes: that the saved model may have.
        sentence: why it is named, without capital and full stop.
        against: the family that is trained as well; empty: none.
    """

    name: str
    megabytes: int
    sentence: str
    against: str = ""


def with_backbone(
    inspection: Inspection, home: Home
) -> tuple[Inspection, Proposal | None]:
    """What was read of new data, and the backbone for it.

    Texts, sounds, and images that it suits, of few rows a class get the one that fits.
    Without one, a sentence says that there are backbones, but for sounds: their own
    family was measured to be as good.
    """
    survey, snapshot = inspection.survey, inspection.snapshot
    data, counts = snapshot.description, survey.class_rows
    is_text = medium(data.medium).IS_TEXT
    is_photo = data.medium == "image" and images.suits(data.shape)
    suits = is_text or is_photo or data.medium == "audio"
    suits = suits and family_yields(FAMILY) == task(data.task).takes
    if not suits or not counts or sum(counts) > MOST_OF_A_CLASS * len(counts):
        return inspection, None
    unfit: list[str] = []
    if is_text:
        items = itertools.chain.from_iterable(learned_items(snapshot))
        texts = [item.as_py() for item in itertools.islice(items, _SAMPLE)]
        proposal, unfit = propose(texts, home)
    else:
        is_compared = snapshot.rows.get("val", 0) > 0
        proposal = propose_to_compare(data, home, is_compared=is_compared)
    sentences = [*survey.sentences]
    if proposal:
        sentences.append(proposal.sentence)
    elif min(counts) < FEW_OF_A_CLASS and data.medium != "audio":
        sentences.append(_hint(min(counts), unfit))
    survey = replace(survey, sentences=sentences)
    return replace(inspection, survey=survey), proposal


def propose(texts: Sequence[str], home: Home) -> tuple[Proposal | None, list[str]]:
    """The registered backbone that fits texts best, and what does not fit.

    Args:
        texts: some of those to learn from.
        home: with the store.

    Returns:
        the proposal, and the names of the others with why they do not fit.
    """
    unfit, fitting = [], []
    for name, folder in _folders(home, "text"):
        unknown, pieces = fit_of(folder, texts)
        fit = f"{unknown:.1%} unknown, {pieces:.1f} word pieces a word"
        if unknown <= MOST_UNKNOWN and pieces <= MOST_PIECES:
            fitting.append((unknown, pieces, _megabytes(folder), name, fit))
        else:
            unfit.append(f"{name} ({fit})")
    if not fitting:
        return None, unfit
    *_, size, name, fit = min(fitting)
    sentence = f"the backbone {name} reads these texts ({fit}): its head is trained"
    return Proposal(name, _limit(size), sentence), unfit


def propose_to_compare(
    data: DataDescription, home: Home, *, is_compared: bool
) -> Proposal | None:
    """The registered backbone for images or sounds: the smallest.

    Args:
        data: of the items.
        home: with the store.
        is_compared: whether there are rows to choose by between it and the family that
            the medium has without a backbone.
    """
    found = [
        (_megabytes(folder), name)
        for name, folder in _folders(home, data.medium)
        if data.medium != "audio" or sounds.rate_of(folder) == data.sample_rate_hz
    ]
    if not found:
        return None
    size, name = min(found)
    verb = "hears these sounds" if data.medium == "audio" else "sees these images"
    sentence = f"the backbone {name} {verb}: its head is trained"
    if not is_compared:
        return Proposal(name, _limit(size), sentence)
    against = best_builder(data)
    sentence += f", and so is {against}; a run keeps the one with the lower val loss"
    usual = COMMON_GATES["size"]["threshold"]  # of a network of any other family
    return Proposal(name, max(_limit(size), int(usual)), sentence, against)


def best_builder(data: DataDescription) -> str:
    """The family for a task on items of a medium, where there is no backbone."""
    own = task_default(data.task, "BUILDERS") or {}
    return str(own.get(data.medium) or medium(data.medium).BEST_BUILDER)


def fit_of(folder: Path, texts: Sequence[str]) -> tuple[float, float]:
    """How well the vocabulary of an encoder fits texts.

    Args:
        folder: of the backbone.
        texts: without any of them, nothing fits.

    Returns:
        the share of word pieces that it does not have, and the number of pieces of a
        word, on average.
    """
    from tokenizers import BertWordPieceTokenizer

    path, options = folder / "vocab.txt", folder / "tokenizer_config.json"
    if not path.is_file():  # in KerasHub's form
        path = folder / "assets" / "tokenizer" / "vocabulary.txt"
        options = folder / "tokenizer.json"
    how = json.loads(options.read_bytes())
    how = how.get("config", how)
    lowercase = bool(how.get("do_lower_case", how.get("lowercase", True)))
    tokenizer = BertWordPieceTokenizer(str(path), lowercase=lowercase)
    encoded = tokenizer.encode_batch([*texts], add_special_tokens=False)
    pieces = sum(len(one.tokens) for one in encoded)
    unknown = sum(one.tokens.count("[UNK]") for one in encoded)
    words = sum(len(set(one.word_ids)) for one in encoded)
    return (unknown / pieces, pieces / words) if pieces else (1.0, 0.0)


def _folders(home: Home, medium: str) -> Iterator[tuple[str, Path]]:
    """The names and the files of a medium's backbones that can be used."""
    is_installed = importlib.util.find_spec("keras_hub") is not None
    for name, backbone in listed(home).items() if is_installed else ():
        if backbone is None or backbone.medium != medium:
            continue
        try:
            yield name, backbones.local_folder(backbone.digest, home)
        except IntegrityError:
            continue  # a run that names it says so


def _megabytes(folder: Path) -> float:
    """The size of a backbone's weights as float32, as a saved model has them."""
    total = sum(path.stat().st_size for path in folder.glob("*.weights.h5"))
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        shapes = [one["shape"] for name, one in header.items() if name[:2] != "__"]
        total += 4 * sum(math.prod(shape) for shape in shapes)
    return total / 1e6


def _limit(size: float) -> int:
    """Megabytes that the saved model of a backbone may have."""
    return 10 * math.ceil(size * _OF_A_SIZE / 10)


def _hint(fewest: int, unfit: Sequence[str]) -> str:
    """What says that there are backbones, where a class has few rows.

    Args:
        fewest: rows of the rarest label.
        unfit: from `propose`.
    """
    none = f"; none in the store fits: {', '.join(unfit)}" if unfit else ""
    return (
        f"the rarest label has {number_of(fewest, 'rows')}; with fewer than "
        f"{FEW_OF_A_CLASS}, a pretrained backbone is usually better: bring one with "
        f"`headrace backbone add NAME SOURCE`, and write the pipeline anew{none}"
    )
