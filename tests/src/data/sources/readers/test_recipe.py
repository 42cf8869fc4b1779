"""Recipes: recordings that are joined from the clips of another source."""

import io
import os

import numpy as np
import pytest
import soundfile

from headrace.data.sources.identity import source_identity
from headrace.data.sources.recipes import beside
from headrace.errors import SourceError, SpecError
from headrace.media.audio.files import decode_files
from headrace.records import Form

RATE = 8000
HERTZ = {"a": 300, "b": 700, "c": 1500}
RECIPE = """
[clips]
source = "{source}"
sample_rate_hz = 8000
group = "speaker"

[recordings]
seed = 3
gap_seconds = [0.05, 0.1]
longest_seconds = 1.5

[[rows]]
split = "train"
count = 20
clips = [1, 4]

[[rows]]
split = "test"
count = 7
clips = [2, 2]
"""


def clip(hertz, level):
    places = np.arange(1600) / RATE
    buffer = io.BytesIO()
    sound = level * np.sin(2 * np.pi * hertz * places)
    soundfile.write(buffer, sound, RATE, "PCM_16", format="WAV")
    return buffer.getvalue()


@pytest.fixture
def clips(make):
    """Tones: a letter has a frequency, which a take raises, and a speaker a level."""
    rows, files = ["file,label,speaker,split"], {}
    for speaker, level in (("ann", 0.2), ("bob", 0.6)):
        for letter, hertz in HERTZ.items():
            for take, split in ((0, "test"), (20, "train"), (40, "train")):
                name = f"{letter}_{speaker}_{take}.wav"
                files[name] = clip(hertz + take, level)
                rows.append(f"{name},{letter},{speaker},{split}")
    return make.tree({**files, "clips.csv": "\n".join(rows).encode()}, "clips")


@pytest.fixture
def recipe(make, clips):
    return make.file("recipe.toml", RECIPE.format(source=clips.name).encode())


def heard(file):
    """The letters of a recording, the takes of its tones, and its level."""
    (sound,) = decode_files([file], Form(sample_rate_hz=RATE)).items
    used = np.flatnonzero(np.abs(sound) > 200)
    parts = np.split(used, np.flatnonzero(np.diff(used) > 300) + 1)
    letters, takes = [], set()
    for part in parts:
        tone = sound[part[0] : part[0] + 1600].astype(float)
        power = np.abs(np.fft.rfft(tone, 2**16))
        hertz = power.argmax() * RATE / 2**16
        letter = min(HERTZ, key=lambda name: abs(HERTZ[name] + 20 - hertz))
        letters.append(letter)
        takes.add(round((hertz - HERTZ[letter]) / 20) * 20)
    return " ".join(letters), takes, float(np.abs(sound).max()) / 2**15


def test_a_recording_is_what_its_transcript_says_by_one_speaker_of_one_split(
    recipe, read
):
    source, chunks = read(recipe, medium="audio", group="speaker")
    assert source.kind == "table"
    rows = [
        (chunk.split, *row)
        for chunk in chunks
        for row in zip(
            chunk.items, chunk.labels, chunk.groups, chunk.names, strict=True
        )
    ]
    assert len(rows) == 27
    assert len({name for *_, name in rows}) == 27
    for split, item, label, group, name in rows:
        letters, takes, level = heard(item)
        assert letters == label
        assert takes <= ({0} if split == "test" else {20, 40})
        assert level == pytest.approx({"ann": 0.2, "bob": 0.6}[group], rel=0.05)
        assert name.startswith(f"{split}[")
        count = len(label.split())
        assert count == 2 if split == "test" else 1 <= count <= 4
    assert {count for *_, count in [(len(r[2].split()),) for r in rows[:20]]} > {1, 2}


def test_the_same_recipe_is_the_same_data_and_more_rows_leave_the_first(
    recipe, make, read, clips
):
    def items(path):
        return [item for chunk in read(path, medium="audio")[1] for item in chunk.items]

    before = items(recipe)
    text = RECIPE.format(source=clips)
    assert items(make.file("same.toml", text.encode())) == before
    more = make.file("more.toml", text.replace("count = 7", "count = 9").encode())
    assert items(more)[: len(before)] == before
    other = make.file("other.toml", text.replace("seed = 3", "seed = 4").encode())
    assert items(other) != before


