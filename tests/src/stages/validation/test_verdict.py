"""What refuses a data set, what is only a finding, and what is neither."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.src.stages.validation.conftest import Data, expectation

from headrace.errors import ContractError
from headrace.media.forms import Rejected
from headrace.records import Finding


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_without_items_is_refused(check, split):
    data = Data(split=["test" if split == "train" else "train"] * 100)

    with pytest.raises(ContractError, match=f"- {split} holds no readable item"):
        check(
            data, expectation("column_mean_to_be_between", column="mean", min_value=1)
        )


def test_an_empty_table_is_refused(check):
    data = Data(pixels=np.empty((0, 4, 4, 1), np.uint8), label=[], split=[])

    with pytest.raises(ContractError, match="train holds no readable item") as error:
        check(data, expectation("column_values_to_not_be_null", column="mean"))
    assert "test holds no readable item" in str(error.value)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_class_missing_from_a_split_is_refused(check, split):
    data = Data()
    pairs = zip(data.split, data.label, strict=True)
    left = sum(of != split and label == "dog" for of, label in pairs)
    data.label = [
        "cat" if of == split else label
        for of, label in zip(data.split, data.label, strict=True)
    ]

    told = (
        f"- {split} holds no item of class dog; a class needs at least 2 different "
        f"items, one in train and one in test, and dog has {left}"
    )
    with pytest.raises(ContractError, match=told):
        check(data)


def test_data_of_a_single_class_is_refused(check):
    with pytest.raises(ContractError, match="all items are of one class, cat"):
        check(Data(label=["cat"] * 100))


def test_a_small_class_is_a_finding(check):
    data = Data()
    data.label = ["dog" if row in {0, 1, 90} else "cat" for row in range(100)]

    record = check(data)

    assert record.findings == (
        Finding(
            check="class_balance",
            split="train",
            count=1,
            message="of a mean of 30 train items a class, dog has 2",
        ),
    )
    assert record.quarantined == 0


def test_rows_that_the_source_has_told_of_are_told_once(check):
    unread = Rejected("ab", "train", "", "a.csv[3]", "ragged_rows", "not read")
    told = Finding(check="ragged_rows", count=1, message="line 4: no cells")

    record = check(Data(rejected=[unread], findings=[told]))

    assert (record.findings, record.quarantined) == ((), 1)


def test_a_class_of_a_tenth_of_the_mean_is_no_finding(check):
    data = Data()
    data.label = ["dog" if row in {0, 1, 2, 90} else "cat" for row in range(100)]

    assert check(data).findings == ()


def test_test_items_that_are_also_in_train_are_refused(check):
    data = Data()
    data.pixels[[68, 70]] = data.pixels[[0, 2]]

    with pytest.raises(
        ContractError, match=r"2 of the 32 test items \(6\.2%\)"
    ) as error:
        check(data)
    assert "for example" in error.value.message
    assert "data.leak_limit is 1.0%" in error.value.message
    assert "set aside" not in error.value.message


def test_differently_scaled_splits_are_one_finding(check):
    data = Data()
    data.pixels[68:] //= 50

    (finding,) = check(data).findings

    assert (finding.check, finding.split) == ("scale", "test")
    assert "are they scaled alike?" in finding.message


def test_a_darker_test_split_is_one_finding(check):
    data = Data()
    data.pixels[68:] //= 3

    (finding,) = check(data).findings

    assert (finding.check, finding.split) == ("test_differs", "test")
    assert "the test split differs from train: border 126.2 in" in finding.message


def test_a_slightly_darker_test_split_is_no_finding(check):
    data = Data()
    data.pixels[68:] = (data.pixels[68:] * 0.97).astype(np.uint8)

    assert check(data).findings == ()


def test_no_warning_hides_another_of_the_same_check(check_texts):
    texts = [f"A letter about the {n}th of many houses" for n in range(100)]
    texts[5:25] = [f"\u200b{text}" for text in texts[5:25]]
    texts[30] += "\x07"
    texts[40] += ", card 4111 1111 1111 1111 and ID 11010519491231002X"

    found = [
        (f.check, f.count, f.message.rpartition(": ")[2])
        for f in check_texts(texts).findings
        if f.check != "near_leak"
    ]

    assert found == [
        ("control_characters", 1, "characters that nobody sees"),
        ("control_characters", 20, "hidden characters"),
        ("personal_data", 1, "Chinese ID numbers"),
        ("personal_data", 1, "payment card numbers"),
    ]


def test_a_warning_that_names_no_other_rows_is_told_once(check_texts):
    texts = [f"A letter about the {n}th of many houses" for n in range(100)]
    texts[7] = "Привет всем, это письмо о доме"

    findings = check_texts(texts).findings
    (finding,) = [f for f in findings if f.check == "foreign"]

    assert finding.message.endswith("its script is unlike the rest")


def test_the_verdict_does_not_depend_on_what_ingestion_found(check):
    known = Finding(check="scale", split="test", count=1, message="0..1 in test")

    assert check(Data(findings=[known])).findings == ()


def test_nothing_beyond_the_quarantine_limit_is_absorbed(check):
    data = Data()
    data.pixels[:4] = 0
    data.label[10] = data.label[12] = "cow"

    with pytest.raises(ContractError, match=r"6 of 100 rows \(6\.0%\)") as error:
        check(data)

    message, action = error.value.message, error.value.action
    assert "The data of pets breaks its contract (made):" in message
    assert "data.quarantine_limit is 5.0%, 5 rows" in message
    assert "blank: 4 rows: " in message
    assert " and 1 more: all its values are equal" in message
    assert "label: 2 rows: " in message
    pages, rows = action.split("All checks: ")[1], action.split("Blamed rows: ")[1]
    page = Path(pages).read_text()
    assert "<strong>refused</strong>" in page
    assert "<h2>Items</h2>" in page
    assert pq.read_metadata(rows.split("\n")[0]).num_rows == 6
    lines = str(error.value).splitlines()
    assert "Mend the data, or the pipeline file, and run again." in lines
    assert lines[-1] == f"All checks: {pages}"


def test_a_class_emptied_by_the_quarantine_is_refused(check):
    data = Data(label=["cat"] * 100)
    data.label[0] = data.label[68] = "dog"
    data.pixels[68] = 0

    with pytest.raises(ContractError, match="after quarantine, test holds no item of"):
        check(data)


def _rejected(reasons):
    return [
        Rejected(f"{i:02d}", "train", "cat", f"{i}.wav", "header", reason)
        for i, reason in enumerate(reasons)
    ]


def test_rows_that_are_set_aside_are_told_check_by_check(check):
    data = Data(
        rejected=_rejected(["0 channels", "it is cut short", "it is cut short"])
    )
    data.label[3:5] = ["cow", "hen"]

    header, label = check(data).findings

    assert (header.check, header.count) == ("header", 3)
    assert header.message == (
        "set aside 3 rows: 2.wav, 1.wav, 0.wav: for instance it is cut short"
    )
    assert ": for instance its label is none of the classes (label " in label.message


def test_where_sizes_are_the_reason_they_come_first_and_resize_is_named(check):
    data = Data(label=["cat"] * 100)
    data.rejected = [
        Rejected(
            f"{row:064x}",
            ["train", "test"][row % 2],
            "dog",
            f"dog/{row}.jpg",
            "size",
            f"{row} x 9 pixels; 4 x 4 is the form",
        )
        for row in range(100, 300)
    ]
    with pytest.raises(ContractError) as error:
        check(data)
    first = error.value.message.splitlines()[1]
    assert first.startswith("  - 200 of 300 rows (66.7%) would be set aside")
    assert "size: 200 rows: dog/" in error.value.message
    assert 'data.resize = "crop", "pad" or "stretch"' in error.value.action
