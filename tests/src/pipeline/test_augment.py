"""``[training.augment]``: what it may say of which medium and task."""

import pytest

from headrace.errors import SpecError
from headrace.pipeline import TrainingSpec, load_spec
from headrace.pipeline.augment import AugmentSpec, suggested
from headrace.pipeline.files import fields_of
from headrace.stages.ingredients import training_roots

FLIP = "training.augment.flip=horizontal"


def load(tmp_path, medium, *overrides):
    (tmp_path / "pipeline.toml").write_text(
        f'name = "own"\nmedium = "{medium}"\n[data]\nsource = "somewhere"\n'
    )
    return load_spec(tmp_path, overrides)


def test_fields_that_are_set_are_recorded_and_no_others(tmp_path):
    spec = load(tmp_path, "image", FLIP, "training.augment.crop=0.1")
    assert spec.training.model_dump()["augment"] == {"flip": "horizontal", "crop": 0.1}
    fields = fields_of(spec)
    assert fields["training.augment.flip"] == "horizontal"
    assert "training.augment.colour" not in fields


@pytest.mark.parametrize("table", [None, {}, {"crop": 0.0}])
def test_an_empty_table_is_none_and_in_no_key(table):
    spec = TrainingSpec.model_validate({"augment": table} if table is not None else {})
    assert spec.augment is None
    assert "augment" not in spec.model_dump()


@pytest.mark.parametrize(
    ("medium", "overrides", "message"),
    [
        ("image", ["training.augment.flip=sideways"], "training.augment.flip = 'side"),
        ("image", ["training.augment.crop=1.5"], "crop = 1.5: .*less than or equal"),
        ("image", ["training.augment.mixup=true"], "mixup = True: .*valid number"),
        ("image", ["training.augment.crop='0.1'"], "crop = '0.1': .*valid number"),
        ("image", ["training.augment.crip=0.1"], "unknown key.*Did you mean .*crop"),
        ("text", [FLIP], "flip means nothing to text, which has token_drop; leave it"),
        ("audio", [FLIP], "flip means nothing to audio, which has shift, gain, mask"),
        ("text", ["training.augment.token_drop=1"], "token_drop = 1: .*less than 1"),
        (
            "text",
            ["task=generation", "training.augment.token_drop=0.1"],
            "token_drop: a text is also what its model learns to write; leave it out",
        ),
        (
            "audio",
            ["task=transcription", "training.augment.shift=0.1"],
            "shift: it could take away words.*model.arguments.augment",
        ),
        (
            "image",
            ["task=regression", "training.augment.mixup=0.2"],
            "mixup: the number of a mixture of two items is not known",
        ),
        (
            "image",
            ["training.privacy.epsilon=8", FLIP],
            "privacy and augment exclude each other: private steps take each row as",
        ),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, medium, overrides, message):
    with pytest.raises(SpecError, match=message):
        load(tmp_path, medium, *overrides)


def test_numbers_may_be_learned_of_images_that_are_cropped(tmp_path):
    load(tmp_path, "image", "task=regression", "training.augment.crop=0.1")


@pytest.mark.parametrize(
    ("medium", "task", "fields"),
    [
        ("image", "classification", {"flip", "crop", "colour", "mixup"}),
        ("image", "regression", {"flip", "crop", "colour"}),
        ("text", "classification", {"token_drop"}),
        ("text", "generation", set()),
        ("audio", "classification", {"shift", "gain", "mask"}),
        ("audio", "transcription", set()),
    ],
)
def test_what_is_suggested_suits_medium_and_task(tmp_path, medium, task, fields):
    usual = suggested(medium, task)
    assert usual.keys() == fields
    overrides = [f"training.augment.{name}={value}" for name, value in usual.items()]
    spec = load(tmp_path, medium, f"task={task}", *overrides)
    assert (spec.training.augment or AugmentSpec()).model_dump() == usual


@pytest.mark.parametrize("overrides", [(), (FLIP,)])
def test_the_code_that_changes_items_is_in_the_key_where_it_is_used(
    tmp_path, overrides
):
    roots = training_roots(load(tmp_path, "image", *overrides), "cnn")
    assert ("headrace.media.image.augmentation" in roots) == bool(overrides)