def test_rows_have_groups_only_where_they_are_asked_for(recipe, read):
    _, chunks = read(recipe, medium="audio")
    assert [chunk.groups for chunk in chunks] == [[], []]
    with pytest.raises(SpecError, match=r"data.group = 'voice'.* It has 'speaker'"):
        read(recipe, medium="audio", group="voice")
    with pytest.raises(SpecError, match=r"data.where = 'x > 2'"):
        read(recipe, medium="audio", where="x > 2")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("count = 20", "count = 0", "rows.0.count = 0: Input should be greater"),
        ("[0.05, 0.1]", "[0.2, 0.1]", "the first number is the lower one"),
        ("seed = 3", "sed = 3", "unknown key recordings.sed (value 3)"),
        ("[recordings]", "[recording]", "unknown key recording (value"),
        ("sample_rate_hz = 8000", "", "clips.sample_rate_hz is missing. Add it."),
        ("count = 7", "number = 7\ncount = 7", "unknown key rows.1.number (value 7)"),
        ('"test"', '"val"', "rows.1.split = 'val'"),
        ("= 1.5", "= 0.2", "no 2 clips were found that are not longer than 0.2 s"),
    ],
)
def test_a_wrong_recipe_is_refused_with_the_field(make, read, clips, old, new, message):
    text = RECIPE.format(source=clips).replace(old, new)
    if new == "= 0.2":
        text = text.replace("[1, 4]", "[2, 2]")
    with pytest.raises(SourceError) as seen:
        read(make.file("r.toml", text.encode()), medium="audio")
    assert message in str(seen.value)


def test_clips_without_splits_are_split_by_their_hash(make, read):
    names = [(name, take) for name in HERTZ for take in range(10)]
    files = {f"{n}/{take}.wav": clip(HERTZ[n] + 4 * take, 0.5) for n, take in names}
    source = make.tree(files, "unsplit")
    text = RECIPE.format(source=source).replace('group = "speaker"', "")
    text = text.replace("[1, 4]", "[1, 1]").replace("[2, 2]", "[1, 1]")
    text = text.replace("count = 20", "count = 200").replace("count = 7", "count = 50")
    _, chunks = read(make.file("r.toml", text.encode()), medium="audio")
    sounds = {"train": set(), "test": set()}
    for chunk in chunks:
        for item in chunk.items:
            (sound,) = decode_files([item], Form(sample_rate_hz=RATE)).items
            sounds[chunk.split].add(np.trim_zeros(sound).tobytes())
    assert not sounds["train"] & sounds["test"]
    assert 20 <= len(sounds["train"]) <= 28


def test_a_recipe_of_a_recipe_is_refused(make, read, recipe):
    nested = make.file("nested.toml", RECIPE.format(source=recipe).encode())
    with pytest.raises(SourceError, match="is a recipe, too"):
        read(nested, medium="audio")


def test_other_media_and_other_files_are_no_recipes(make, read, recipe):
    with pytest.raises(SourceError, match="this pipeline's medium is image"):
        read(recipe, medium="image")
    table = make.file("texts.csv", b"text,label\nclips,a\nrows,b\n")
    source, _ = read(table, medium="text")
    assert source.kind == "table"


def test_the_identity_changes_with_the_clips(recipe, clips):
    before = source_identity(str(recipe))
    assert source_identity(str(recipe)) == before
    changed = clips / "a_ann_0.wav"
    changed.write_bytes(clip(333, 0.2))
    os.utime(changed, ns=(1, 1))
    assert source_identity(str(recipe)) != before


@pytest.mark.parametrize(
    ("source", "recipe", "found"),
    [
        ("clips", "/data/r.toml", "/data/clips"),
        ("catalog:digits", "/data/r.toml", "catalog:digits"),
        ("clips", "s3://bucket/data/r.toml", "s3://bucket/data/clips"),
        ("clips", "zip://r.toml::s3://bucket/a.zip", "zip://clips::s3://bucket/a.zip"),
        ("catalog:digits", "s3://bucket/r.toml", "catalog:digits"),
        ("gs://other/clips", "s3://bucket/r.toml", "gs://other/clips"),
        ("/data/clips", "s3://bucket/r.toml", "/data/clips"),
    ],
)
def test_a_relative_source_lies_beside_its_recipe(source, recipe, found):
    assert beside(source, recipe) == found
