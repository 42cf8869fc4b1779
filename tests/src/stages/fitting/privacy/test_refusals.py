"""What cannot be private is refused in one sentence, before anything is spent."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from tests.src.stages.fitting.privacy.conftest import private_spec

from headrace.errors import Refusal, SpecError, UsageError
from headrace.pipeline import PipelineSpec
from headrace.stages.fitting.privacy import refusals
from headrace.stages.fitting.privacy.refusals import check_data, check_network
from headrace.use.checking import check_privacy
from headrace.use.tuning import check_search
from headrace.use.tuning.space import parse_search


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("loss", "CategoricalFocalCrossentropy"),
        ("callbacks", ["own:Callback"]),
        ("patience", 3),
        ("calibrate", True),
        ("devices", 2),
        ("canaries", 5),
        ("ngrams", 3),
        ("precision", "mixed_bfloat16"),
    ],
)
def test_a_recipe_that_cannot_be_private_is_refused(field, value):
    pattern = f"privacy and {field} exclude each other: .*leave out {field}"
    with pytest.raises(ValidationError, match=pattern):
        private_spec(**{field: value})


@pytest.mark.parametrize("privacy", [{}, {"clip": 1.0}, {"epsilon": 1.0, "noise": 1.0}])
def test_either_epsilon_or_noise_is_given(privacy):
    with pytest.raises(ValidationError, match="give epsilon or noise, and not both"):
        private_spec(privacy)


def test_what_a_family_calibrates_by_default_a_private_training_does_not():
    tables = {"name": "calls", "medium": "audio"}
    tables |= {"data": {"source": "s"}, "model": {"builder": "crnn"}}
    assert PipelineSpec.model_validate(tables).training.calibrate
    private = {**tables, "training": {"privacy": {"epsilon": 1.0}}}
    spec = PipelineSpec.model_validate(private)
    assert not spec.training.calibrate
    assert not spec.training.keeps_best_epoch


def test_a_plain_recipe_has_no_trace_of_privacy():
    """So that the keys of what was trained before stay the same."""
    tables = {"name": "a", "medium": "image", "data": {"source": "s"}}
    assert "privacy" not in PipelineSpec.model_validate(tables).training.model_dump()


def spec_of(**tables):
    given = private_spec().model_dump(exclude_unset=True)
    return PipelineSpec.model_validate({**given, **tables})


@pytest.mark.parametrize("task", ["classification", "tagging"])
def test_data_that_are_not_declared_are_refused(task):
    declared = {"source": "s", "shape": [4, 4, 1], "classes": ["a", "b"]}
    check_data(spec_of(task=task, data=declared))
    for field in ("classes", "shape"):
        rest = {k: v for k, v in declared.items() if k != field}
        with pytest.raises(SpecError, match=rf"data\.{field} is not declared"):
            check_data(spec_of(task=task, data=rest))


@pytest.mark.parametrize(
    ("medium", "declared"), [("text", {"shape": [64]}), ("audio", {"seconds": 1.0})]
)
def test_texts_and_sounds_without_a_declared_length_are_refused(medium, declared):
    """One longer row would change the form that all rows get."""
    data = {"source": "s", "classes": ["a", "b"]}
    with pytest.raises(SpecError, match=r"data\.shape is not declared"):
        check_data(spec_of(medium=medium, data=data))
    check_data(spec_of(medium=medium, data=data | declared))


@pytest.mark.parametrize("task", ["regression", "generation"])
def test_a_task_whose_rows_are_not_apart_is_refused(task):
    tables = {"name": "a", "task": task, "data": {"source": "s"}}
    medium = {"regression": "image", "generation": "text"}[task]
    tables |= {"medium": medium, "training": {"privacy": {"noise": 1.0}}}
    with pytest.raises(SpecError, match=f"the task {task} cannot be private"):
        check_data(PipelineSpec.model_validate(tables))


def network_of(*layers):
    import keras

    given = keras.Input((4,))
    last = keras.layers.Dense(2, activation="softmax")
    return keras.Sequential([given]), keras.Sequential([given, *layers, last])


def test_layers_that_mix_rows_or_add_losses_are_refused():
    import keras

    class Adds(keras.layers.Layer):
        def call(self, inputs):
            self.add_loss(keras.ops.sum(inputs))
            return inputs

    layers = keras.layers
    check_network(*network_of(layers.Dense(3, kernel_regularizer="l2")))
    for layer, pattern in (
        (layers.BatchNormalization(name="norm"), "layer norm .*mixes the rows"),
        (layers.Dense(3, activity_regularizer="l2"), "has an activity_regularizer"),
        (Adds(), "adds a loss of its own"),
    ):
        with pytest.raises(SpecError, match=pattern):
            check_network(*network_of(layer))


def test_frozen_batch_normalisation_mixes_no_rows_and_is_allowed():
    import keras

    layers = keras.layers
    check_network(*network_of(layers.BatchNormalization(trainable=False)))
    inner = keras.Sequential([keras.Input((4,)), layers.BatchNormalization()])
    inner.trainable = False
    check_network(*network_of(inner))
    inner.layers[-1].trainable = True  # updates its statistics, frozen parent or not
    with pytest.raises(SpecError, match=r"mixes the rows .*Freeze it \(trainable"):
        check_network(*network_of(inner))


def test_preprocessing_that_learns_is_refused_unless_it_was_given_its_numbers():
    import keras

    _, network = network_of()
    for arguments, is_refused in (({}, True), ({"mean": 0.0, "variance": 1.0}, False)):
        scaling = keras.layers.Normalization(name="scale", **arguments)
        preprocessing = keras.Sequential([keras.Input((4,)), scaling])
        if not is_refused:
            check_network(preprocessing, network)
            continue
        with pytest.raises(SpecError, match=r"layer scale .*learns from the rows"):
            check_network(preprocessing, network)


def test_a_train_split_that_does_not_fit_is_refused(private_fit, monkeypatch):
    monkeypatch.setattr(refusals, "MOST_BYTES", 1_000)
    with pytest.raises(Refusal, match=r"train has 0\.0 GiB, and each step samples"):
        private_fit()


def test_a_check_builds_the_network():
    assert "can be trained privately" in check_privacy(private_spec(), Path("."))
    model = {"builder": "cnn", "arguments": {"filters": [4], "units": 8}}
    with pytest.raises(SpecError, match="BatchNormalization"):
        check_privacy(spec_of(model=model), Path("."))


def test_a_search_is_refused():
    space = parse_search(["training.learning_rate=log(0.01,1)"])[1]
    with pytest.raises(UsageError, match="each trial of a search would spend epsilon"):
        check_search(space, private_spec(), Path("."))


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="needs dp-accounting, which is not installed"):
        check_privacy(private_spec(), Path("."))
