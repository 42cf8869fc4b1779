"""A number learned from images, texts and sounds: all commands, by one folder."""

import csv
import io
import tomllib
import wave

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.homes import Home


def as_png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def home(tmp_path_factory, mlflow_database):
    """A project with 480 small images and where each is brightest."""
    project = tmp_path_factory.mktemp("regression")
    made = Home.of_project(project, mlflow_database)
    chance = np.random.default_rng(0)
    centres = chance.uniform(2, 10, 480)
    across = np.exp(-((np.arange(12) - centres[:, np.newaxis]) ** 2) / 4)
    images = across[:, np.newaxis, :] * chance.uniform(0.6, 1, (480, 12, 1)) * 255
    table = pa.table(
        {
            "image": [as_png(image.astype(np.uint8)) for image in images],
            "place": pa.array(centres),
        }
    )
    pq.write_table(table, project / "places.parquet")
    return made


@pytest.fixture(scope="module")
def ran(home, prefect_server):
    """The first run of a pipeline that `headrace new` made."""
    options = ("--medium", "image", "--task", "regression", "--label", "place")
    data = ("--data", "places.parquet", "--json")
    made = home.headrace("new", "places", *options, *data)
    assert made.exit_code == 0, made.err
    assert made.json["gates"]["error"] == pytest.approx(2, abs=0.6)
    answer = home.headrace("run", "places", *FEW, "--json")
    assert answer.exit_code in (0, 1), answer.err
    return answer.json


FEW = ("--set", "training.epochs=30")


def test_the_file_says_the_task_and_gates_in_the_unit_of_the_data(home, ran):
    text = (home.project / "pipelines" / "places" / "pipeline.toml").read_text()
    written = tomllib.loads(text)
    assert written["task"] == "regression"
    assert written["data"]["label"] == "place"
    gates = {gate["name"]: gate.get("threshold") for gate in written["gates"]}
    assert list(gates) == ["error", "bias", "finite", "size", "champion"]
    assert 1 < gates["error"] < 2.2
    assert "would be wrong" in text or "is wrong by" in text


def test_a_run_learns_the_number_and_is_promoted(ran):
    assert ran["status"] == "promoted", ran["reason"]
    metrics = ran["metrics"]
    assert metrics["test_median_absolute_error"] < 0.5
    assert metrics["test_mean_absolute_error"] < 0.6
    assert abs(metrics["test_bias"]) < 0.3
    assert {"error", "bias"} <= {gate["name"] for gate in ran["gates"]}
    assert len([name for name in ran["slices"] if name.startswith("range=")]) == 5


def test_its_pictures_are_in_mlflow(home, ran):
    from headrace.settings import Settings
    from headrace.state.tracking import Tracking

    tracking = Tracking(Settings(home=home.path, project=home.project))
    for name in ("predictions", "residuals", "mistakes", "curves"):
        data = tracking.run_file(ran["run_id"], f"pictures/{name}.png")
        assert data[:4] == b"\x89PNG"


def test_the_champion_answers_with_numbers(home, ran):
    from headrace import load_champion
    from headrace.settings import Settings

    model = load_champion("places", Settings(home=home.path, project=home.project))
    images = np.zeros((2, 12, 12, 1), np.uint8)
    images[0, :, 2], images[1, :, 10] = 255, 255
    low, high = model.predict(images)
    assert isinstance(low, float)
    assert low < high


