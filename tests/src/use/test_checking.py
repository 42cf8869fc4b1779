"""A builder is tried before there is data, and a training with it."""

import re

import pytest

from headrace.errors import Refusal, SpecError
from headrace.pipeline import PipelineSpec
from headrace.stages.fitting.privacy import refusals
from headrace.use.checking import check_builder, check_fit, check_training

MODEL = """
import keras

from headrace.media import preprocessing


def build(data, units=4):
    if units < 0:
        raise ValueError("units are below 0")
    network = keras.Sequential([
        keras.Input(data.shape),
        keras.layers.Flatten(),
        keras.layers.Dense(units),
        keras.layers.Dense(len(data.classes), activation="softmax"),
    ])
    return preprocessing(data), network
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    return tmp_path


def spec_of(builder="model:build", **data):
    arguments = {"units": data.pop("units", 4)} if ":" in builder else {}
    return PipelineSpec.model_validate(
        {
            "name": "blobs",
            "medium": "image",
            "task": data.pop("task", "classification"),
            "data": {"source": "nowhere", **data},
            "model": {"builder": builder, "arguments": arguments},
        }
    )


def test_a_builder_is_built_on_declared_data(folder):
    spec = spec_of(shape=(8, 8, 1), classes=("a", "b"))
    weights = 64 * 4 + 4 + 4 * 2 + 2
    assert f"shape (8, 8, 1): {weights} weights" in check_builder(spec, folder)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"shape": (8, 8, 1)},
        {"classes": ("a", "b")},
        {"task": "tagging"},
        {"task": "regression"},
    ],
)
def test_a_builder_is_imported_where_less_is_declared(folder, data):
    told = check_builder(spec_of(**data), folder)
    assert (
        told == "; model:build was imported, not built: [data] does not declare enough"
    )


def test_a_builder_is_imported_where_only_the_data_shows_more(folder):
    data = {"source": "nowhere", "seconds": 1}
    made = {"name": "words", "medium": "audio", "task": "transcription", "data": data}
    spec = PipelineSpec.model_validate({**made, "model": {"builder": "model:build"}})
    assert "imported, not built" in check_builder(spec, folder)


def test_a_builder_that_fails_is_told(folder):
    spec = spec_of(shape=(8, 8, 1), classes=("a", "b"), units=-1)
    with pytest.raises(SpecError, match=r"failed on items of shape.*units are below 0"):
        check_builder(spec, folder)


def test_a_file_that_cannot_be_imported_is_told(folder):
    (folder / "model.py").write_text("import nothing_of_this_name")
    with pytest.raises(SpecError, match="cannot be imported: No module named"):
        check_builder(spec_of(), folder)


def test_a_family_is_not_built(folder):
    assert check_builder(spec_of("cnn"), folder) == ""


PATCHES = """
MEDIUM = "image"
RECIPE = {}
YIELDS = "vector"


def build(data, units=4):
    import keras
    from headrace.media import preprocessing

    layers = [keras.Input(data.shape), keras.layers.Conv2D(units, 4, 4)]
    return preprocessing(data), keras.Sequential([*layers, keras.layers.Flatten()])
"""
BODY = (
    'The body patches gives (None, 2, 2, 4); YIELDS = "vector" means (batch, '
    "features). Pool or flatten it."
)
ADVICE = 'or set YIELDS = "vector" in its module, if the task is to add the head.'


def test_a_family_of_a_package_is_built(extend, folder):
    extend("models", "patches", PATCHES)
    declared = spec_of("patches", shape=(8, 8, 1), classes=("a", "b"))
    weights = 4 * 4 * 4 + 4 + 16 * 2 + 2
    assert f"{weights} weights" in check_builder(declared, folder)
    assert "imported, not built" in check_builder(spec_of("patches"), folder)


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize(
    ("line", "instead", "message"),
    [
        (", keras.layers.Flatten()", "", BODY),
        ('"vector"', '"map"', 'takes "vector". Families for'),
        ('YIELDS = "vector"', "", ADVICE),
        ("return", "return None and", "It must return (preprocessing, network)"),
        ("units=4", "units", "missing 1 required positional argument: 'units'"),
    ],
)
def test_a_family_of_a_package_that_does_not_fit_is_refused(
    extend, folder, task, line, instead, message
):
    extend("models", "patches", PATCHES.replace(line, instead))
    labels = {} if task == "regression" else {"classes": ("a", "b")}
    spec = spec_of("patches", shape=(8, 8, 1), task=task, **labels)
    with pytest.raises(SpecError, match=re.escape(message)):
        check_builder(spec, folder)


def test_a_builder_of_the_pipeline_may_leave_the_head_to_the_task(folder):
    (folder / "model.py").write_text(PATCHES)
    assert "102 weights" in check_builder(
        spec_of(shape=(8, 8, 1), classes=("a", "b")), folder
    )


OPTIMIZER = """import keras


def own(learning_rate):
    return keras.optimizers.Lion(learning_rate)
"""


def test_what_training_names_is_made(folder):
    (folder / "optimizer.py").write_text(OPTIMIZER)
    plain = spec_of("cnn")
    assert check_training(plain, folder) == ""
    training = {"optimizer": "optimizer:own", "metrics": ["mse"], "loss": "Dice"}
    spec = plain.model_validate(plain.model_dump() | {"training": training})
    assert "can be made" in check_training(spec, folder)
    (folder / "optimizer.py").write_text(OPTIMIZER.replace("Lion", "Lyons"))
    with pytest.raises(SpecError, match=r"training\.optimizer = .*Lyons"):
        check_training(spec, folder)


@pytest.mark.parametrize(
    ("medium", "data", "problem"),
    [
        ("image", {"resize": "crop"}, "there is no data.shape"),
        ("image", {"shape": (32, 32, 4)}, r"data\.shape is \[32, 32, 4\]"),
        ("image", {"shape": (0, 8), "resize": "pad"}, r"data\.shape is \[0, 8\]"),
        ("image", {"shape": (100_000, 100_000, 3)}, "over 50,000,000 pixels"),
        ("audio", {"shape": (8000,), "seconds": 2.0}, "but data.seconds is 2"),
        ("text", {"shape": (3,)}, r"data\.shape is \[3\]; a text is"),
    ],
)
def test_a_form_that_no_item_can_have_is_told_without_data(
    folder, medium, data, problem
):
    fields = {"name": "some", "medium": medium, "data": {"source": "x", **data}}
    with pytest.raises(SpecError, match=problem):
        check_builder(PipelineSpec.model_validate(fields), folder)


def fit(trained, **training):
    fields = trained.spec.model_dump()
    fields["training"] |= training
    spec = PipelineSpec.model_validate(fields)
    records = trained.snapshot, trained.contract
    check_fit(spec, trained.folder, *records, trained.home)


def test_data_that_a_run_trains_on_fits(trained):
    fit(trained)


def test_too_many_rows_for_their_size_are_told_with_the_data(trained, monkeypatch):
    monkeypatch.setattr(refusals, "MOST_BYTES", 1000)
    with pytest.raises(Refusal, match="each step samples from all of it"):
        fit(trained, privacy={"epsilon": 8.0})


def test_a_builder_that_fails_on_the_data_is_told_with_it(trained, tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    model = {"builder": "model:build", "arguments": {"units": -1}}
    spec = trained.spec.model_dump() | {"model": model}
    records = tmp_path, trained.snapshot, trained.contract, trained.home
    with pytest.raises(SpecError, match=re.escape("shape (8, 8, 1): units are below")):
        check_fit(PipelineSpec.model_validate(spec), *records)
