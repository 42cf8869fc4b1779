"""Every model family does what a builder must, and wrong builders are told so."""

import pytest

from headrace import models
from headrace.errors import SpecError
from headrace.models import (
    builder_name,
    builder_names,
    check_arguments,
    find_builder,
    find_function,
)
from headrace.pipeline import PipelineSpec
from headrace.records import DataDescription

COLOUR = DataDescription(medium="image", shape=(8, 8, 3), classes=("a", "b", "c"))
OWN = """
import keras
from headrace.media import preprocessing

def build(data, units=4):
    layers = [keras.Input(data.shape), keras.layers.Flatten()]
    layers += [keras.layers.Dense(units, activation="relu")]
    layers += [keras.layers.Dense(len(data.classes), activation="softmax")]
    return preprocessing(data), keras.Sequential(layers)

def wide(data):
    prepared, network = build(data)
    import keras
    return prepared, keras.Sequential([keras.Input(data.shape), keras.layers.Flatten()])

def broken(data):
    return None

number = 3
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model.py").write_text(OWN)
    return tmp_path


def test_families_are_the_files_of_the_folder():
    assert builder_names("image") == ["cnn", "mlp", "pretrained", "resnet"]
    families = ["bag_of_ngrams", "pretrained", "text_cnn", "transformer"]
    assert builder_names("text", "vector") == families
    assert builder_names("text", "next") == ["gru_lm"]
    families = ["audio_cnn", "crnn", "ctc_crnn", "pretrained", "speech_vae"]
    assert builder_names("audio") == families
    assert builder_names("audio", "wave") == ["speech_vae"]
    assert len(builder_names()) == 12
    assert builder_names("smell") == ["pretrained"]  # of any medium


def test_a_family_of_another_medium_is_refused():
    spec = PipelineSpec.model_validate(
        {
            "name": "words",
            "medium": "text",
            "data": {"source": "x"},
            "model": {"builder": "cnn"},
        }
    )
    message = "medium is text. Families for classification of text: bag_"
    with pytest.raises(SpecError, match=message):
        builder_name(spec)


def test_a_family_brings_its_own_recipe_which_the_file_can_change():
    file = {"name": "words", "medium": "text", "data": {"source": "x"}}
    file["training"] = {"epochs": 3}
    recipe = PipelineSpec.model_validate(file).training
    assert (recipe.epochs, recipe.schedule, recipe.batch_size) == (3, "cosine", 32)
    file |= {"medium": "image", "model": {"builder": "mlp"}}
    recipe = PipelineSpec.model_validate(file).training
    assert (recipe.epochs, recipe.schedule, recipe.batch_size) == (3, "constant", 128)


def test_arguments_reach_the_builder():
    _, network = models.build("mlp", COLOUR, {"hidden": [7], "dropout": 0.5})
    assert [w.shape for w in network.get_weights()] == [(192, 7), (7,), (7, 3), (3,)]
    assert "Dropout" in [type(layer).__name__ for layer in network.layers]
    _, network = models.build("cnn", COLOUR, {"filters": [5], "units": 6})
    assert network.get_weights()[0].shape == (3, 3, 3, 5)


def test_a_function_in_the_pipelines_folder_is_a_builder(folder):
    _, network = models.build("model:build", COLOUR, {"units": 9}, folder)
    assert network.get_weights()[0].shape == (192, 9)


def test_an_importable_function_is_a_builder():
    assert find_builder("headrace.models.cnn:build") is find_builder("cnn")
    assert find_builder("headrace.models.cnn.build") is find_builder("cnn")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cn", "there is no such model family.*Did you mean cnn?"),
        ("zzzzzz", "Families: audio_cnn, bag_of_ngrams, cnn"),
        ("model:bild", "cannot be imported.*Put model.py with a function bild"),
        ("modl:build", "cannot be imported.*No module named 'modl'"),
        ("model:number", "is not a function"),
        ("nosuch.mod:fn", "cannot be imported.* 'nosuch'. Install the package that"),
        (":build", "cannot be imported|names no function"),
        ("a-b", "names no function.*Write module:function"),
    ],
)
def test_a_builder_that_is_not_there_is_told(folder, name, message):
    with pytest.raises(SpecError, match=message):
        find_builder(name, folder)


def test_a_builder_whose_file_is_no_python_is_told(folder):
    (folder / "model.py").write_text("def build(:\n")
    with pytest.raises(SpecError, match="cannot be imported: invalid syntax"):
        find_builder("model:build", folder)


def test_a_builder_whose_file_fails_is_told(folder):
    (folder / "model.py").write_text("1 / 0\n")
    with pytest.raises(SpecError, match="cannot be imported: division by zero"):
        find_builder("model:build", folder)


DATACLASS = """
from __future__ import annotations

