"""Rows that can be blamed are set aside, each with its reason."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import soundfile
from tests.src.stages.validation.conftest import Data, quarantine

from headrace.data.snapshots.splits import read_split
from headrace.errors import ContractError
from headrace.media.forms import Rejected
from headrace.pipeline import DataSpec, PipelineSpec
from headrace.records import DataDescription, Finding, SnapshotRecord
from headrace.settings import Settings
from headrace.stages.ingestion import ingest
from headrace.stages.validation import quarantine as quarantine_module
from headrace.stages.validation import validate
from headrace.state.store import Store


def test_unreadable_items_are_set_aside_with_their_own_reason(check):
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


def test_an_unknown_label_is_set_aside(check):
    data = Data()
    data.label[3] = "cow"

    record = check(data)

    assert quarantine(record) == {
        "3.png": ("label", "its label is none of the classes (label cow)")
    }
    assert [finding.check for finding in record.findings] == ["label"]


def test_blank_images_are_set_aside_and_are_no_copies(check):
    data = Data()
    data.pixels[[0, 1, 99]] = 7

    record = check(data)

    reason = ("blank", "all its values are equal")
    assert quarantine(record) == dict.fromkeys(["0.png", "1.png", "99.png"], reason)
    assert record.rows == {"train": 58, "val": 8, "test": 31}
    assert [(f.check, f.split, f.count) for f in record.findings] == [("blank", "", 3)]


def test_the_reason_for_a_sound_that_is_all_silence_is_one(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(40):
        sound = rng.normal(0, 0.1, 8000) * (number > 0)
        place = tmp_path / "sounds" / "ab"[number % 2] / f"{number}.wav"
        place.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(place, sound, 8000)
    settings, store = Settings(project=tmp_path), Store(str(tmp_path / "store"))
    data = {"source": str(tmp_path / "sounds"), "seconds": 1, "sample_rate_hz": 8000}
    spec = PipelineSpec.model_validate({"name": "s", "medium": "audio", "data": data})
    snapshot = ingest(spec.data, "audio", store, settings)

    record = validate(spec, snapshot, store, settings)

    assert quarantine(record) == {"a/0.wav": ("blank", "all its values are equal")}


def test_the_first_of_equal_items_is_kept(check):
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


def test_equal_items_in_train_and_val_keep_the_one_in_train(check):
    data = Data()
    data.pixels[60] = data.pixels[0]

    assert list(quarantine(check(data))) == ["60.png"]


def test_equal_items_under_two_labels_are_all_set_aside(check):
    data = Data()
    data.pixels[[1, 3]] = data.pixels[0]

    record = check(data)

    assert {name: found for name, (found, _) in quarantine(record).items()} == {
        "0.png": "two_labels",
        "1.png": "two_labels",
        "3.png": "two_labels",
    }
    assert "an equal item is kept" in quarantine(record)["3.png"][1]


@pytest.mark.parametrize("limit", [0, 0.5])
def test_two_numbers_of_equal_items_are_no_contradiction_but_may_be_a_leak(
    tmp_path, write_snapshot, limit
):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 1), np.uint8)
    pixels[[1, 2]], pixels[35] = pixels[0], pixels[30]
    labels, names = ([f"{n}.{end}" for n in range(40)] for end in ("0", "png"))
    split = ["train"] * 32 + ["test"] * 8
    columns = {"split": split, "label": labels, "name": names}
    data = DataDescription(medium="image", task="regression", shape=(4, 4, 1))
    store, settings = Store(str(tmp_path / "store")), Settings(project=tmp_path)
    snapshot = write_snapshot(store, data, pixels, columns, [], [])
    spec = PipelineSpec(
        name="ages",
        medium="image",
        task="regression",
        data=DataSpec(source="made", leak_limit=limit),
    )

    if limit:
        record = validate(spec, snapshot, store, settings)
        reason = "an equal item is in test (copy of 35.png)"
        assert quarantine(record) == {"30.png": ("leak", reason)}
    else:
        with pytest.raises(ContractError, match="leak"):
            validate(spec, snapshot, store, settings)


def test_below_the_limit_the_train_copy_of_a_leak_is_set_aside(check):
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


def test_the_quarantine_limit_itself_is_absorbed(check):
    data = Data()
    data.pixels[:5] = 0

    assert check(data).quarantined == 5


def test_quarantined_rows_are_places_in_the_snapshot(check, tmp_path):
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


def test_many_unreadable_items_are_set_aside_in_order(check, monkeypatch):
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


def test_read_split_gives_what_is_left(check, tmp_path):
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
    pixels, _, names, *_ = read_split(snapshot, "train", record.quarantine_uri)
    assert len(pixels) == record.rows["train"] == 59
    assert "1.png" not in names


def test_reasons_of_one_check_vary_but_for_the_names_of_copies():
    blamed = pd.DataFrame(
        {
            "row": -1,
            "check": ["decode", "decode", "leak", "leak"],
            "split": "train",
            "label": "cat",
            "name": [f"{n}.png" for n in range(4)],
            "reason": [
                "not a known format: begins with b'\\x94#}'",
                "not a known format: begins with b'(\\xde'",
                "an equal item is kept (copy of a (1).png)",
                "an equal item is kept (copy of b.png)",
            ],
        }
    )
    found = quarantine_module.Quarantine()
    form = DataDescription(medium="image", shape=(4, 4, 1), classes=("cat", "dog"))
    found.add(blamed, form)

    kinds = {check: (kind.count, kind.varies) for check, kind in found.kinds.items()}
    assert kinds == {"decode": (2, True), "leak": (2, False)}
