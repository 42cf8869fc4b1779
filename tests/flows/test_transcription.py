"""Transcripts learned from sounds: all commands, by one folder of recordings."""

import csv
import wave

import numpy as np
import pytest
from tests.homes import Home

from headrace.tasks.transcription.decoding import align

pytestmark = pytest.mark.integration

RATE = 8000
HERTZ = {"low": 300, "mid": 800, "high": 2000}
ROWS = 420
FEW = ("--set", "training.epochs=40", "--set", "training.calibrate=true")
SMALL = "{ filters = 24, units = 16, augment = 0.2, dropout = 0.0 }"


def write_wav(path, sound):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((sound * 32767).astype("<i2").tobytes())


def spoken(words, chance):
    """A tone for each word, with pauses, in a little noise; float -1..1."""
    parts = [np.zeros(chance.integers(400, 1200))]
    for word in words:
        places = np.arange(chance.integers(1200, 2000)) / RATE
        hertz = HERTZ[word] * chance.uniform(0.95, 1.05)
        tone = np.sin(2 * np.pi * hertz * places) * np.hanning(len(places))
        parts += [0.5 * tone, np.zeros(chance.integers(400, 1200))]
    sound = np.concatenate(parts)
    return np.asarray(sound + chance.normal(0, 0.005, len(sound)))


@pytest.fixture(scope="module")
def home(tmp_path_factory, mlflow_database):
    """A project with recordings of one to three words by three speakers.

    One has no transcript, one has a transcript in another script, and one is so long
    that it is cut.
    """
    project = tmp_path_factory.mktemp("transcription")
    made = Home.of_project(project, mlflow_database)
    folder = project / "clips"
    folder.mkdir()
    chance, names = np.random.default_rng(0), list(HERTZ)
    rows = ["file,transcript,speaker,split"]
    for number in range(ROWS):
        words = [names[n] for n in chance.integers(3, size=chance.integers(1, 4))]
        sound = spoken(words, chance)
        if number == 8:
            sound = np.concatenate([sound] * 4)
        write_wav(folder / f"{number}.wav", sound)
        text = {5: "", 6: "вверх вниз"}.get(number, " ".join(words))
        split = "test" if number % 7 == 0 else "train"
        rows.append(f"{number}.wav,{text},{'abc'[number % 3]},{split}")
    (folder / "clips.csv").write_text("\n".join(rows), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def ran(home, prefect_server):
    """The first run of a pipeline that `headrace new` made."""
    options = ("--medium", "audio", "--task", "transcription", "--group", "speaker")
    data = ("--data", "clips", "--json")  # `transcript` is known by its name
    made = home.headrace("new", "words", *options, *data)
    assert made.exit_code == 0, made.err
    assert made.json["vocabulary"] == {"unit": "words", "size": 3}
    checks = {warning["check"] for warning in made.json["warnings"]}
    assert {"few_rows", "foreign_script"} <= checks
    answer = home.headrace(
        "run", "words", *FEW, "--set", f"model.arguments={SMALL}", "--json"
    )
    assert answer.exit_code in (0, 1), answer.err
    return answer.json


def test_the_file_has_the_task_and_its_family(home, ran):
    text = (home.project / "pipelines" / "words" / "pipeline.toml").read_text()
    assert 'task = "transcription"' in text
    assert 'builder = "ctc_crnn"' in text
    assert "# 3 different words: " in text


def test_a_run_learns_the_words_and_is_promoted(ran):
    assert ran["status"] == "promoted", ran["reason"]
    metrics = ran["metrics"]
    assert metrics["test_word_error_rate"] < 0.1
    assert metrics["test_word_error_rate_low"] <= metrics["test_word_error_rate"]
    assert metrics["test_character_error_rate"] < 0.1
    assert {"word_error", "character_error"} <= {gate["name"] for gate in ran["gates"]}
    groups = [name for name in ran["slices"] if name.startswith("group=")]
    assert sorted(groups) == ["group=a", "group=b", "group=c"]


def test_bad_transcripts_are_set_aside_with_the_reason(ran):
    assert 3 <= ran["snapshot"]["quarantined"] <= 0.04 * ROWS
    messages = {w["check"]: w["message"] for w in ran["warnings"]}
    assert "its transcript is not in latin" in messages["foreign_script"]
    assert "it was cut to data.seconds" in messages["cut_short"]


def test_its_pictures_and_players_are_in_mlflow(home, ran):
    from headrace.settings import Settings
    from headrace.state.tracking import Tracking

    tracking = Tracking(Settings(home=home.path, project=home.project))
    for name in ("edits", "curves"):
        data = tracking.run_file(ran["run_id"], f"pictures/{name}.png")
        assert data[:4] == b"\x89PNG"


def test_a_source_is_scored_with_its_error(home, ran):
    clips = ("clips", "out.csv", "--label", "transcript")
    answer = home.headrace("score", "words", *clips, "--json")
    assert answer.exit_code == 0, answer.err
    with (home.project / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == ROWS
    told = [(row["transcript"], row["true_label"]) for row in rows]
    right = sum(heard == said for heard, said in told)
    assert right > 0.85 * ROWS
    assert all(0 <= float(row["confidence"]) <= 1 for row in rows)
    assert answer.json["word_error_rate"] < 0.1


def test_the_champion_writes_down_what_it_hears(home, ran):
    from headrace import load_champion
    from headrace.settings import Settings

    model = load_champion("words", Settings(home=home.path, project=home.project))
    chance = np.random.default_rng(7)
    said = [["low", "high"], ["mid"], ["high", "low", "mid"]]
    sounds = [spoken(words, chance).astype(np.float32) for words in said]
    assert model.predict(sounds) == ["low high", "mid", "high low mid"]


def test_its_training_is_repeated_to_the_same_weights(home, ran):
    home.assert_reproduced("words/1")


def test_long_recordings_are_scored_in_parts(home, ran):
    folder = home.project / "long"
    folder.mkdir()
    chance, names = np.random.default_rng(5), list(HERTZ)
    said = {
        f"{count}.wav": [names[n] for n in chance.integers(3, size=count)]
        for count in (1, 2, 12, 30)
    }
    for name, words in said.items():
        write_wav(folder / name, spoken(words, chance))
    write_wav(folder / "minutes.wav", chance.normal(0, 0.1, 70 * RATE))
    answer = home.headrace("score", "words", "long", "long.csv", "--json")
    assert answer.exit_code == 0, answer.err
    with (home.project / "long.csv").open() as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert "too_long: it is longer than 60 s" in rows["minutes.wav"]["error"]
    assert not rows["minutes.wav"]["transcript"]
    edits = 0
    for name, words in said.items():
        heard = rows[name]["transcript"].split()
        edits += sum(e.true != e.answer for e in align(words, heard))
    assert edits <= 4
