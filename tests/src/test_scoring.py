"""A batch is scored as the champion would, whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from headrace import scoring
from headrace.errors import (
    DependencyError,
    HeadraceError,
    NotFoundError,
    SourceError,
    UsageError,
)
from headrace.scoring import ScoringRecord
from headrace.serving import LoadedModel, load_champion

Trained = Any
Images = npt.NDArray[np.uint8]
Score = Callable[..., tuple[ScoringRecord, pd.DataFrame]]

CHANCES = ["probability_0", "probability_1", "probability_2"]
COLUMNS = ["name", "item", "label", "probability", *CHANCES]
COLUMNS += ["model", "version", "data_digest", "error"]
X: Images = np.random.default_rng(7).integers(0, 256, (40, 8, 8), np.uint8)


def read(uri: Any) -> pd.DataFrame:
    reader = pd.read_csv if str(uri).endswith(".csv") else pd.read_parquet
    frame: pd.DataFrame = reader(str(uri))
    return frame


def png(array: Images) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def champion(_trained: Trained) -> LoadedModel:
    return load_champion("blobs", _trained.settings)


@pytest.fixture
def score(_trained: Trained, out: Path) -> Score:
    """Scores a source; returns the record and the output, by default Parquet."""

    def _score(source: Any, output: Any = None) -> tuple[ScoringRecord, pd.DataFrame]:
        place = output or out / "scores.parquet"
        record = scoring.score("blobs", str(source), str(place), _trained.settings)
        return record, read(place)

    return _score


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    np.savez(tmp_path / "x.npz", x=X)
    return tmp_path / "x.npz"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """40 images, and among them three that cannot be scored."""
    images = tmp_path / "images"
    images.mkdir()
    for row, image in enumerate(X):
        (images / f"{row:02}.png").write_bytes(png(image))
    (images / "05.broken.png").write_bytes(png(X[0])[:60])
    (images / "10.red.png").write_bytes(png(np.full((8, 8, 3), (9, 0, 0), np.uint8)))
    (images / "20.big.png").write_bytes(png(np.zeros((9, 8), np.uint8)))
    (images / "README.md").write_text("about")
    return images


def test_a_row_says_what_where_by_whom_and_of_what(
    score: Score, arrays: Path, champion: LoadedModel
) -> None:
    record, rows = score(arrays)
    assert list(rows.columns) == COLUMNS
    assert rows["name"].tolist() == [f"x[{row}]" for row in range(40)]
    assert rows["item"].tolist() == [sha(image.tobytes()) for image in X]
    chances = champion(X)
    assert np.allclose(rows[CHANCES].to_numpy(), chances, rtol=0, atol=1e-6)
    assert rows["label"].tolist() == champion.predict(X)
    assert rows["probability"].equals(rows[CHANCES].max(axis=1).rename("probability"))
    assert rows["model"].eq("blobs").all()
    assert rows["version"].eq(1).all()
    assert rows["data_digest"].eq(record.data_digest).all()
    assert rows["error"].isna().all()


def test_the_record_counts_the_rows(score: Score, arrays: Path, out: Path) -> None:
    record, _ = score(arrays)
    assert record.model_dump(exclude={"data_digest", "seconds"}) == {
        "model": "blobs",
        "version": 1,
        "rows": 40,
        "scored": 40,
        "failed": 0,
        "input": str(arrays),
        "output": str(out / "scores.parquet"),
        "accuracy": None,
    }
    assert left_in(out) == ["scores.parquet"]


@pytest.mark.parametrize("size", [1, 7, 39, 40])
def test_probabilities_do_not_depend_on_the_block(
    score: Score,
    arrays: Path,
    champion: LoadedModel,
    size: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scoring, "ROWS_AT_ONCE", size)
    _, rows = score(arrays)
    assert np.allclose(rows[CHANCES].to_numpy(), champion(X), rtol=0, atol=1e-6)
    assert rows["name"].tolist() == [f"x[{row}]" for row in range(40)]


def test_csv_and_parquet_say_the_same(score: Score, folder: Path, out: Path) -> None:
    record, table = score(folder)
    again, text = score(folder, out / "scores.csv")
    assert again.data_digest == record.data_digest
    assert list(text.columns) == list(table.columns)
    text["label"] = [None if pd.isna(v) else str(int(v)) for v in text["label"]]
    for name in table.columns:
        if name.startswith("probability"):
            assert text[name].astype("float32").equals(table[name]), name
        else:
            said = table[name].astype(object).where(table[name].notna(), None)
            read_back = text[name].astype(object).where(text[name].notna(), None)
            assert read_back.tolist() == said.tolist(), name


def test_what_cannot_be_decoded_is_a_row_with_the_reason(
    score: Score, folder: Path, champion: LoadedModel
) -> None:
    record, rows = score(folder)
    assert (record.rows, record.scored, record.failed) == (43, 40, 3)
    assert rows["name"].tolist() == sorted(rows["name"])
    bad = rows[rows["error"].notna()]
    assert dict(zip(bad["name"], bad["error"], strict=True)) == {
        "05.broken.png": "decode: damaged or cut short at byte 33",
        "10.red.png": "channels: a coloured image; 1 channel is the form",
        "20.big.png": "size: 9 x 8 pixels; 8 x 8 is the form",
    }
    assert bad[["label", "probability", *CHANCES]].isna().all(axis=None)
    broken = bad.set_index("name")["item"]["05.broken.png"]
    assert broken == sha(png(X[0])[:60])
    good = rows[rows["error"].isna()]
    assert np.allclose(good[CHANCES].to_numpy(), champion(X), rtol=0, atol=1e-6)


def test_known_labels_are_shown_and_counted(
    score: Score, tmp_path: Path, champion: LoadedModel
) -> None:
    right = champion.predict(X)
    labels = np.array([int(label) for label in right])
    labels[:10] = (labels[:10] + 1) % 3
    np.savez(tmp_path / "x.npz", x=X, y=labels)
    record, rows = score(tmp_path / "x.npz")
    assert record.accuracy == 0.75
    assert list(rows.columns) == [*COLUMNS, "true_label"]
    assert rows["true_label"].tolist() == [str(label) for label in labels]


def test_accuracy_is_over_the_rows_whose_label_is_known(
    score: Score, tmp_path: Path, champion: LoadedModel
) -> None:
    (right,) = champion.predict(X[:1])
    images = [png(X[0]), png(X[0]), png(X[1]), b"broken"]
    table = {"image": images, "label": [right, "none of them", None, right]}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    record, rows = score(tmp_path / "a.parquet")
    assert (record.accuracy, record.scored, record.failed) == (0.5, 3, 1)
    truth = rows["true_label"].astype(object).where(rows["true_label"].notna(), None)
    assert truth.tolist() == table["label"]


def test_a_folder_is_a_label_only_where_it_is_a_class(
    score: Score, tmp_path: Path, champion: LoadedModel
) -> None:
    (right,) = champion.predict(X[:1])
    for name in (right, "march"):
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "a.png").write_bytes(png(X[0]))
    record, rows = score(tmp_path / "images")
    assert record.accuracy == 1.0
    known = rows.set_index("name")["true_label"]
    assert known[f"{right}/a.png"] == right
    assert pd.isna(known["march/a.png"])


def test_the_digest_is_of_the_items_in_any_order_and_form(
    score: Score, tmp_path: Path
) -> None:
    np.savez(tmp_path / "x.npz", x=X[:5])
    np.save(tmp_path / "turned.npy", X[:5][::-1] / 255)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for row in range(5):
            archive.writestr(f"{row}.png", png(X[row]))
    shas = sorted(hashlib.sha256(image.tobytes()).digest() for image in X[:5])
    expected = sha(b"".join(shas))
    for name in ("x.npz", "turned.npy", "x.zip"):
        assert score(tmp_path / name)[0].data_digest == expected, name
    changed = X[:5].copy()
    changed[4, 7, 7] ^= 1
    np.save(tmp_path / "x.npy", changed)
    assert score(tmp_path / "x.npy")[0].data_digest != expected


def test_one_image_is_a_batch_of_one(
    score: Score, tmp_path: Path, champion: LoadedModel
) -> None:
    (tmp_path / "one.png").write_bytes(png(X[3]))
    record, rows = score(tmp_path / "one.png")
    assert record.rows == 1
    assert rows["name"].tolist() == ["one.png"]
    assert rows["label"].tolist() == champion.predict(X[3])


def test_a_snapshot_can_be_scored(score: Score, _trained: Trained) -> None:
    snapshot = _trained.snapshot
    record, rows = score(f"{snapshot.uri}/items")
    assert record.rows == sum(snapshot.rows.values())
    assert set(rows["true_label"]) == {"0", "1", "2"}


def test_nothing_that_can_be_scored_leaves_no_output(
    score: Score, tmp_path: Path, out: Path
) -> None:
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "images" / name).write_bytes(png(np.zeros((9, 8), np.uint8)))
    (out / "scores.parquet").write_bytes(b"of yesterday")
    with pytest.raises(
        SourceError,
        match=r"None of the 2 items .*\(size: 2\).*a.png: 9 x 8 .* images of 8 x 8 x 1",
    ):
        score(tmp_path / "images")
    assert left_in(out) == ["scores.parquet"]
    assert (out / "scores.parquet").read_bytes() == b"of yesterday"


def test_a_source_damaged_midway_leaves_no_output(
    score: Score, tmp_path: Path, out: Path
) -> None:
    np.savez(tmp_path / "x.npz", x_train=X, x_test=np.full((2, 8, 8), np.nan))
    with pytest.raises(SourceError, match=r"x_test\[0\] has the pixel value nan"):
        score(tmp_path / "x.npz")
    assert left_in(out) == []


def test_an_output_of_yesterday_is_replaced(
    score: Score, arrays: Path, out: Path
) -> None:
    (out / "scores.csv").write_text("of yesterday")
    assert len(score(arrays, out / "scores.csv")[1]) == 40
    assert left_in(out) == ["scores.csv"]


@pytest.mark.parametrize(
    ("output", "seen"),
    [
        ("out/scores.txt", r"scores.txt is neither .csv nor .parquet"),
        ("out/csv", r"csv is neither .csv nor .parquet"),
        ("nowhere/scores.csv", r"folder .*nowhere does not exist"),
        ("out/folder.csv", r"folder.csv is a folder"),
        ("images/scores.csv", r"lies in the input"),
        ("images", r"neither .csv nor .parquet"),
        ("nothing://scores.csv", r"no URI that is known"),
    ],
)
def test_a_place_that_is_no_output_is_refused(
    score: Score, folder: Path, out: Path, tmp_path: Path, output: str, seen: str
) -> None:
    (out / "folder.csv").mkdir()
    place = output if "://" in output else tmp_path / output
    with pytest.raises(UsageError, match=seen):
        score(folder, place)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_the_input_is_never_written_to(
    score: Score, tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": [png(X[0])]}), path)
    before = path.read_bytes()
    link(path, tmp_path / "b.parquet")
    for output in (path, tmp_path / "b.parquet", f"file://{path}"):
        with pytest.raises(UsageError, match=r"lies in the input"):
            score(path, output)
    assert path.read_bytes() == before


def test_a_folder_that_may_not_be_written_to(
    score: Score, arrays: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = tempfile.mkdtemp

    def refuse(suffix: Any, prefix: Any, place: Any) -> str:
        if place == str(out):
            raise PermissionError(errno.EACCES, "Permission denied")
        return make(suffix, prefix, place)

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    with pytest.raises(UsageError, match=r"scores.parquet cannot be written: Permiss"):
        score(arrays)


def test_a_full_disk_leaves_no_output(
    score: Score, arrays: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DependencyError, match=r"No space left on device"):
        score(arrays)
    assert left_in(out) == []


def test_input_and_output_may_be_behind_uris(score: Score, arrays: Path) -> None:
    memory = fsspec.filesystem("memory")
    root = f"/{arrays.parent.name}"
    memory.pipe_file(f"{root}/x.npz", arrays.read_bytes())
    _, rows = score(f"memory:/{root}/x.npz", f"memory:/{root}/scores.csv")
    assert len(rows) == 40
    names = [Path(path).name for path in memory.ls(root, detail=False)]
    assert sorted(names) == ["scores.csv", "x.npz"]
    with pytest.raises(UsageError, match=r"lies in the input"):
        score(f"memory:/{root}", f"memory:/{root}/scores.csv")
    memory.rm(root, recursive=True)


def test_an_output_that_cannot_be_reached_can_be_tried_again(
    score: Score, arrays: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = fsspec.filesystem("memory")

    def unreachable(*_: Any, **__: Any) -> None:
        raise RuntimeError("no route to host")

    monkeypatch.setattr(type(memory), "mv", unreachable)
    with pytest.raises(DependencyError, match=r"RuntimeError: no route to host"):
        score(arrays, "memory://far/scores.csv")
    assert memory.find("/far") == []


def test_without_a_champion_there_is_no_score(
    _trained: Trained, arrays: Path, out: Path
) -> None:
    with pytest.raises(NotFoundError, match=r"'nope' has no champion"):
        scoring.score("nope", str(arrays), str(out / "a.csv"), _trained.settings)
    assert left_in(out) == []


def test_a_missing_source_is_named(score: Score, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"There is no data at .*nowhere"):
        score(tmp_path / "nowhere")


def test_a_champion_that_was_changed_scores_nothing(
    trained: Trained, arrays: Path, out: Path
) -> None:
    for path in trained.settings.home.rglob("*.keras"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(HeadraceError, match=r"model") as caught:
        scoring.score("blobs", str(arrays), str(out / "a.csv"), trained.settings)
    assert caught.value.exit_code == 1
    assert left_in(out) == []


def test_progress_counts_items(
    _trained: Trained, folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "ROWS_AT_ONCE", 20)
    seen: list[int] = []  # the first files are few, until their size is known
    place = str(out / "scores.csv")
    scoring.score("blobs", str(folder), place, _trained.settings, seen.append)
    assert seen == [8, 28, 43]


def test_rows_are_split_into_bounded_pieces(
    score: Score, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = score(folder)[1]
    monkeypatch.setattr(scoring, "ROWS_AT_ONCE", 6)
    pd.testing.assert_frame_equal(score(folder)[1], whole, rtol=0, atol=1e-6)
