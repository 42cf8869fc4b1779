"""What ``[training]`` may name, and what is refused before anything is trained."""

import importlib

import pytest
from pydantic import ValidationError

from headrace.errors import SpecError
from headrace.pipeline import TrainingSpec, load_spec
from headrace.pipeline.keras_names import _MODULES, _names

FOCAL = {"name": "CategoricalFocalCrossentropy", "gamma": 3.0}
PLATEAU = "training.callbacks=[{name='ReduceLROnPlateau', patience=2}]"


def load(tmp_path, *overrides):
    (tmp_path / "pipeline.toml").write_text(
        'name = "own"\nmedium = "image"\n[data]\nsource = "somewhere"\n'
    )
    return load_spec(tmp_path, overrides).training


def test_what_is_left_out_is_not_in_the_key_of_a_training():
    names = TrainingSpec().model_dump().keys()
    assert not names & {"patience", "loss", "metrics", "callbacks"}


def test_a_table_with_arguments_comes_back_from_json():
    spec = TrainingSpec.model_validate({"loss": FOCAL, "metrics": ["mse"]})
    assert TrainingSpec.model_validate_json(spec.model_dump_json()) == spec
    assert spec.model_dump()["loss"] == FOCAL


@pytest.mark.parametrize("kind", ["optimizer", "schedule", "loss", "metrics"])
def test_every_name_is_one_of_keras(kind):
    module = importlib.import_module(_MODULES[kind])
    assert len(_names(kind)) >= 5
    assert all(callable(getattr(module, name)) for name in _names(kind))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.loss=Hubr", "training.loss = 'Hubr': .*near it: Huber"),
        ("training.loss=5", "training.loss = 5: write a name, or a table"),
        ("training.schedule=ExponentialDecy", "ExponentialDecay"),
        ("training.metrics=['TopKAccuracy']", "near it: .*TopKCategoricalAccuracy"),
        ("training.metrics=mse", "write a list"),
        ("training.callbacks=['ModelCheckpoint']", "it has: LearningRateS"),
        ("training.optimizer={beta_1=0.8}", "write a name, or a table with a name"),
        (
            "training.optimizer={name='adamw', beta_1='0.8'}",
            "adamw has beta_1 = '0.8': write 0.8 without quotes",
        ),
        ("training.patience=-1", "greater than or equal to 0"),
        (PLATEAU, "ReduceLROnPlateau sets the learning rate.*add decay = 0"),
    ],
)
def test_an_unknown_name_is_refused_with_what_is_right(tmp_path, override, message):
    with pytest.raises(SpecError, match=message):
        load(tmp_path, override)


def test_label_smoothing_is_of_the_tasks_own_loss(tmp_path):
    own = ("training.loss=losses:own", "training.label_smoothing=0.1")
    with pytest.raises(SpecError, match="label_smoothing is of the task's own loss"):
        load(tmp_path, *own)


def test_a_loss_of_ones_own_takes_no_smoothing_from_the_family(tmp_path):
    text = ("medium=text", "model.builder=text_cnn")
    assert load(tmp_path, *text).label_smoothing == 0.1
    assert load(tmp_path, *text, "training.loss=losses:own").label_smoothing == 0


def test_the_functions_of_the_users_own_are_known():
    spec = {
        "optimizer": "adamw",
        "loss": "losses:focal",
        "metrics": ["mse", {"name": "scores:ours", "k": 3}],
        "callbacks": [{"name": "LearningRateScheduler", "schedule": "rates:warm"}],
        "decay": 0,
    }
    own = TrainingSpec.model_validate(spec).own_functions
    assert own == ("losses:focal", "scores:ours", "rates:warm")


@pytest.mark.parametrize(("length", "problem"), [(1, "2 to 8 characters"), (9, "8")])
def test_n_grams_have_two_characters_or_more(length, problem):
    with pytest.raises(ValidationError, match=problem):
        TrainingSpec(ngrams=length)
    assert "ngrams" not in TrainingSpec().model_dump()
    assert TrainingSpec(ngrams=2).ngrams == 2
