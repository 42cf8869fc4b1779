"""Lists of tags: how they are read, split, checked and surveyed."""

import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from headrace.errors import Refusal
from headrace.media.chunks import Chunk, Reading, Source
from headrace.pipeline import DataSpec
from headrace.tasks import task

TAGGING = task("tagging")


def read(*labels, separator=None, labelled=True):
    reading = Reading(task="tagging", labelled=labelled, label_separator=separator)
    source = Source(kind="table", uri="a.csv", reading=reading)
    count = len(labels)
    chunk = Chunk(None, [b"x"] * count, list(labels), ["a.csv"] * count)
    (taken,) = TAGGING.labels.read(iter([chunk]), source)
    return taken.labels


def test_lists_and_texts_are_read_alike_each_tag_once_and_in_order():
    assert read('["b", "a", "b"]') == read("b | a|b ", separator="|") == ['["a", "b"]']
    assert read("cafe\u0301,tea", separator=",") == ['["caf\u00e9", "tea"]']
    assert read("one tag", "[not a list") == ['["one tag"]', '["[not a list"]']


def test_what_is_no_list_of_tags_is_one_tag_whatever_it_holds():
    deep, number = "[" * 100_000, "9" * 5000
    assert read(deep) == [f'["{deep}"]']
    assert read(f'["a", {number}, -Infinity]') == [f'["-inf", "{number}", "a"]']


def test_an_empty_cell_among_tags_is_an_empty_tag():
    assert read('["a", NaN]') == read('["a", null]') == read('["a", ""]')


def test_a_list_with_half_a_character_is_one_tag_as_it_is_written():
    (taken,) = read(label := '["\\ud800"]')
    assert json.loads(taken) == [label]
    assert pa.array([taken]).to_pylist() == [taken]


def test_a_list_that_holds_more_than_texts_is_one_tag_as_it_is_written():
    for label in ('["a", ["b"]]', '["a", {"b": 1}]'):
        assert [json.loads(taken) for taken in read(label)] == [[label]]


def test_no_tag_is_a_label_and_no_label_is_none():
    assert read("[]", "", " ") == ["[]", "", " "]
    assert read("", "a", separator="|") == ["[]", '["a"]']
    assert read("", "a|b", labelled=False) == ["", "a|b"]


@pytest.mark.parametrize(
    ("labels", "separator"),
    [
        (["a|b", "a", "c, d|a"], "|"),
        (["a;b", "b", ""], ";"),
        (["a, b", "b,c"], ","),
        (['["a,b", "c"]', '["a"]'], None),
        (["a", "b"], None),
    ],
)
def test_what_parts_tags_is_found(labels, separator):
    found = TAGGING.labels.suggest(read(*labels), DataSpec(source="x"))
    assert found == ({"label_separator": separator} if separator else {})


def test_the_rarest_tag_is_the_class_by_which_splits_get_their_shares():
    rows = Counter({'["a"]': 50, '["a", "b"]': 20, '["a", "b", "c"]': 3, "[]": 9})
    classes = TAGGING.labels.strata(rows)
    assert classes == {'["a", "b"]': '["b"]', '["a", "b", "c"]': '["c"]'}
    sketch = TAGGING.labels.sketch(rows)
    assert sketch == {'["a"]', '["b"]', '["c"]'}
    described = DataSpec(source="x", label_separator=";")
    assert TAGGING.labels.describe(sketch, described) == {
        "tags": ["a", "b", "c"],
        "separator": ";",
    }
    assert TAGGING.labels.covers(sketch, rows.keys())
    assert not TAGGING.labels.covers(rows.keys(), {'["a", "b"]'})


def test_targets_say_which_tags_an_item_has(data):
    labels = pa.chunked_array([['["a", "c"]', "[]", "b|a", '["d"]']])
    targets = TAGGING.labels.encode(labels, data)
    assert targets.dtype == np.float32
    assert targets[:3].tolist() == [[1, 0, 1], [0, 0, 0], [1, 1, 0]]
    assert np.isnan(targets[3]).all()
    assert TAGGING.answers.is_label("b|a", data)
    assert not TAGGING.answers.is_label("d", data)
    assert not TAGGING.answers.is_label("", data)


def test_unknown_and_empty_tags_are_named_and_rare_ones_counted(data):
    counts = Counter({("train", '["a", "b"]'): 4, ("train", '["c"]'): 2})
    counts["test", '["a"]'] = 3
    split = np.array(["train", "train", "test"], object)
    label = np.array(['["a", "b"]', '["", "x"]', '["a"]'], object)
    columns = TAGGING.contract.columns(split, label, counts, data)
    assert columns["unknown_tags"].tolist() == ["", "'', 'x'", ""]
    assert columns["rows_of_rarest_tag"].tolist() == [2, 2, 0]
    (lacks,) = TAGGING.contract.lacking(counts, data)
    assert lacks.startswith("test holds no item with 'b', 'c'; a tag needs")
    assert TAGGING.contract.problem("tags", "train", counts, data) == ""


def test_a_survey_has_a_gate_above_always_giving_the_same_tags():
    counts = Counter({("train", '["a", "b"]'): 40, ("train", '["a"]'): 40})
    counts.update({("test", '["a", "b"]'): 10, ("test", "[]"): 10})
    counts["train", '["Typo"]'] = 1
    survey = TAGGING.survey.survey("x.csv", counts, 101, [])
    assert survey.fields == {"classes": ["a", "b"]}
    assert "would have a micro F1 of 0.667" in survey.sentences[1]
    (gate,) = survey.gates
    assert 2 / 3 < gate["threshold"] <= 0.834
    assert "left out: 'Typo'" in "\n".join(survey.sentences)
    assert not survey.findings
    single = Counter({(s, f'["{t}"]'): 9 for s in ("train", "test") for t in "ab"})
    (finding,) = TAGGING.survey.survey("x.csv", single, 36, []).findings
    assert "--task classification" in finding.message
    with pytest.raises(Refusal, match=r"no two tags with .* Its tags: a"):
        TAGGING.survey.survey("x.csv", Counter({("train", '["a"]'): 9}), 9, [])
