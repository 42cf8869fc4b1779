import numpy as np
import pytest

from headrace.data.sources.arrays import labels_as_text
from headrace.errors import SourceError
from headrace.media.chunks import Chunk, Source
from headrace.tasks.classification.data import LABELS

NFC, NFD = "caf\u00e9", "cafe\u0301"


def _read(*labels):
    source = Source(kind="table", uri="a.csv")
    count = len(labels)
    chunk = Chunk(None, [b"x"] * count, list(labels), ["a.csv"] * count)
    (read,) = LABELS.read(iter([chunk]), source)
    return read.labels, source.notes, [finding.message for finding in source.findings]


def test_plain_labels_stay_as_they_are():
    labels = ["a", "", "\u4f53\u80b2", "b c"]
    assert _read(*labels) == (labels, [], [])


def test_outer_blanks_are_dropped():
    labels, notes, _ = _read("a", " a ", "a\u3000", " ")
    assert labels == ["a", "a", "a", ""]
    assert notes == [
        "2 rows: the blanks around the label were dropped, such as in ' a '."
    ]


def test_labels_have_one_form_of_unicode():
    labels, notes, _ = _read(NFC, NFD, "tea")
    assert labels == [NFC, NFC, "tea"]
    assert notes == [
        f"1 row: the label was brought to Unicode's form NFC, such as {NFC!r}."
    ]


@pytest.mark.parametrize("label", ["NA", "null", "None", "NaN"])
def test_a_label_that_looks_missing_is_told(label):
    labels, notes, _ = _read("EU", label, label)
    assert labels == ["EU", label, label]
    assert notes == [
        f"2 rows: the label {label!r} is taken as text, not as a missing one."
    ]


def test_labels_that_differ_only_by_case_are_told():
    _, _, found = _read("food", "FOOD ", "Stra\u00dfe", "STRASSE", "tea")
    assert found == [
        "classes differ only by case: FOOD and food; STRASSE and Stra\u00dfe. Write "
        "them alike if they are one."
    ]


def test_single_letters_may_differ_by_case():
    assert _read("a", "A")[2] == []


@pytest.mark.parametrize(
    ("first", "seen"),
    [(0, r"^y\[1\] is 1.5, which is no label"), (7, r"^y\[8\] is 1.5, which is no")],
)
def test_what_is_no_label_is_refused_with_its_row(first, seen):
    labels = labels_as_text(np.array([0.0, 1.5]), "y", first)
    names = ["y[0]", "y[1]"]
    chunk = Chunk(None, [b"x"] * 2, labels.texts, names, not_whole=labels.not_whole)
    with pytest.raises(SourceError, match=seen):
        list(LABELS.read(iter([chunk]), Source(kind="arrays", uri="a.npz")))


def test_no_source_gives_what_is_no_label(make, read):
    arrays = {"x": make.images, "y": np.array([0, 1, 2, 0, 1, 1.5])}
    with pytest.raises(SourceError, match=r"y\[5\] is 1.5, which is no label"):
        read(make.npz(**arrays))


def test_all_sources_give_plain_labels(make, read):
    table = "label,text\n" + f" food,a\n{NFD},b\n" * 3
    source, (chunk,) = read(make.file("a.csv", table.encode()), medium="text")
    assert chunk.labels == ["food", NFC] * 3
    assert len(source.notes) == 3
