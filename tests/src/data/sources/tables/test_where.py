import pyarrow as pa
import pytest

from headrace.data.sources.tables.reading import select
from headrace.data.sources.tables.tabular import TableRows
from headrace.errors import SpecError
from headrace.pipeline import DataSpec

ROWS = pa.record_batch(
    {
        "lang": ["en", "zh", None, "de"],
        "size": [1, 5, None, 20],
        "length in words": ["1", " 5", "", "20.5"],
        "good": [True, False, None, True],
        "kind": pa.array(["a", "b", "a", "b"]).dictionary_encode(),
        "id": pa.array([2**60 + 1, 2**60 + 2, None, 5], pa.int64()),
        "damaged": pa.array([b"en", b"\xff", None, b"zh"], pa.large_binary()),
    }
)


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        (None, [0, 1, 2, 3]),
        ({"lang": "en"}, [0]),
        ({"lang": ""}, [2]),
        ({"size": "5"}, [1]),
        ({"length in words": "20.5"}, [3]),
        ({"good": "true"}, [0, 3]),
        ({"kind": "b", "lang": "de"}, [3]),
        ({"id": str(2**60 + 1)}, [0]),
        ({"damaged": "en"}, [0]),
    ],
)
def test_rows_with_the_values_are_taken(where, rows):
    assert select(TableRows(ROWS), where).nonzero()[0].tolist() == rows


def test_an_unreadable_row_is_taken():
    assert select(TableRows(ROWS, [1]), {"lang": "en"}).tolist() == [1, 1, 0, 0]


def test_a_column_may_have_any_name(make, read):
    path = make.file("a.csv", b"text,label,star-rating of it\na,x,3\nb,y,4\nc,y,3\n")
    where = {"star-rating of it": "3"}
    _, (chunk,) = read(path, medium="text", where=where)
    assert chunk.items == [b"a", b"c"]
    with pytest.raises(SpecError, match=r"data.where names 'nix', which is no column"):
        read(path, medium="text", where={"nix": "3"})


def test_a_condition_needs_a_table(make, read):
    with pytest.raises(SpecError, match=r"data.where = .* needs a table, which"):
        read(make.tree(make.members()), where={"lang": "en"})


def test_whole_numbers_and_truth_values_are_text():
    data = DataSpec(source="a.csv", where={"stars": 3, "good": True, "lang": "en"})
    assert data.where == {"stars": "3", "good": "true", "lang": "en"}
    with pytest.raises(ValueError, match="where"):
        DataSpec(source="a.csv", where="lang == 'en'")
