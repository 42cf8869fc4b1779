"""The script that makes the recordings of `dictation`, from few packaged digits."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from headrace.data.sources.identity import source_identity
from headrace.data.sources.opening import open_source
from headrace.errors import NotFoundError
from headrace.media.chunks import Reading
from headrace.pipeline import load_spec

pytestmark = pytest.mark.system

FOLDER = Path(__file__).resolve().parents[2] / "pipelines" / "dictation"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location(
        "make_recordings", FOLDER / "make_recordings.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def shelf(script, settings):
    few = script.clips_of("catalog:few-spoken-digits", settings)
    return {"train": few["train"], "test": few["train"]}


def test_recordings_are_the_same_each_time_and_more_leave_the_first(script, shelf):
    few, more = (
        [*script.recordings(shelf, [script.Rows("train", count, 2, 4)])]
        for count in (8, 12)
    )
    for one, other in zip(few, more, strict=False):
        assert one.digits == other.digits
        assert np.array_equal(one.sound, other.sound)
        assert 2 <= len(one.digits) <= 4
        assert len(one.sound) <= script.LONGEST_SECONDS * script.RATE
    assert {one.speaker for one in few} == {*shelf["train"]}


def test_the_folder_is_read_as_recordings_with_transcripts_speakers_and_splits(
    script, shelf, settings, tmp_path
):
    every = [script.Rows("train", 6, 1, 2), script.Rows("test", 3, 2, 2)]
    made = [*script.recordings(shelf, every)]
    assert script.write(iter(made), tmp_path / "recordings") == 9
    group = load_spec(FOLDER).data.group
    reading = Reading("audio", "transcription", group=group)
    with open_source(str(tmp_path / "recordings"), settings, reading) as source:
        read = {
            (chunk.split, label, speaker)
            for chunk in source.chunks
            for label, speaker in zip(chunk.labels, chunk.groups, strict=True)
        }
    assert source.findings == []
    assert read == {(one.split, " ".join(one.digits), one.speaker) for one in made}


def test_where_the_recordings_are_missing_the_script_is_named(tmp_path):
    (tmp_path / "make_recordings.py").write_text("")
    place = tmp_path / load_spec(FOLDER).data.source
    with pytest.raises(NotFoundError) as missing:
        source_identity(str(place))
    assert missing.value.exit_code == 2
    line = f"Make it: python {tmp_path / 'make_recordings.py'} {place}"
    assert missing.value.action == line
