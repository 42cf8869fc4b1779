"""A loaded model answers raw items, guesses nothing, and is the one that was logged."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.homes import open_logged

import headrace
from headrace.data.snapshots.splits import read_split
from headrace.errors import InputError, IntegrityError, NotFoundError
from headrace.models.logged.loading import load_champion
from headrace.records import SERVING_TOLERANCE, DataDescription
from headrace.settings import Settings
from headrace.state.ledger import Ledger
from headrace.state.regular import file_digest
from headrace.state.tracking import MODEL_FILE, Tracking

Trained = Any


@pytest.fixture
def good(trained):
    record = trained.good
    return open_logged(trained.settings, record)


def images(trained, count=6):
    return read_split(trained.snapshot, "test")[0][:count]


def logged_file(trained):
    """The Keras file of the good training, in MLflow's store."""
    model_id = trained.good.model_uri.rpartition("/")[2]
    logged = Tracking(trained.settings).client.get_logged_model(model_id)
    return Path(logged.artifact_location.removeprefix("file://")) / MODEL_FILE


def test_bytes_and_floats_of_0_to_255_have_the_same_answer(good, trained):
    items = images(trained)
    given = good(items)
    assert (given.dtype, given.shape) == (np.float32, (6, 3))
    assert given.sum(axis=1) == pytest.approx(np.ones(6), abs=1e-5)
    assert np.abs(good(items.astype(np.float32)) - given).max() <= SERVING_TOLERANCE


def test_one_image_and_images_without_a_channel_axis_are_taken(good, trained):
    items = images(trained)
    given = good(items)
    for x in (items[0], items[0, :, :, 0]):
        assert np.abs(good(x) - given[:1]).max() <= SERVING_TOLERANCE
    assert np.abs(good(items[..., 0]) - given).max() <= SERVING_TOLERANCE


def test_predictions_are_labels(good, trained):
    items, labels, *_ = read_split(trained.snapshot, "test")
    assert good.classes == ("0", "1", "2")
    assert good.predict(items) == [str(label) for label in labels]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            np.zeros((1, 8, 8), np.float64),
            "has dtype float64; expected uint8, or float32",
        ),
        (np.zeros((1, 8, 8), np.int32), "has dtype int32"),
        (np.zeros((1, 8, 8), bool), "has dtype bool"),
        ([[0.0] * 8] * 8, "float64 of the shape"),
        (np.array([["a"]]), "<U1 of the shape"),
        (np.zeros((1, 8, 9), np.uint8), "8 x 9 pixels; 8 x 8 is the form"),
        (np.zeros((1, 64), np.uint8), "1 x 64 pixels"),
        (np.zeros((0, 8, 8, 1), np.uint8), "with n of at least 1"),
        (np.zeros((2, 1, 8, 8, 1), np.uint8), r"shape \(2, 1, 8, 8, 1\)"),
        (np.uint8(3), r"shape \(\)"),
        (np.full((1, 8, 8), np.nan, np.float32), "holds NaN"),
        (
            np.full((1, 8, 8), np.inf, np.float32),
            "values are inf..inf; expected 0..255",
        ),
        (np.full((1, 8, 8), -1, np.float32), "values are -1..-1; expected 0..255"),
        (np.full((1, 8, 8), 256, np.float32), "values are 256..256; expected 0..255"),
        (np.full((1, 8, 8), 0.5, np.float32), "looks scaled to 0..1"),
    ],
)
def test_what_must_be_guessed_about_is_refused(good, x, message):
    with pytest.raises(InputError, match=message):
        good(x)


def test_black_images_as_floats_are_taken(good):
    black = np.zeros((2, 8, 8, 1), np.uint8)
    assert np.array_equal(good(black), good(black.astype(np.float32)))


def test_the_champion_is_what_the_ledger_says(trained):
    champion = load_champion("blobs", trained.settings)
    assert champion.version == 1
    assert champion.description == trained.weak.description


def test_the_package_offers_the_champion_of_the_home(trained, monkeypatch):
    monkeypatch.setenv("HEADRACE_HOME", str(trained.settings.home))
    assert headrace.load_champion("blobs").version == 1
    with pytest.raises(AttributeError, match="no attribute 'load_challenger'"):
        _ = headrace.load_challenger


def test_a_model_without_a_champion_is_told(settings):
    with pytest.raises(
        NotFoundError, match=r"'blobs' has no champion. The home is /.*headrace run"
    ):
        load_champion("blobs", settings)


def test_one_changed_byte_is_noticed(trained):
    file = logged_file(trained)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    record = trained.good
    with pytest.raises(IntegrityError, match="was logged: the file was changed"):
        open_logged(trained.settings, record)


@pytest.fixture
def lambda_file(tmp_path):
    """A Keras file with code in it."""
    import keras

    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Lambda(lambda x: x)])
    model.save(tmp_path / "lambda.keras")
    yield tmp_path / "lambda.keras"


@pytest.mark.parametrize("kind", ["lambda", "cut short", "not a zip"])
def test_a_file_that_is_no_safe_model_is_refused_even_with_its_digest(
    trained, lambda_file, kind
):
    file = logged_file(trained)
    data = file.read_bytes()
    file.write_bytes(
        {
            "lambda": lambda_file.read_bytes(),
            "cut short": data[: len(data) // 2],
            "not a zip": b"nothing",
        }[kind]
    )
    changed = trained.good.model_copy(update={"model_digest": file_digest(file)})
    with pytest.raises(
        IntegrityError, match=r"The model models:/m-.* cannot be loaded"
    ):
        open_logged(trained.settings, changed)


def test_nothing_of_the_model_folder_but_the_keras_file_is_used(trained):
    """MLflow's own loader would run what ``MLmodel`` names."""
    place = logged_file(trained).parents[1]
    (place / "MLmodel").write_text(
        "flavors:\n  python_function:\n    loader_module: evil\n"
    )
    model = open_logged(trained.settings, trained.good)
    assert model(images(trained)).shape == (6, 3)


def test_importing_the_package_is_free():
    code = (
        "import sys, headrace; print({'tensorflow', 'keras', 'mlflow', 'numpy'}"
        " & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_a_description_in_the_ledger_is_the_trainings(trained):
    champion = Ledger(trained.settings.database_url).champion("blobs")
    assert champion is not None
    told = champion.version.details["description"]
    assert DataDescription.model_validate(told) == trained.weak.description


def test_without_a_home_there_is_no_champion_and_none_is_made(tmp_path):
    settings = Settings(project=tmp_path, home=tmp_path / "home")
    with pytest.raises(NotFoundError, match="There is no home at"):
        load_champion("digits", settings)
    assert not settings.home.exists()
