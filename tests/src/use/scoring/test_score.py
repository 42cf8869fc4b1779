"""A batch is scored as the champion would, whole or not at all."""

import hashlib
import io
import zipfile

import numpy as np
import pytest
from PIL import Image
from tests.src.use.scoring.conftest import (
    CHANCES,
    COLUMNS,
    X,
    left_in,
    png,
    sha,
)

from headrace.errors import (
    HeadraceError,
    NotFoundError,
    SourceError,
    SpecError,
    UsageError,
)
from headrace.tasks import task
from headrace.use import scoring
from headrace.use.rows import ScoredColumns
from headrace.use.scoring import parts


def test_a_row_says_what_where_by_whom_and_of_what(score, arrays, champion):
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


def test_the_record_counts_the_rows(score, arrays, out):
    record, _ = score(arrays)
    assert record.model_dump(exclude={"data_digest", "seconds"}) == {
        "model": "blobs",
        "version": 1,
        "rows": 40,
        "scored": 40,
        "failed": 0,
        "input": str(arrays),
        "output": str(out / "scores.parquet"),
        "metrics": {},
    }
    assert left_in(out) == ["scores.parquet"]


def test_what_the_source_shows_of_itself_is_told(score, tmp_path, caplog):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.png").write_bytes(png(X[number]))
    (folder / "link.png").symlink_to(tmp_path)
    with caplog.at_level("INFO", "headrace"):
        record, _ = score(folder)
    assert record.rows == 3
    (told,) = [one for one in caplog.records if one.levelname == "WARNING"]
    assert "link" in told.getMessage()


@pytest.mark.system
def test_the_digest_is_of_the_items_in_any_order_and_form(score, tmp_path):
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


def test_one_image_is_a_batch_of_one(score, tmp_path, champion):
    (tmp_path / "one.png").write_bytes(png(X[3]))
    record, rows = score(tmp_path / "one.png")
    assert record.rows == 1
    assert rows["name"].tolist() == ["one.png"]
    assert rows["label"].tolist() == champion.predict(X[3])


def test_a_snapshot_can_be_scored(score, _trained):
    snapshot = _trained.snapshot
    record, rows = score(f"{snapshot.uri}/items")
    assert record.rows == sum(snapshot.rows.values())
    assert set(rows["true_label"]) == {"0", "1", "2"}


def test_nothing_that_can_be_scored_leaves_no_output(score, tmp_path, out):
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


def test_a_source_damaged_midway_leaves_no_output(score, tmp_path, out):
    np.savez(tmp_path / "x.npz", x_train=X, x_test=np.full((2, 8, 8), np.nan))
    with pytest.raises(SourceError, match=r"x_test\[0\] has the pixel value nan"):
        score(tmp_path / "x.npz")
    assert left_in(out) == []


def test_without_a_champion_there_is_no_score(_trained, arrays, out):
    with pytest.raises(NotFoundError, match="There is no model 'nope'"):
        scoring.score("nope", str(arrays), str(out / "a.csv"), _trained.settings)
    assert left_in(out) == []


def test_a_missing_source_is_named(score, tmp_path):
    with pytest.raises(NotFoundError, match=r"There is no data at .*nowhere"):
        score(tmp_path / "nowhere")


def test_a_champion_that_was_changed_scores_nothing(trained, arrays, out):
    for path in trained.settings.home.rglob("*.keras"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(HeadraceError, match=r"model") as caught:
        scoring.score("blobs", str(arrays), str(out / "a.csv"), trained.settings)
    assert caught.value.exit_code == 1
    assert left_in(out) == []


def test_a_label_that_the_model_cannot_give_is_missed(score, tmp_path):
    for name, labels in (("none", ["cat"] * 40), ("some", ["cat"] * 39 + ["0"])):
        np.savez(tmp_path / f"{name}.npz", x=X, y=np.array(labels))
    assert score(tmp_path / "none.npz")[0].metrics == {"accuracy": 0}
    assert score(tmp_path / "some.npz")[0].metrics["accuracy"] <= 1 / 40


def test_progress_counts_items(_trained, folder, out, monkeypatch):
    monkeypatch.setattr(parts, "ROWS", 20)
    seen = []
    place = str(out / "scores.csv")
    scoring.score("blobs", str(folder), place, _trained.settings, seen.append)
    assert seen == [20, 40, 43]


def test_any_version_is_scored(_trained, arrays, out):
    place = str(out / "a.csv")
    record = scoring.score("blobs/1", str(arrays), place, _trained.settings)
    assert (record.model, record.version) == ("blobs", 1)
    with pytest.raises(NotFoundError, match="no version 7 of blobs"):
        scoring.score("blobs/7", str(arrays), place, _trained.settings)


@pytest.mark.system
@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        (ScoredColumns(encoding="klingon"), UsageError, "--encoding: 'klingon'"),
        (ScoredColumns(id="number"), SpecError, "'number' needs a table"),
    ],
)
def test_columns_that_cannot_be_had_are_refused(
    _trained, arrays, out, columns, error, message
):
    place = str(out / "a.csv")
    with pytest.raises(error, match=message):
        scoring.score("blobs", str(arrays), place, _trained.settings, columns=columns)
    assert left_in(out) == []


def test_a_mean_is_by_the_sum_of_the_weights_also_where_it_is_below_1(
    score, tmp_path, monkeypatch
):
    np.savez(tmp_path / "y.npz", x=X, y=np.arange(40) % 3)
    plain = score(tmp_path / "y.npz")[0].metrics["accuracy"]

    @property
    def weights(judged):
        return np.full(len(judged.outputs), 0.01)

    monkeypatch.setattr(task("classification").judge.JUDGED, "weights", weights)
    weighted = score(tmp_path / "y.npz")[0].metrics["accuracy"]
    assert plain > 0
    assert weighted == pytest.approx(plain / 0.01)


def test_a_model_in_python_answers_files_and_images_as_a_score(score, folder, champion):
    _, frame = score(folder)
    rows = frame[frame.label.notna()].head(5)
    paths = [folder / name for name in rows.name]
    pictures = [Image.open(path) for path in paths]
    files = [io.BytesIO(path.read_bytes()) for path in paths]
    answers = champion(paths)
    for given in (pictures, files, [np.asarray(one) for one in pictures]):
        assert np.array_equal(champion(given), answers)
    # The last bit depends on how many rows a processor multiplies together.
    assert answers.max(axis=1) == pytest.approx(rows.probability, rel=1e-6)
    assert champion.predict(paths) == rows.label.tolist()
    assert champion.predict(paths[0]) == [rows.label.iloc[0]]
