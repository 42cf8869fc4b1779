"""What the contract sets aside of transcripts."""

from collections import Counter

import numpy as np
from tests.src.tasks.transcription.conftest import described

from headrace.tasks.transcription.data import CONTRACT


def test_empty_transcripts_and_other_scripts_are_told_apart():
    data = described([f"ja {number}" for number in range(40)])
    labels = np.array(["ja 1", "", "да", "3 1 4", "ja  nein"], object)
    split = np.array(["train"] * 5, object)
    columns = CONTRACT.columns(split, labels, Counter(), data)
    assert columns["transcript_words"].tolist() == [2, 0, 1, 3, 2]
    assert columns["transcript_length"].tolist() == [4, 0, 2, 5, 7]
    assert columns["foreign_script"].tolist() == [False, False, True, False, False]
    assert set(columns) == set(CONTRACT.COLUMNS)


def test_expectations_name_the_columns(words):
    checks = {e.check: e for e in CONTRACT.expectations(words)}
    assert set(checks) == {"label", "foreign_script", "transcripts", "cut_short"}
    assert not any(e.warns for e in checks.values())
    assert checks["foreign_script"].reason == "its transcript is not in latin"


def test_a_recording_that_fills_the_shape_was_cut(words):
    checks = {e.check: e for e in CONTRACT.expectations(words)}
    most = checks["cut_short"].arguments["max_value"]
    assert 7999 / 8000 <= most < 1
    assert checks["cut_short"].arguments["column"] == "seconds"
    pictures = words.model_copy(update={"medium": "image", "sample_rate_hz": 0})
    assert "cut_short" not in {e.check for e in CONTRACT.expectations(pictures)}


def test_a_split_without_rows_is_lacking(words):
    assert CONTRACT.lacking(Counter({("train", ""): 3}), words) == [
        "test holds no item with a transcript"
    ]
    text = "train has no two different transcripts: there is nothing to learn"
    assert CONTRACT.problem("transcripts", "train", Counter(), words) == text
    assert CONTRACT.problem("seconds", "train", Counter(), words) == ""
