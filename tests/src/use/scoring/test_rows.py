"""Rows are cut into blocks, and each says what is known of it or is wrong with it."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.src.use.scoring.conftest import CHANCES, COLUMNS, X, png, sha

from headrace.data.sources.opening import open_source
from headrace.errors import SourceError
from headrace.media.chunks import Reading
from headrace.media.image.files import decode_files
from headrace.records import DataDescription
from headrace.settings import Settings
from headrace.stages.registration import register
from headrace.use import scoring
from headrace.use.rows import decoded_rows
from headrace.use.scoring import parts


@pytest.mark.system
@pytest.mark.parametrize("size", [1, 7, 39, 40])
def test_probabilities_do_not_depend_on_the_block(
    score, arrays, champion, size, monkeypatch
):
    monkeypatch.setattr(parts, "ROWS", size)
    _, rows = score(arrays)
    assert np.allclose(rows[CHANCES].to_numpy(), champion(X), rtol=0, atol=1e-6)
    assert rows["name"].tolist() == [f"x[{row}]" for row in range(40)]


def test_what_cannot_be_decoded_is_a_row_with_the_reason(score, folder, champion):
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


def test_known_labels_are_shown_and_counted(score, tmp_path, champion):
    right = champion.predict(X)
    labels = np.array([int(label) for label in right])
    labels[:10] = (labels[:10] + 1) % 3
    np.savez(tmp_path / "x.npz", x=X, y=labels)
    record, rows = score(tmp_path / "x.npz")
    assert record.metrics == {"accuracy": 0.75}
    assert list(rows.columns) == [*COLUMNS, "true_label"]
    assert rows["true_label"].tolist() == [str(label) for label in labels]


def test_accuracy_is_over_the_rows_whose_label_is_known(score, tmp_path, champion):
    (right,) = champion.predict(X[:1])
    images = [png(X[0]), png(X[0]), png(X[1]), b"broken"]
    table = {"image": images, "label": [right, "none of them", None, right]}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    record, rows = score(tmp_path / "a.parquet")
    assert record.metrics == {"accuracy": 0.5}
    assert (record.scored, record.failed) == (3, 1)
    truth = rows["true_label"].astype(object).where(rows["true_label"].notna(), None)
    assert truth.tolist() == table["label"]


def test_a_folder_is_a_label_only_where_it_is_a_class(score, tmp_path, champion):
    (right,) = champion.predict(X[:1])
    for name in (right, "march"):
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "a.png").write_bytes(png(X[0]))
    record, rows = score(tmp_path / "images")
    assert record.metrics == {"accuracy": 1.0}
    known = rows.set_index("name")["true_label"]
    assert known[f"{right}/a.png"] == right
    assert pd.isna(known["march/a.png"])


def test_rows_are_split_into_bounded_pieces(score, folder, monkeypatch):
    whole = score(folder)[1]
    monkeypatch.setattr(parts, "ROWS", 6)
    pd.testing.assert_frame_equal(score(folder)[1], whole, rtol=0, atol=1e-6)


def test_images_of_any_size_are_what_training_made_of_them(tmp_path):
    options = {"resize": "pad", "filter": "bicubic"}
    target = {"classes": ["a", "b"]}
    data = DataDescription(
        medium="image", shape=(8, 12, 3), options=options, target=target
    )
    rng = np.random.default_rng(1)
    sides = [(8, 12), (90, 70), (7, 300), (300, 400)]
    files = [png(rng.integers(0, 256, (*side, 3), np.uint8)) for side in sides]
    for number, file in enumerate([*files, b"broken"]):
        (tmp_path / f"{number}.png").write_bytes(file)
    reading = Reading("image", labelled=False)
    with open_source(str(tmp_path), Settings(), reading) as source:
        (rows,) = decoded_rows(source, data)
    assert {row: why.check for row, why in rows.rejected.items()} == {4: "decode"}
    expected = [*decode_files(files, data).items, np.zeros((8, 12, 3), np.uint8)]
    assert np.array_equal(rows.payload, np.stack(expected))


def test_a_source_is_scored_under_the_limit_that_the_models_file_states(
    trained, arrays, out
):
    data = trained.spec.data.model_copy(update={"max_item_bytes": 10})
    register(
        trained.spec.model_copy(update={"data": data}),
        trained.folder,
        trained.snapshot,
        trained.good,
        trained.good_evaluation,
        trained.home,
    )
    place = str(out / "scores.parquet")
    record = scoring.score("blobs/1", str(arrays), place, trained.settings)
    assert record.scored == len(X)
    with pytest.raises(SourceError, match="the limit is 10"):
        scoring.score("blobs/2", str(arrays), place, trained.settings)
