"""The contract over small snapshots: each check holds once and breaks once."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest

from headrace import workers
from headrace.errors import ContractError, SpecError
from headrace.records import ContractRecord, DataDescription, Finding, SnapshotRecord
from headrace.settings import Settings
from headrace.snapshots import Rejected, read_split, writing
from headrace.spec import PipelineSpec
from headrace.store import Store
from headrace.validation import quarantine as quarantine_module
from headrace.validation import validate

SPLITS = ["train"] * 60 + ["val"] * 8 + ["test"] * 32


@dataclass
class Data:
    """100 different images of 4 x 4, two classes in turn; change what you like."""

    pixels: npt.NDArray[np.uint8] = field(
        default_factory=lambda: np.random.default_rng(0).integers(
            0, 256, (100, 4, 4, 1), np.uint8
        )
    )
    label: list[str] = field(default_factory=lambda: ["cat", "dog"] * 50)
    split: list[str] = field(default_factory=lambda: list(SPLITS))
    rejected: list[Rejected] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


Check = Callable[..., ContractRecord]


@pytest.fixture
def check(tmp_path: Path, write_snapshot: Callable[..., SnapshotRecord]) -> Check:
    """Write the data as a snapshot and validate it."""

    def run(
        data: Data, contract: Sequence[dict[str, Any]] = (), **limits: Any
    ) -> ContractRecord:
        store = Store(str(tmp_path))
        spec = PipelineSpec.model_validate(
            {
                "name": "pets",
                "medium": "image",
                "data": {"source": "made", "classes": ["cat", "dog"], **limits},
                "contract": contract,
            }
        )
        names = [f"{row}.png" for row in range(len(data.pixels))]
        description = DataDescription(
            medium="image", shape=(4, 4, 1), classes=("cat", "dog")
        )
        snapshot = write_snapshot(
            store,
            description,
            data.pixels,
            {"split": data.split, "label": data.label, "name": names},
            data.rejected,
            data.findings,
        )
        return validate(spec, snapshot, store, Settings(project=tmp_path))

    return run


def quarantine(record: ContractRecord) -> dict[str, tuple[str, str]]:
    """Check and reason of each name in quarantine."""
    rows = pq.read_table(record.quarantine_uri).to_pylist()
    return {row["name"]: (row["check"], row["reason"]) for row in rows}


def expectation(name: str, **arguments: Any) -> list[dict[str, Any]]:
    return [{"expectation": f"expect_{name}", **arguments}]


def test_clean_data_passes_every_check_without_a_finding(check: Check) -> None:
    record = check(Data())

    assert record.rows == {"train": 60, "val": 8, "test": 32}
    assert record.quarantined == 0
    assert record.quarantine_uri == ""
    assert record.findings == ()
    assert all(result.passed for result in record.results)
    seen = {(r.expectation, r.column, r.observed) for r in record.results}
    assert ("expect_table_row_count_to_be_between", "", "test: 32") in seen
    assert ("expect_column_values_to_be_in_set", "blank", "0 of 100 rows") in seen
    assert ContractRecord.model_validate_json(record.model_dump_json()) == record


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_without_items_is_refused(check: Check, split: str) -> None:
    data = Data(split=["test" if split == "train" else "train"] * 100)

    with pytest.raises(ContractError, match=f"- {split} holds no readable item"):
        check(
            data, expectation("column_mean_to_be_between", column="mean", min_value=1)
        )


def test_an_empty_table_is_refused(check: Check) -> None:
    data = Data(pixels=np.empty((0, 4, 4, 1), np.uint8), label=[], split=[])

    with pytest.raises(ContractError, match="train holds no readable item") as error:
        check(data, expectation("column_values_to_not_be_null", column="mean"))
    assert "test holds no readable item" in str(error.value)


def test_unreadable_items_are_set_aside_with_their_own_reason(check: Check) -> None:
    broken = Rejected("ab", "train", "cat", "broken.png", "decode", "cut short")

    record = check(Data(rejected=[broken]))

    assert record.rows == {"train": 60, "val": 8, "test": 32}
    assert quarantine(record) == {"broken.png": ("decode", "cut short")}
    assert record.findings == (
        Finding(
            check="decode",
            split="train",
            count=1,
            message="set aside 1 row: broken.png: cut short",
        ),
    )
    (readable,) = [r for r in record.results if r.column == "readable"]
    assert (readable.passed, readable.observed) == (False, "1 of 101 rows")


def test_an_unknown_label_is_set_aside(check: Check) -> None:
    data = Data()
    data.label[3] = "cow"

    record = check(data)

    assert quarantine(record) == {
        "3.png": ("label", "its label is none of the classes (label cow)")
    }
    assert [finding.check for finding in record.findings] == ["label"]


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_class_missing_from_a_split_is_refused(check: Check, split: str) -> None:
    data = Data()
    data.label = [
        "cat" if of == split else label
        for of, label in zip(data.split, data.label, strict=True)
    ]

    with pytest.raises(ContractError, match=f"- {split} holds no item of class dog"):
        check(data)


def test_data_of_a_single_class_is_refused(check: Check) -> None:
    with pytest.raises(ContractError, match="all items are of one class, cat"):
        check(Data(label=["cat"] * 100))


def test_a_small_class_is_a_finding(check: Check) -> None:
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


def test_a_class_of_a_tenth_of_the_mean_is_no_finding(check: Check) -> None:
    data = Data()
    data.label = ["dog" if row in {0, 1, 2, 90} else "cat" for row in range(100)]

    assert check(data).findings == ()


def test_blank_images_are_set_aside_and_are_no_copies(check: Check) -> None:
    data = Data()
    data.pixels[[0, 1, 99]] = 7

    record = check(data)

    reason = ("blank", "all its values are equal")
    assert quarantine(record) == dict.fromkeys(["0.png", "1.png", "99.png"], reason)
    assert record.rows == {"train": 58, "val": 8, "test": 31}
    assert [(f.check, f.split, f.count) for f in record.findings] == [("blank", "", 3)]


def test_the_first_of_equal_items_is_kept(check: Check) -> None:
    data = Data()
    data.pixels[[2, 4]] = data.pixels[0]
    data.pixels[99] = data.pixels[97]

    record = check(data)

    kept = "an equal item is kept (copy of "
    assert quarantine(record) == {
        "2.png": ("duplicate", f"{kept}0.png)"),
        "4.png": ("duplicate", f"{kept}0.png)"),
        "99.png": ("duplicate", f"{kept}97.png)"),
    }
    assert record.rows == {"train": 58, "val": 8, "test": 31}


def test_equal_items_in_train_and_val_keep_the_one_in_train(check: Check) -> None:
    data = Data()
    data.pixels[60] = data.pixels[0]

    assert list(quarantine(check(data))) == ["60.png"]


def test_equal_items_under_two_labels_are_all_set_aside(check: Check) -> None:
    data = Data()
    data.pixels[[1, 3]] = data.pixels[0]

    record = check(data)

    assert {name: found for name, (found, _) in quarantine(record).items()} == {
        "0.png": "two_labels",
        "1.png": "two_labels",
        "3.png": "two_labels",
    }
    assert "an equal item is kept" in quarantine(record)["3.png"][1]


def test_test_items_that_are_also_in_train_are_refused(check: Check) -> None:
    data = Data()
    data.pixels[[68, 70]] = data.pixels[[0, 2]]

    with pytest.raises(
        ContractError, match=r"2 of the 32 test items \(6\.2%\)"
    ) as error:
        check(data)
    assert "for example" in error.value.message
    assert "data.leak_limit is 1.0%" in error.value.message
    assert "set aside" not in error.value.message


def test_below_the_limit_the_train_copy_of_a_leak_is_set_aside(check: Check) -> None:
    data = Data()
    data.pixels[68] = data.pixels[0]

    record = check(data, leak_limit=1 / 32)

    assert quarantine(record) == {
        "0.png": ("leak", "an equal item is in test (copy of 68.png)")
    }
    assert [(f.check, f.split, f.count) for f in record.findings] == [
        ("leak", "train", 1)
    ]
    assert record.rows == {"train": 59, "val": 8, "test": 32}


def test_differently_scaled_splits_are_one_finding(check: Check) -> None:
    data = Data()
    data.pixels[68:] //= 50

    (finding,) = check(data).findings

    assert (finding.check, finding.split) == ("scale", "test")
    assert "are they scaled alike?" in finding.message


def test_a_darker_test_split_is_no_finding(check: Check) -> None:
    data = Data()
    data.pixels[68:] //= 3

    assert check(data).findings == ()


def test_the_verdict_does_not_depend_on_what_ingestion_found(check: Check) -> None:
    known = Finding(check="scale", split="test", count=1, message="0..1 in test")

    assert check(Data(findings=[known])).findings == ()


def test_nothing_beyond_the_quarantine_limit_is_absorbed(check: Check) -> None:
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
    assert "items" in Path(pages).read_text()
    assert pq.read_metadata(rows.split(". ")[0]).num_rows == 6


def test_the_quarantine_limit_itself_is_absorbed(check: Check) -> None:
    data = Data()
    data.pixels[:5] = 0

    assert check(data).quarantined == 5


def test_a_class_emptied_by_the_quarantine_is_refused(check: Check) -> None:
    data = Data(label=["cat"] * 100)
    data.label[0] = data.label[68] = "dog"
    data.pixels[68] = 0

    with pytest.raises(ContractError, match="after quarantine, test holds no item of"):
        check(data)


def test_quarantined_rows_are_places_in_the_snapshot(
    check: Check, tmp_path: Path
) -> None:
    data = Data()
    data.pixels[1] = 0
    data.pixels[2] = data.pixels[0]

    record = check(data)

    (folder,) = (tmp_path / "snapshots").iterdir()
    assert record.snapshot_digest == folder.name
    table = pq.read_table(record.quarantine_uri)
    assert table.column_names == ["row", "name", "split", "label", "check", "reason"]
    names = pq.read_table(folder / "items")["name"].to_pylist()
    assert [names[row] for row in table["row"].to_pylist()] == table["name"].to_pylist()


def test_many_shards_give_the_verdict_of_one(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Data(rejected=[Rejected("ab", "train", "cat", "broken.png", "decode", "x")])
    data.pixels[[2, 4, 70]] = data.pixels[0]
    data.pixels[[8, 90]] = 7
    data.label[5] = "cow"
    rule = expectation("column_values_to_be_between", column="mean", max_value=150)
    limits = {"quarantine_limit": 0.5, "leak_limit": 0.5}
    one = check(data, rule, **limits)
    shutil.rmtree(tmp_path / "snapshots")
    monkeypatch.setattr(writing, "BYTES_PER_SHARD", 200)
    monkeypatch.setattr(workers, "FEW", 100)

    many = check(data, rule, **limits)

    assert one.quarantined > 8
    (folder,) = (tmp_path / "snapshots").iterdir()
    assert len(list((folder / "items").iterdir())) == 8
    assert pq.read_table(many.quarantine_uri) == pq.read_table(one.quarantine_uri)
    place = {"quarantine_uri": ""}
    assert many.model_copy(update=place) == one.model_copy(update=place)


def test_many_unreadable_items_are_set_aside_in_order(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine_module, "_BLOCK", 2)
    broken = [
        Rejected(f"{i:02d}", "train", "cat", f"broken{i}.png", "decode", "cut short")
        for i in range(5)
    ]

    record = check(Data(rejected=broken))

    rows = pq.read_table(record.quarantine_uri).to_pylist()
    assert [(row["row"], row["name"]) for row in rows] == [
        (place - 5, f"broken{4 - place}.png") for place in range(5)
    ]
    (finding,) = record.findings
    assert finding.message == (
        "set aside 5 rows: broken4.png, broken3.png, broken2.png and 2 more: cut short"
    )


def test_nothing_is_left_of_the_work(check: Check, tmp_path: Path) -> None:
    data = Data()
    check(data)
    data.pixels[:50] = 0
    with pytest.raises(ContractError):
        check(data)

    assert [path.suffix for path in (tmp_path / "quarantine").iterdir()] == [".parquet"]


def test_a_failing_row_of_the_contract_is_set_aside_under_its_name(
    check: Check,
) -> None:
    data = Data()
    data.pixels[5] = 255
    data.pixels[5, 0, 0] = 254
    rule = expectation("column_values_to_be_between", column="mean", max_value=250)

    record = check(data, rule)

    assert quarantine(record) == {
        "5.png": (
            "expect_column_values_to_be_between",
            "contract[0]: max_value=250 (mean 254.9375)",
        )
    }


def test_mostly_is_honoured(check: Check) -> None:
    data = Data()
    data.pixels[5, :, :] = 255
    data.pixels[5, 0, 0] = 254
    rule = {"column": "mean", "max_value": 250}

    record = check(data, expectation("column_values_to_be_between", mostly=0.9, **rule))

    assert record.quarantined == 0
    assert (record.results[-1].passed, record.results[-1].unexpected) == (True, 1)


def test_a_split_of_the_contract_is_all_that_is_looked_at(check: Check) -> None:
    data = Data()
    data.pixels[5] = 255
    data.pixels[5, 0, 0] = 254
    rule = {"column": "mean", "max_value": 250}

    record = check(
        data, expectation("column_values_to_be_between", split="test", **rule)
    )

    assert record.quarantined == 0
    assert record.results[-1].observed == "test: 0 of 32 rows"


def test_a_failing_aggregate_of_the_contract_is_refused(check: Check) -> None:
    rule = expectation("column_mean_to_be_between", column="mean", max_value=3)

    with pytest.raises(ContractError, match=r"contract\[0\].*mean.*: observed 12"):
        check(Data(), rule)


def test_a_holding_aggregate_of_the_contract_passes(check: Check) -> None:
    rule = expectation("column_mean_to_be_between", column="mean", max_value=200)

    assert check(Data(), rule).results[-1].passed


def test_a_contract_row_of_low_severity_only_warns(check: Check) -> None:
    mean = {"column": "mean", "max_value": 3, "severity": "warning"}

    record = check(Data(), expectation("column_mean_to_be_between", **mean))

    (finding,) = record.findings
    assert finding.check == "expect_column_mean_to_be_between"
    assert "observed 12" in finding.message


def test_a_contract_row_that_sees_no_values_is_refused(check: Check) -> None:
    data = Data(split=["train" if split == "val" else split for split in SPLITS])
    rule = {"column": "mean", "min_value": 0, "split": "val"}

    with pytest.raises(ContractError, match="on val: observed no values"):
        check(data, expectation("column_values_to_be_between", **rule))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            {"expectation": "expect_column_mean_to_be_betwen", "column": "mean"},
            r"contract\[0\]: there is no expectation 'expect_column_mean_to_be_betwen'"
            r"\. Did you mean expect_column_mean_to_be_between\?",
        ),
        (
            {"expectation": "expect_column_values_to_be_unique", "column": "men"},
            r"there is no column 'men'\. Known columns: row, name, split, label",
        ),
        (
            {"expectation": "expect_column_mean_to_be_between", "column": "mean"}
            | {"max_value": "high", "minimum": 3},
            "max_value: value is not a valid float; minimum: extra fields not",
        ),
        (
            {"expectation": "expect_column_values_to_be_between", "column": "mean"},
            "min_value and max_value cannot both be None",
        ),
        (
            {"expectation": "expect_column_values_to_be_unique", "column": "item"}
            | {"row_condition": 'split == "train"', "condition_parser": "pandas"},
            "row_condition cannot be given here. Use `split`",
        ),
        (
            {"expectation": "expect_column_to_exist", "column": "mean", "split": "val"},
            "expect_column_to_exist cannot be asked of one split",
        ),
        (
            {"expectation": "expect_column_mean_to_be_between", "column": "name"}
            | {"max_value": 3},
            r"contract\[0\].* cannot be answered: Cannot perform reduction 'mean'",
        ),
    ],
)
def test_a_contract_row_that_cannot_be_asked_is_a_spec_error(
    check: Check, rule: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        check(Data(), [rule])


def test_equal_outcomes_share_their_pages(check: Check, tmp_path: Path) -> None:
    first, again = check(Data()), check(Data())
    other = check(Data(), expectation("column_to_exist", column="mean"))

    assert first.docs_uri == again.docs_uri != other.docs_uri
    assert len(list((tmp_path / "data_docs").iterdir())) == 2


def test_pages_are_small_linked_and_name_the_blamed_rows(check: Check) -> None:
    data = Data()
    data.pixels[7] = 0

    page = Path(check(data).docs_uri)

    files = [path for path in page.parent.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 500_000
    (items,) = (page.parent / "validations" / "items").rglob("*.html")
    assert f'href="{items.relative_to(page.parent).as_posix()}"' in page.read_text()
    assert "7.png" in items.read_text()


def test_read_split_gives_what_is_left(check: Check, tmp_path: Path) -> None:
    data = Data()
    data.pixels[1] = 0

    record = check(data)

    snapshot = SnapshotRecord(
        uri=str(tmp_path / "snapshots" / record.snapshot_digest),
        digest=record.snapshot_digest,
        description=DataDescription(
            medium="image", shape=(4, 4, 1), classes=("cat", "dog")
        ),
        rows={},
        rejected=0,
        source="made",
    )
    pixels, _, names = read_split(snapshot, "train", record.quarantine_uri)
    assert len(pixels) == record.rows["train"] == 59
    assert "1.png" not in names