from dataclasses import dataclass

executed = []
executed.append(1)

@dataclass
class Sizes:
    units: int = 4

def build(data):
    return Sizes()

def loss(targets, outputs):
    return len(executed)
"""


def test_a_file_of_ones_own_may_have_dataclasses_with_annotations_as_text(tmp_path):
    (tmp_path / "model.py").write_text(DATACLASS)
    assert find_builder("model:build", tmp_path)(None).units == 4


def test_a_file_of_ones_own_is_executed_once_for_all_its_functions(tmp_path):
    (tmp_path / "model.py").write_text(DATACLASS)
    build = find_builder("model:build", tmp_path)
    loss = find_function("training.loss", "model:loss", tmp_path)
    assert build.__globals__ is loss.__globals__


def test_a_changed_file_and_one_of_another_folder_are_modules_of_their_own(tmp_path):
    found = []
    for name, units in (("a", 4), ("b", 5), ("b", 66)):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        text = DATACLASS.replace("= 4", f"= {units}")
        (folder / "model.py").write_text(text)
        found.append(find_builder("model:build", folder))
    assert [build(None).units for build in found] == [4, 5, 66]


def test_a_file_that_failed_is_executed_again(tmp_path):
    text = f"import pathlib\npathlib.Path({str(tmp_path / 'there')!r}).read_text()\n"
    (tmp_path / "model.py").write_text(text + DATACLASS.replace("from __future", "#"))
    with pytest.raises(SpecError, match="cannot be imported"):
        find_builder("model:build", tmp_path)
    (tmp_path / "there").write_text("")
    assert find_builder("model:build", tmp_path)(None).units == 4


def test_an_argument_that_is_not_taken_is_answered_with_the_nearest():
    builder = find_builder("mlp")
    check_arguments("mlp", builder, {"hidden": [3]})
    with pytest.raises(SpecError, match=r"arguments.hiden.*Did you mean hidden?"):
        check_arguments("mlp", builder, {"hiden": [3]})
    with pytest.raises(SpecError, match="It takes: hidden, dropout"):
        check_arguments("mlp", builder, {"zzzz": 3})


@pytest.mark.parametrize(
    ("name", "arguments", "number"),
    [
        ("cnn", {"dropout": "0.2"}, "0.2"),
        ("cnn", {"filters": ["24", 48]}, "24"),
        ("ctc_crnn", {"labels_per_step": "2"}, "2"),
    ],
)
def test_a_number_in_quotes_is_refused(name, arguments, number):
    told = (
        rf"model.arguments.\w+ = .*{name} takes numbers. Write {number} without quotes"
    )
    with pytest.raises(SpecError, match=told):
        check_arguments(name, find_builder(name), arguments)


def test_a_number_in_quotes_may_be_a_name():
    check_arguments("pretrained", find_builder("pretrained"), {"preset": "5"})
    check_arguments("own", lambda data, depth="3": (data, depth), {"depth": "5"})


def test_a_builder_that_takes_anything_is_asked_nothing():
    check_arguments("own", lambda data, **rest: (data, rest), {"zzzz": 3})


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        (
            "model:wide",
            {},
            r"outputs of shape \(None, 192\), but the data has 3 classes",
        ),
        ("model:broken", {}, "failed on items of shape .* two built Keras models"),
        ("mlp", {"hidden": ["many"]}, "The builder mlp failed on items of shape"),
        ("mlp", {"hidden": 3}, "The builder mlp failed on items of shape"),
    ],
)
def test_a_builder_that_does_not_fit_is_told(folder, name, arguments, message):
    with pytest.raises(SpecError, match=message):
        models.build(name, COLOUR, arguments, folder)


@pytest.mark.parametrize("name", ["{}/model:build", "../model:build"])
def test_a_builder_is_not_found_by_a_path(folder, name):
    with pytest.raises(SpecError, match="is a path"):
        find_builder(name.format(folder), folder / "pipeline")
