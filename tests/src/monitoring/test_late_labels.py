"""Tables of late labels."""

import numpy as np
import pandas as pd
import pytest

from headrace.errors import InputError, NotFoundError, UsageError
from headrace.monitoring.batches import Batch
from headrace.monitoring.late_labels import read_labels, request_key


@pytest.fixture
def written(tmp_path):
    return tmp_path / "labels.csv"


def batch(**ids):
    items = np.array(["aa", "bb", "cc"], object)
    arrays = {name: np.array(values, object) for name, values in ids.items()}
    empty = np.full(3, "", object)
    return Batch("log", np.zeros((3, 2), np.float32), {}, items, empty, ids=arrays)


def test_labels_of_requests_are_joined_by_id_and_row(written, settings):
    written.write_text("request_id,row,label\nr1,0,3\nr1,1,5\nr9,0,7\n")
    late = read_labels(str(written), settings)
    rows = batch(request_id=[request_key("r1", 1), "r2", "r1"])
    assert late.of(rows).tolist() == ["5", "", "3"]


def test_rows_that_a_table_with_gaps_has_written_are_read(written, settings):
    written.write_text("request_id,row,label\nr1,0.0,3\nr1,1.0,5\nr2,,7\n")
    late = read_labels(str(written), settings)
    rows = batch(request_id=["r1", request_key("r1", 1), "r2"])
    assert late.of(rows).tolist() == ["3", "5", "7"]


@pytest.mark.parametrize("row", ["-2", "1.5", "first", "²"])
def test_a_row_that_is_no_place_is_named(written, settings, row):
    written.write_text(f"request_id,row,label\nr1,0,3\nr1,{row},5\n")
    with pytest.raises(InputError, match=f"csv line 3: the column row is '{row}'"):
        read_labels(str(written), settings)


def test_labels_of_items_come_from_any_table(tmp_path, settings):
    path = tmp_path / "labels.parquet"
    pd.DataFrame({"item": ["bb", "cc"], "true_label": [4, 6]}).to_parquet(path)
    assert read_labels(str(path), settings).of(batch()).tolist() == ["", "4", "6"]


def test_late_numbers_may_have_decimal_commas(written, settings):
    written.write_text("item;label\naa;1,5\nbb;-0,25\n")
    late = read_labels(str(written), settings, learned="regression")
    assert late.labels == {"aa": "1.5", "bb": "-0.25"}
    assert read_labels(str(written), settings).labels["aa"] == "1,5"


def test_the_last_label_of_a_key_counts_and_blanks_do_not(written, settings):
    written.write_text("item;label\naa;ham\naa; spam \nbb;\n")
    late = read_labels(str(written), settings)
    assert late.of(batch()).tolist() == ["spam", "", ""]


def test_a_column_of_labels_can_be_named(written, settings):
    written.write_text("name,label,checked\na.png,1,2\n")
    late = read_labels(str(written), settings, "checked")
    assert late.of(batch(name=["a.png", "b.png", ""])).tolist() == ["2", "", ""]


def test_a_key_that_the_rows_lack_is_named(written, settings):
    written.write_text("request_id,label\nr1,3\nr2,4\n")
    late = read_labels(str(written), settings)
    with pytest.raises(InputError, match=r"a request_id, .* they have item, name"):
        late.of(batch(name=["a", "b", "c"]))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("item,answer\naa,1\nbb,2\n", "no column label or true_label"),
        ("id,label\naa,1\nbb,2\n", "no column request_id or item or name"),
    ],
)
def test_a_missing_column_is_named(written, settings, text, match):
    written.write_text(text)
    with pytest.raises(InputError, match=match):
        read_labels(str(written), settings)


def test_what_is_no_table_is_refused(tmp_path, settings):
    with pytest.raises(NotFoundError):
        read_labels(str(tmp_path / "none.csv"), settings)
    with pytest.raises(InputError, match="is not a table"):
        read_labels(str(tmp_path), settings)
    with pytest.raises(UsageError, match="holds a credential"):
        read_labels("s3://key:secret@bucket/labels.csv", settings)