def test_a_source_is_scored_with_its_error(home, ran):
    places = ("places.parquet", "out.csv", "--label", "place")
    answer = home.headrace("score", "places", *places, "--json")
    assert answer.exit_code == 0, answer.err
    assert answer.json["absolute_error"] < 0.6
    with (home.project / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 480
    off = [abs(float(r["prediction"]) - float(r["true_label"])) for r in rows]
    assert np.mean(off) == pytest.approx(answer.json["absolute_error"], rel=1e-4)


def test_a_worse_challenger_is_kept_back_then_promoted_and_rolled_back(home, ran):
    worse = ("--set", "training.epochs=1", "--set", "training.seed=2")
    second = home.headrace("run", "places", *worse, "--register-only", "--json")
    assert second.json["version"] == 2, second.err
    gates = {gate["name"]: gate for gate in second.json["gates"]}
    assert not gates["champion"]["passed"]
    assert "on average" in gates["champion"]["reason"]
    compared = home.headrace("compare", "places")
    assert "median error" in compared.out
    forced = ("--force", "--reason", "a trial", "--json")
    assert home.headrace("promote", "places", "2", *forced).exit_code == 0
    assert home.headrace("rollback", "places", "--json").exit_code == 0
    listed = home.headrace("list", "--json").json["pipelines"]
    found = next(one for one in listed if one["name"] == "places")
    assert found["champion"] == 1
    assert found["test_median_absolute_error"] < 0.5


def test_its_training_is_repeated_to_the_same_weights(home, ran):
    home.assert_reproduced("places/1")


def test_a_search_seeks_the_lowest_error(home, ran):
    ranges = ("--set", "training.learning_rate=choice(0.01,0.05)")
    metric = ("--trials", "2", "--metric", "val_absolute_error", "--json")
    few = ("--set", "training.epochs=3")
    answer = home.headrace("tune", "places", *ranges, *few, *metric)
    assert answer.exit_code in (0, 1), answer.err
    found = answer.json
    assert found["direction"] == "minimize"
    values = [trial["value"] for trial in found["trials"] if trial["value"]]
    assert found["best"]["value"] == min(values)


def test_labels_that_are_no_numbers_are_set_aside(tmp_path):
    from headrace.pipeline import PipelineSpec
    from headrace.settings import Settings
    from headrace.stages.ingestion import ingest
    from headrace.stages.validation import validate
    from headrace.state.store import Store

    table = tmp_path / "lines.csv"
    rows = [f"line number {n} of many,{n}.5" for n in range(200)]
    table.write_text("text,size\n" + "\n".join([*rows, "one more line,unknown"]))
    settings = Settings(home=tmp_path / "home", project=tmp_path)
    spec = PipelineSpec.model_validate(
        {
            "name": "lines",
            "medium": "text",
            "task": "regression",
            "data": {"source": str(table), "item": "text", "label": "size"},
        }
    )
    store = Store(settings.store)
    snapshot = ingest(spec.data, "text", store, settings, "regression")
    contract = validate(spec, snapshot, store, settings)
    assert contract.quarantined == 1
    (found,) = [one for one in contract.findings if one.check == "label"]
    assert "its label is no finite number" in found.message


@pytest.mark.parametrize("medium", ["text", "audio"])
def test_new_and_check_take_numbers_of_other_media(medium, tmp_path, mlflow_database):
    home = Home(tmp_path / "home", tmp_path)
    home.path.mkdir()
    options = ["--label", "size"]
    if medium == "text":
        lines = [f"{'very ' * (n % 9)}long line {n}\t{n % 9}.25" for n in range(240)]
        (tmp_path / "data.tsv").write_text("text\tsize\n" + "\n".join(lines))
        data = "data.tsv"
    else:
        write_tones(tmp_path / "tones")
        data = "tones"
    named = ("new", "sizes", "--medium", medium, "--task", "regression")
    made = home.headrace(*named, "--data", data, *options, "--json")
    assert made.exit_code == 0, made.err
    assert made.json["task"] == "regression"
    checked = home.headrace("check", "sizes", "--data", data, "--json")
    assert checked.exit_code == 0, checked.err


def write_tones(folder):
    """Tones, and a table that has the pitch of each."""
    folder.mkdir()
    chance = np.random.default_rng(1)
    rows = ["file_name,size"]
    for number in range(60):
        hertz = chance.uniform(200, 900)
        sound = np.sin(2 * np.pi * hertz * np.arange(4000) / 8000)
        sound = sound * chance.uniform(0.3, 0.8, 4000)
        with wave.open(str(folder / f"{number}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes((sound * 32767).astype("<i2").tobytes())
        rows.append(f"{number}.wav,{hertz:.2f}")
    (folder / "metadata.csv").write_text("\n".join(rows))
