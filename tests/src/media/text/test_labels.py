"""Texts that name their own class."""

import numpy as np
import pytest

WORDS = "the quick brown fox jumps over a lazy dog while it rains".split()
RNG = np.random.default_rng(4)
TEXTS = [" ".join(RNG.choice(WORDS, 8)) for _ in range(60)]
LABELS = ["spam", "ham", "ham"] * 20
HANS = ["唐诗", "宋词"] * 30


@pytest.mark.parametrize(
    "leak",
    [
        lambda text, label: f"{label}: {text}",
        lambda text, label: f"{label.upper()} - {text}",
        lambda text, label: f"[{label}] {text}",
        lambda text, label: f"{text} ({label})",
        lambda text, label: f"{text} label={label}",
        lambda text, label: f"{text} #{label}",
        lambda text, label: f"{text}\t{label}",
        lambda text, label: f"{text} {label}",
        lambda text, label: f"{label} {text}",
        lambda text, label: f"{text[:10]} {label} {text[10:]}",
    ],
)
@pytest.mark.parametrize("labels", [LABELS, HANS])
def test_labels_in_all_texts_are_found(told, leak, labels):
    texts = [leak(text, label) for text, label in zip(TEXTS, labels, strict=True)]

    assert told(texts, labels)["label_in_text"].all()


def test_a_label_in_one_class_is_found_there(told):
    texts = [
        f"spam: {text}" if label == "spam" else text
        for text, label in zip(TEXTS, LABELS, strict=True)
    ]

    found = told(texts, LABELS)["label_in_text"].tolist()

    assert found == [label == "spam" for label in LABELS]


def test_a_marked_label_in_some_texts_is_found(told):
    texts = [f"[{label}] {text}" for text, label in zip(TEXTS, LABELS, strict=True)]
    texts[15:] = TEXTS[15:]

    found = told(texts, LABELS)["label_in_text"].tolist()

    assert found == [True] * 15 + [False] * 45


def test_numbers_are_labels_only_where_they_are_marked(told):
    labels = ["0", "1"] * 30
    marked = [
        f"label: {label}, {text}" for text, label in zip(TEXTS, labels, strict=True)
    ]

    assert told(marked, labels)["label_in_text"].all()
    assert not told([f"{text} 1 0" for text in TEXTS], labels)["label_in_text"].any()


def test_a_word_for_the_topic_is_natural(told):
    labels = ["weather", "music", "oil_change", "time"] * 15
    texts = [
        f"{text} weather today" if label == "weather" else text
        for text, label in zip(TEXTS, labels, strict=True)
    ]
    half = [
        f"music {text}" if place % 8 == 1 else text for place, text in enumerate(texts)
    ]

    assert not told(half, labels)["label_in_text"].any()


def test_texts_that_name_all_classes_tell_nothing(told):
    texts = [f"spam or ham? {text}" for text in TEXTS]

    assert not told(texts, LABELS)["label_in_text"].any()


def test_common_words_as_labels_tell_nothing(told):
    labels = ["the", "over"] * 30
    texts = [f"the {text} over" for text in TEXTS]

    assert not told(texts, labels)["label_in_text"].any()


def test_odd_labels_are_no_patterns(told):
    labels = ["c++ (new)", "***"] * 30

    assert not told(TEXTS, labels)["label_in_text"].any()
    leaking = [f"{text} c++ (new)" for text in TEXTS]
    assert told(leaking, labels)["label_in_text"].sum() == 0
    leaking[1::2] = TEXTS[1::2]
    assert told(leaking, labels)["label_in_text"].sum() == 30


def test_a_label_that_all_have_is_found_all_the_same(told):
    texts = [f"spam: {text}" for text in TEXTS]

    assert told(texts, ["spam"] * 60)["label_in_text"].all()
