"""Labels to look at: simulated, with labels flipped at a known rate."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from headrace.tasks.classification.suspects import MOST, find_lapse, find_suspects
from headrace.tasks.forms import AnsweredRows

CLASSES = tuple("abcde")
ROWS = 4000


def agreeing(part):
    """A second opinion that is always the model's own."""
    return part.outputs


def judged(flipped, seed=0, overconfident=1.5):
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
    return AnsweredRows(
        "test", items, labels, names, outputs, np.arange(ROWS)
    ), is_flipped


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("overconfident", [0.7, 1, 2])
def test_of_clean_labels_nothing_is_shown(seed, overconfident):
    part, _ = judged(0, seed, overconfident)
    disagrees = part.outputs.argmax(axis=1) != part.targets

    assert disagrees.sum() > 100  # the model alone is wrong as often
    assert find_suspects([part], CLASSES, agreeing) == []


@pytest.mark.system
@pytest.mark.parametrize("flipped", [0.03, 0.05, 0.1])
def test_of_flipped_labels_mostly_these_are_listed(flipped):
    ranks, real = [], []
    for seed in range(5):
        part, is_flipped = judged(flipped, seed)
        suspects = find_suspects([part], CLASSES, agreeing)
        assert 1 <= len(suspects) <= MOST
        ranks += [suspect.rank for suspect in suspects]
        real += [is_flipped[int(suspect.row.name)] for suspect in suspects]

    assert min(ranks) > 0.5
    assert np.mean(ranks) == pytest.approx(np.mean(real), abs=0.1)


def test_a_suspect_says_what_it_was_labelled_and_what_the_model_predicts():
    part, _ = judged(0.1)
    suspects = find_suspects([part], CLASSES, agreeing)
    item, worst = suspects[0].item, suspects[0].row
    row = int(worst.name)

    assert worst.label == CLASSES[part.targets[row]]
    assert worst.likely == CLASSES[part.outputs[row].argmax()] != worst.label
    assert worst.chance == round(float(part.outputs[row].max()), 4)
    assert (worst.split, item.shape) == ("test", (2, 2, 1))
    ranks = [suspect.rank for suspect in suspects]
    assert ranks == sorted(ranks, reverse=True)


def test_splits_are_fitted_by_themselves_and_rows_found_in_their_parts():
    clean, _ = judged(0)
    flipped, _ = judged(0.1, seed=1)
    half = ROWS // 2
    parts = [
        replace(clean, split="val"),
        *(flipped.chosen(flipped.places // half == number) for number in range(2)),
    ]

    names = [
        suspect.row.name for suspect in find_suspects(iter(parts), CLASSES, agreeing)
    ]

    assert names == [
        suspect.row.name for suspect in find_suspects([flipped], CLASSES, agreeing)
    ]
    assert names


def test_only_items_with_another_label_than_the_models_stay_in_memory():
    rows, size = 40, 2**20

    def parts():
        for number in range(40):
            items = np.zeros((rows, size // rows), np.uint8)
            labels, names = np.zeros(rows, np.int32), [""] * rows
            labels[0] = number == 7
            outputs = np.full((rows, len(CLASSES)), 0.01, np.float32)
            outputs[:, 0] = 0.9
            yield AnsweredRows("train", items, labels, names, outputs, np.arange(rows))

    find_suspects(parts(), CLASSES, agreeing)  # what it imports
    tracemalloc.start()
    find_suspects(parts(), CLASSES, agreeing)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * size


def test_of_another_loss_train_rows_count_only_if_held_out_rows_have_suspects():
    clean, _ = judged(0)
    flipped, _ = judged(0.1, seed=1)
    train = replace(flipped, split="train")
    names = [suspect.row.name for suspect in find_suspects([train], CLASSES, agreeing)]

    assert names, "the loss of the task itself leaves them listed"
    assert find_suspects([clean, train], CLASSES, agreeing, own_loss=True) == []
    both = find_suspects([flipped, train], CLASSES, agreeing, own_loss=True)
    assert {suspect.row.split for suspect in both} == {"test", "train"}


def test_answers_that_are_no_numbers_suspect_nothing():
    part, _ = judged(0.1)
    part.outputs[0, 0] = np.nan

    assert find_suspects([part], CLASSES, agreeing) == []


def misled(share, seed=0):
    """Right labels, and a model that learned a share of wrong ones by heart.

    It answers those rows with the same confidence as others.
    """
    part, is_flipped = judged(share, seed)
    labels = np.where(is_flipped, part.outputs.argmax(axis=1), part.targets)
    outputs = part.outputs.copy()
    rows = np.flatnonzero(is_flipped)
    swapped = np.roll(outputs[rows], 1 + seed % (len(CLASSES) - 1), axis=1)
    outputs[rows] = swapped
    return replace(part, targets=labels.astype(np.int32), outputs=outputs)


def sees(part, share=1.0):
    """A second opinion that gives a share of the labels as they are."""
    random = np.random.default_rng(1)
    known = random.random(len(part.targets)) < share
    guess = random.integers(0, len(CLASSES), len(part.targets))
    answers = np.eye(len(CLASSES))[np.where(known, part.targets, guess)]
    return lambda some: answers[some.places]


@pytest.mark.system
@pytest.mark.parametrize("share", [0.03, 0.1])
@pytest.mark.parametrize("skill", [0.6, 0.8, 1.0])
def test_right_labels_are_not_listed_where_train_alone_was_wrong(share, skill):
    part = misled(share)
    assert len(find_suspects([part], CLASSES, agreeing)) > 10, "its own opinion alone"
    assert find_suspects([part], CLASSES, sees(part, skill)) == []


def test_without_a_second_opinion_no_held_out_row_is_listed():
    part, _ = judged(0.1)
    assert find_suspects([part], CLASSES, lambda _: None) == []
    train = replace(part, split="train")
    assert find_suspects([train], CLASSES, lambda _: None)


def test_a_second_opinion_is_asked_for_only_where_labels_look_wrong():
    def never(_):
        raise AssertionError("nothing looks wrong")

    part, _ = judged(0)
    assert find_suspects([part], CLASSES, never) == []


def test_of_wrong_labels_those_are_listed_that_the_second_opinion_finds():
    part, is_flipped = judged(0.1)
    known = np.arange(len(is_flipped)) % 3 > 0
    right = np.where(is_flipped, part.outputs.argmax(axis=1), part.targets)
    other = (right + 1) % len(CLASSES)
    answers = np.eye(len(CLASSES))[np.where(known, right, other)]
    rows = [
        int(s.row.name)
        for s in find_suspects([part], CLASSES, lambda some: answers[some.places])
    ]
    assert len(rows) == MOST
    assert known[rows].all()
    assert is_flipped[rows].mean() > 0.8


def test_a_second_opinion_that_changes_no_more_labels_than_it_keeps_lists_none():
    part, is_flipped = judged(0.1)
    proposed = part.outputs.argmax(axis=1)
    half = np.arange(ROWS) % 2 == 0
    answers = np.eye(len(CLASSES))[np.where(half, proposed, part.targets)]
    assert find_suspects([part], CLASSES, lambda some: answers[some.places]) == []
    assert is_flipped.any()


def test_saturated_confidence_is_no_evidence():
    """Nearest neighbours are often all of one class, and wrong in some such rows."""
    random = np.random.default_rng(0)
    sure = np.where(random.random(ROWS) < 0.8, 1.0, random.uniform(0.4, 0.95, ROWS))
    error = np.where(sure == 1, 0.03, 0.6 * ((1 - sure) / 0.6) ** 2)
    assert find_lapse(sure, random.random(ROWS) < error) is None
