"""Labels that may be wrong: simulated, with labels flipped at a known rate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from headrace.tasks.classification.suspects import MOST, find_suspects
from headrace.tasks.forms import Judged

CLASSES = tuple("abcde")
ROWS = 4000


def judged(flipped: float, seed: int = 0, overconfident: float = 1.5) -> Any:
    """Rows of an overconfident model, some of whose labels were flipped.

    Returns:
        the rows, and which labels were flipped.
    """
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 4, (ROWS, len(CLASSES)))
    true = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    is_flipped = rng.random(ROWS) < flipped
    other = (true + rng.integers(1, len(CLASSES), ROWS)) % len(CLASSES)
    odds = np.exp(overconfident * (logits - logits.max(axis=1, keepdims=True)))
    outputs = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
    items = np.zeros((ROWS, 2, 2, 1), np.uint8)
    names = [str(row) for row in range(ROWS)]
    labels = np.where(is_flipped, other, true).astype(np.int32)
    return Judged("test", items, labels, names, outputs), is_flipped


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("overconfident", [0.7, 1, 2])
def test_of_clean_labels_nothing_is_shown(seed: int, overconfident: float) -> None:
    part, _ = judged(0, seed, overconfident)
    disagrees = part.outputs.argmax(axis=1) != part.targets

    assert disagrees.sum() > 100  # the model alone is wrong as often
    assert find_suspects([part], CLASSES) == []


@pytest.mark.parametrize("flipped", [0.03, 0.05, 0.1])
def test_of_flipped_labels_the_share_is_stated_near_the_truth(flipped: float) -> None:
    stated, real = [], []
    for seed in range(5):
        part, is_flipped = judged(flipped, seed)
        suspects = find_suspects([part], CLASSES)
        assert 1 <= len(suspects) <= MOST
        stated += [suspect.row.chance_wrong for suspect in suspects]
        real += [is_flipped[int(suspect.row.name)] for suspect in suspects]

    assert min(stated) > 0.5
    assert np.mean(stated) == pytest.approx(np.mean(real), abs=0.1)


def test_a_suspect_says_what_it_was_labelled_and_what_the_model_predicts() -> None:
    part, _ = judged(0.1)
    suspects = find_suspects([part], CLASSES)
    item, worst = suspects[0].item, suspects[0].row
    row = int(worst.name)

    assert worst.label == CLASSES[part.targets[row]]
    assert worst.likely == CLASSES[part.outputs[row].argmax()] != worst.label
    assert worst.chance == round(float(part.outputs[row].max()), 4)
    assert (worst.split, item.shape) == ("test", (2, 2, 1))
    chances = [suspect.row.chance_wrong for suspect in suspects]
    assert chances == sorted(chances, reverse=True)


def test_splits_are_fitted_by_themselves_and_rows_found_in_their_parts() -> None:
    clean, _ = judged(0)
    flipped, _ = judged(0.1, seed=1)
    half = ROWS // 2
    parts = [
        Judged("val", clean.items, clean.targets, clean.names, clean.outputs),
        *(
            Judged(
                "test",
                flipped.items[rows],
                flipped.targets[rows],
                flipped.names[rows],
                flipped.outputs[rows],
            )
            for rows in (slice(half), slice(half, None))
        ),
    ]

    names = [suspect.row.name for suspect in find_suspects(iter(parts), CLASSES)]

    assert names == [suspect.row.name for suspect in find_suspects([flipped], CLASSES)]
    assert names


def test_of_another_loss_train_rows_count_only_if_held_out_rows_have_suspects() -> None:
    clean, _ = judged(0)
    flipped, _ = judged(0.1, seed=1)
    train = replace(flipped, split="train")
    names = [suspect.row.name for suspect in find_suspects([train], CLASSES)]

    assert names, "the loss of the task itself leaves them listed"
    assert find_suspects([clean, train], CLASSES, own_loss=True) == []
    both = find_suspects([flipped, train], CLASSES, own_loss=True)
    assert {suspect.row.split for suspect in both} == {"test", "train"}


def test_answers_that_are_no_numbers_suspect_nothing() -> None:
    part, _ = judged(0.1)
    part.outputs[0, 0] = np.nan

    assert find_suspects([part], CLASSES) == []
