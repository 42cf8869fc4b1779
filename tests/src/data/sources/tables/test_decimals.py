"""Numbers with decimal commas, as German and French spreadsheets write them."""

import pytest

from headrace.errors import SourceError


def labels_of(chunks):
    return [label for chunk in chunks for label in chunk.labels]


@pytest.fixture
def prices(make, read):
    """Reads a table of adverts and prices, whose labels are those of a task."""

    def _read(cells, delimiter=";", task="regression", **options):
        rows = (f"Wohnung in Köln {n}{delimiter}{c}" for n, c in enumerate(cells))
        text = "\n".join([f"text{delimiter}Preis", *rows, ""])
        path = make.file("a.csv", text.encode("cp1252"))
        return read(path, medium="text", task=task, **options)

    return _read


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_commas_of_numbers_are_points(prices, delimiter):
    source, chunks = prices(["1,1", " -0,25 ", "", "3", "2,5e3"], delimiter)
    assert labels_of(chunks) == ["1.1", "-0.25", "", "3.0", "2500.0"]
    assert source.notes[0].endswith("texts in text, labels in Preis (1,5 is 1.5).")


@pytest.mark.parametrize(
    "cells", [["1,1", "1.000"], ["1,1", "1.234,5"], ["1,234,567", "1,1"]]
)
def test_commas_beside_points_or_other_commas_stay(prices, cells):
    # The last rows differ from the sample, which ends long before them.
    _, chunks = prices([*["0,5"] * 5000, *cells], label="Preis")
    assert labels_of(chunks)[0] == "0,5"
    assert set(cells) & set(labels_of(chunks))


def test_commas_of_a_table_that_commas_delimit_stay(prices):
    _, chunks = prices(['"1,1"', '"2,5"'], ",", label="Preis")
    assert labels_of(chunks) == ["1,1", "2,5"]


def test_labels_of_classes_keep_their_commas(prices):
    _, chunks = prices(["1,1", "2,5"] * 5, task="classification", label="Preis")
    assert set(labels_of(chunks)) == {"1,1", "2,5"}


def test_of_several_columns_with_commas_the_label_is_asked_for(make, read):
    rows = "\n".join(f"Wohnung {n};{n},5;{n * n},25" for n in range(20))
    path = make.file("a.csv", f"Anzeige;Preis;Fläche\n{rows}\n".encode("cp1252"))
    with pytest.raises(SourceError, match=r"Preis \(numbers\), Fläche \(numbers\)"):
        read(path, medium="text", task="regression")
    _, chunks = read(path, medium="text", task="regression", label="Fläche")
    assert labels_of(chunks)[:3] == ["0.25", "1.25", "4.25"]


def test_a_table_of_files_may_have_decimal_commas(make, read):
    for n in range(4):
        make.file(f"photos/{n}.png", make.png(make.images[n]))
    rows = "\n".join(f"{n}.png;{n},5" for n in range(4))
    make.file("photos/list.csv", f"file;angle\n{rows}\n".encode())
    _, chunks = read(make.folder / "photos", task="regression", label="angle")
    assert labels_of(chunks) == ["0.5", "1.5", "2.5", "3.5"]
