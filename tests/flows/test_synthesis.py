"""Tones that stand for two texts in two voices: new, run, say and serve."""

import io
import json
import tomllib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from tests.homes import Home
from tests.src.tasks.synthesis.conftest import RATE, quick, takes

__all__ = ["quick"]
pytestmark = pytest.mark.integration

TEXTS, SPEAKERS = ("down", "up"), ("high", "low")
FEW = (
    "--set=training.epochs=160",
    "--set=training.batch_size=16",
    "--set=training.learning_rate=0.005",
    "--set=model.arguments={width=32, dilations=[1, 2]}",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory, mlflow_database):
    """A project with a table of 80 recordings, their texts and their speakers."""
    project = tmp_path_factory.mktemp("synthesis")
    made = Home.of_project(project, mlflow_database)
    sounds, keys = takes(20)
    files = []
    for sound in sounds:
        file = io.BytesIO()
        end = int(np.flatnonzero(sound)[-1]) + 1
        soundfile.write(file, sound[:end], RATE, "PCM_16", format="WAV")
        files.append(file.getvalue())
    table = pa.table(
        {
            "sound": files,
            "word": [TEXTS[text] for text, _ in keys],
            "voice": [SPEAKERS[speaker] for _, speaker in keys],
        }
    )
    pq.write_table(table, project / "words.parquet")
    return made


@pytest.fixture(scope="module")
def ran(home, quick, prefect_server):
    """The first run of a pipeline that `headrace new` made, with a small network."""
    data = ("--data", "words.parquet", "--label", "word", "--group", "voice", "--json")
    options = ("--medium", "audio", "--task", "synthesis")
    made = home.headrace("new", "words", *options, *data)
    assert made.exit_code == 0, made.err
    assert made.json["texts"] == [*TEXTS]
    answer = home.headrace("run", "words", *FEW, "--json")
    assert answer.exit_code in (0, 1), answer.err
    return answer.json


def test_the_file_names_the_task_and_its_family(home, ran):
    file = home.project / "pipelines" / "words" / "pipeline.toml"
    written = tomllib.loads(file.read_text())
    assert written["task"] == "synthesis"
    assert written["data"]["group"] == "voice"
    assert written["model"]["builder"] == "speech_vae"
    gates = {gate["name"] for gate in written["gates"]}
    assert {"text", "speaker", "recogniser", "copies", "diversity"} <= gates


def test_every_voice_is_in_train_and_in_test(ran):
    rows = ran["snapshot"]["rows"]
    assert rows["test"] == 16
    assert {name for name in ran["slices"] if name.startswith("group=")} == {
        "group=high",
        "group=low",
    }
    assert ran["slices"]["groups=seen"]["rows"] == 16


def test_a_voice_is_learned_that_is_understood_and_no_copy(ran):
    assert ran["status"] == "promoted", ran["reason"]
    metrics = ran["metrics"]
    assert metrics["recogniser_accuracy"] > 0.9
    assert metrics["test_text_accuracy"] > 0.8
    assert metrics["test_speaker_accuracy"] > 0.8
    assert metrics["test_nearest_train_db"] > 3
    assert metrics["serving_difference"] == 0
    assert {"text=down", "text=up"} <= ran["slices"].keys()


def test_pictures_and_players_are_in_mlflow(home, ran):
    from headrace.settings import Settings
    from headrace.state.tracking import Tracking

    tracking = Tracking(Settings(home=home.path, project=home.project))
    for name in ("pairs", "distances", "curves"):
        data = tracking.run_file(ran["run_id"], f"pictures/{name}.png")
        assert data[:4] == b"\x89PNG"
    page = tracking.run_file(ran["run_id"], "samples/index.html").decode()
    assert page.count("<audio") == 4
    assert tracking.run_file(ran["run_id"], "samples/000.wav")[:4] == b"RIFF"


def test_a_message_is_said_and_the_same_again(home, ran):
    asked = (
        "generate",
        "words",
        "--prompt",
        "up down up",
        "--speaker",
        "low",
        "--seed",
        "3",
        "--json",
    )
    answer = home.headrace(*asked, "--output", str(home.project / "one.wav"))
    assert answer.exit_code == 0, answer.err
    assert answer.json["texts"] == ["up", "down", "up"]
    assert answer.json["model"] == "words"
    again = home.headrace(*asked, "--output", str(home.project / "two.wav"))
    assert again.exit_code == 0
    one, two = (home.project / f"{name}.wav" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    sound, rate = soundfile.read(one)
    assert rate == RATE
    assert len(sound) / rate == pytest.approx(answer.json["seconds"], abs=1e-3)
    assert np.abs(sound).max() > 0.01


def test_its_training_is_repeated_to_the_same_weights(home, ran):
    home.assert_reproduced("words/1")


@pytest.mark.parametrize(
    ("arguments", "exit_code", "reason"),
    [
        (("left",), 1, "does not know the text 'left'"),
        (("up", "--speaker", "lou"), 1, "does not know the speaker 'lou'"),
        (("up", "--output", "x.mp4"), 2, "no suffix of a sound"),
        (("up", "--temperature", "1"), 2, "--temperature is not for words"),
    ],
)
def test_what_cannot_be_said(home, ran, arguments, exit_code, reason):
    answer = home.headrace("generate", "words", "--prompt", *arguments)
    assert answer.exit_code == exit_code
    assert reason in answer.err


def test_items_are_not_scored_by_a_model_that_is_asked_texts(home, ran):
    answer = home.headrace("score", "words", "words.parquet", "out.csv")
    assert answer.exit_code == 2
    assert "it does not take audio items" in answer.err


def test_the_champion_speaks_over_http(home, ran):
    from headrace import load
    from headrace.errors import InputError
    from headrace.models.logged.loading import answers
    from headrace.serving.plain import message_of, sound_reply
    from headrace.serving.replies import HttpError
    from headrace.serving.served import Served
    from headrace.settings import Settings
    from headrace.state.ledger import Ledger

    settings = Settings(home=home.path, project=home.project)
    row = Ledger(settings.database_url).find("words")
    model = load("words", settings).model

    class Engine:
        name = "keras"

        def __call__(self, items):
            return answers(model, items)

        def close(self):
            """There is no process."""

    engine = Engine()
    served = Served(row, engine, "champion", settings)
    try:
        body = json.dumps({"text": "up down", "speaker": "high"}).encode()
        outputs = engine(message_of(served, body))
        reply = sound_reply(served, outputs)
        assert dict(reply.headers)[b"content-type"] == b"audio/wav"
        sound, rate = soundfile.read(io.BytesIO(reply.body))
        assert rate == RATE
        assert len(sound) > 0.3 * RATE
        with pytest.raises(InputError, match="does not know the text"):
            message_of(served, b'{"text": "left"}')
        with pytest.raises(HttpError, match="has no text"):
            message_of(served, b"{}")
        question, items = served.reader.read(b"application/json", b'{"text": "up"}')
        assert np.array_equal(question, items)
        answer = json.loads("{" + served.write(engine(items)[0]) + "}")
        assert answer["sample_rate_hz"] == RATE
    finally:
        served.close()
