"""Texts learned from one long text: all commands."""

import csv
import re

import numpy as np
import pytest
from tests.homes import Home

NAMES, VERBS, THINGS = ("ada", "bob", "cleo"), ("sees", "has", "wants"), ("tea", "rye")
DOCUMENTS = 400
SMALL = {"units": 24, "width": 12, "places": 512, "max_tokens": 40}
EPOCHS = 6


def notes(count, seed):
    chance = np.random.default_rng(seed)

    def one():
        lines = [
            " ".join(chance.choice(words) for words in (NAMES, VERBS, THINGS))
            for _ in range(chance.integers(2, 6))
        ]
        return "\n".join(lines) + f"\n{chance.integers(10**6)}"

    return [one() for _ in range(count)]


@pytest.fixture(scope="module")
def home(tmp_path_factory, mlflow_database):
    """A project with one text of many notes, which blank lines part."""
    project = tmp_path_factory.mktemp("generation")
    made = Home.of_project(project, mlflow_database)
    text = "\n\n".join(notes(DOCUMENTS, 0))
    (project / "notes.txt").write_text(text, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def ran(home, prefect_server):
    """The first run of a pipeline that `headrace new` made, for a small network."""
    options = ("--medium", "text", "--task", "generation", "--data", "notes.txt")
    made = home.headrace("new", "notes", *options, "--json")
    assert made.exit_code == 0, made.err
    file = home.project / "pipelines" / "notes" / "pipeline.toml"
    text = file.read_text()
    assert 'separator = "\\n\\n"' in text
    assert 'builder = "gru_lm"' in text
    assert "arguments = { order = 5 }" in text
    assert "arguments = { gain = 0.01 }" in text
    known = {*"\n".join(notes(DOCUMENTS, 0))}
    assert f"\nmax_tokens = {len(known) + 2}\n" in text
    sizes = "".join(f"{name} = {value}\n" for name, value in SMALL.items())
    text = re.sub(r"max_tokens = \d+\n", sizes, text)
    text = re.sub(
        r"(?<=\[training\]\n)epochs = .*", f"epochs = {EPOCHS}\ncanaries = 4", text
    )
    file.write_text(text.replace("order = 5", "order = 1"))
    answer = home.headrace("run", "notes", "--json")
    assert answer.exit_code in (0, 1), answer.err
    return answer.json


def test_a_run_beats_the_n_gram_model_and_is_promoted(ran):
    assert ran["status"] == "promoted", ran["reason"]
    metrics = ran["metrics"]
    assert metrics["baseline_difference_high"] < 0
    assert metrics["baseline_order"] == 1
    assert metrics["test_bits_per_byte"] < metrics["test_bits_per_character"] * 1.01
    assert metrics["canary_exposure_share"] < 0.5
    assert ran["snapshot"]["rows"]["train"] > 250


def test_equal_seeds_write_equal_texts(home, ran):
    options = ("--prompt", "ada ", "--lines", "2", "--temperature", "0.5")
    texts = [
        home.headrace("generate", "notes", *options, "--seed", seed, "--json").json
        for seed in ("7", "7", "8")
    ]
    assert texts[0]["text"] == texts[1]["text"] != texts[2]["text"]
    assert texts[0]["text"].startswith("ada ")
    assert texts[0]["text"].count("\n") <= 1
    plain = home.headrace("generate", "notes", *options, "--seed", "7")
    assert plain.out == texts[0]["text"] + "\n"


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--prompt", "ada ☃"), 1, "has not learned these characters of the prompt"),
        (
            ("--temperature", "9"),
            2,
            "The value of temperature is 9.0; expected a number from 0 to 5",
        ),
    ],
)
def test_a_bad_request_is_refused(home, ran, options, code, message):
    answer = home.headrace("generate", "notes", *options)
    assert answer.exit_code == code
    assert message in answer.err
    assert not answer.out


def test_texts_are_scored_by_their_probability(home, ran):
    likely, unlikely = "ada sees tea\nbob has rye\n1", "eeeee aaa eeeee aaa eeeee"
    folder = home.project / "asked"
    folder.mkdir()
    (folder / "a.txt").write_text(likely)
    (folder / "b.txt").write_text(unlikely)
    answer = home.headrace("score", "notes", "asked", "out.csv", "--json")
    assert answer.exit_code == 0, answer.err
    with (home.project / "out.csv").open() as file:
        one, other = csv.DictReader(file)
    assert int(one["characters"]) == len(likely) + 1
    assert 2 * float(one["nats_per_character"]) < float(other["nats_per_character"])


def test_the_network_is_mixed_with_n_grams(home, ran):
    from headrace.settings import Settings
    from headrace.state.tracking import Tracking

    tracking = Tracking(Settings(home=home.path, project=home.project))
    logged = tracking.client.get_run(ran["run_id"]).data.metrics
    for name in ("ngram_share", "ngram_share_of_marks"):
        assert 0 <= logged[name] < 1
    assert logged["ngram_share"] > 0.05


def test_samples_and_pictures_are_in_mlflow(home, ran):
    from headrace.settings import Settings
    from headrace.state.tracking import Tracking

    tracking = Tracking(Settings(home=home.path, project=home.project))
    for name in ("documents", "verbatim", "curves"):
        data = tracking.run_file(ran["run_id"], f"pictures/{name}.png")
        assert data[:4] == b"\x89PNG"
    assert b"<bdi>" in tracking.run_file(ran["run_id"], "samples/texts.html")


def test_its_training_is_repeated_to_the_same_weights(home, ran):
    home.assert_reproduced("notes/1")
