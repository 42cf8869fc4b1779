"""What families of packages and gates say is checked, and called their own."""

import re

import pytest

from headrace.errors import SpecError
from headrace.pipeline import PipelineSpec, load_spec
from headrace.pipeline.families import least_steps

FILE = """
medium = "image"
data.source = "x"
gates = [{ name = "finite" }, { name = "even", kind = "spred" }]
"""


def spec_of(**tables):
    table = {"name": "pools", "medium": "image", "data": {"source": "x"}}
    return PipelineSpec.model_validate(
        {**table, "model": {"builder": "patches"}, **tables}
    )


def test_an_annotated_recipe_of_a_package_is_applied(extend):
    code = 'MEDIUM: str = "image"\nRECIPE: dict[str, object] = {"epochs": 4}\n'
    extend("models", "patches", code)
    assert spec_of().training.epochs == 4
    assert spec_of(training={"epochs": 5}).training.epochs == 5
    assert least_steps("patches") == 0


def test_a_family_for_any_medium_has_its_recipe(extend):
    extend("models", "patches", 'MEDIUM = ""\nRECIPE = {"epochs": 4}\n')
    assert spec_of().training.epochs == 4


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"epoch": 4}, "RECIPE has the unknown key epoch. Did you mean epochs?"),
        ({"epochs": 0}, "RECIPE has epochs = 0: Input should be greater"),
    ],
)
def test_a_wrong_recipe_is_a_fault_of_its_module(extend, recipe, message):
    extend("models", "patches", f'MEDIUM = "image"\nRECIPE = {recipe}\n')
    with pytest.raises(SpecError, match=re.escape(f"tidepool.patches: {message}")):
        spec_of()


@pytest.mark.parametrize(
    ("code", "name"), [("RECIPE = {}", "MEDIUM"), ('MEDIUM = "image"', "RECIPE")]
)
def test_a_family_without_what_it_must_have_is_refused(extend, code, name):
    extend("models", "patches", f"{code}\n")
    with pytest.raises(SpecError, match=f"{name} must be a literal.*it is missing"):
        spec_of()


def test_an_unknown_kind_of_gate_gets_the_nearest_name(extend, tmp_path):
    extend("gates", "spread")
    (tmp_path / "pipeline.toml").write_text(FILE)
    message = (
        "gates.1.kind = 'spred': there is no such kind of gate. Did you mean spread? "
        "Known: fairness, spread. "
        "A kind from a package needs that package installed."
    )
    with pytest.raises(SpecError, match=re.escape(message)):
        load_spec(tmp_path, name="pools")


def test_only_lists_of_labels_are_parted_by_a_separator():
    data = {"source": "x", "label_separator": "|"}
    with pytest.raises(ValueError, match=r"label_separator means nothing to class"):
        PipelineSpec.model_validate({"name": "news", "medium": "text", "data": data})


@pytest.mark.parametrize(
    ("task", "medium", "field"),
    [
        ("generation", "text", "calibrate"),
        ("regression", "image", "calibrate"),
        ("transcription", "audio", "label_smoothing"),
    ],
)
def test_a_field_that_means_nothing_to_a_task_is_refused(task, medium, field):
    fields = {"name": "one", "medium": medium, "task": task, "data": {"source": "x"}}
    value = {"calibrate": True, "label_smoothing": 0.1}[field]
    with pytest.raises(ValueError, match=f"{field} means nothing to the task {task}"):
        PipelineSpec.model_validate({**fields, "training": {field: value}})


def test_only_texts_are_parted_by_a_separator():
    table = {"name": "plays", "data": {"source": "x", "separator": "\n"}}
    assert PipelineSpec.model_validate({**table, "medium": "text"}).data.separator
    with pytest.raises(ValueError, match=r"data.separator means nothing to audio"):
        PipelineSpec.model_validate({**table, "medium": "audio"})


def test_only_images_are_resized_and_who_does_not_has_the_digests_of_before():
    table = {"name": "photos", "data": {"source": "x"}}
    plain = PipelineSpec.model_validate({**table, "medium": "image"})
    assert "resize" not in plain.model_dump_json()
    table["data"] = {"source": "x", "shape": [9, 9, 3], "resize": "pad"}
    photos = PipelineSpec.model_validate({**table, "medium": "image"})
    assert photos.model_dump()["data"]["resize"] == "pad"
    with pytest.raises(ValueError, match=r"data.resize means nothing to audio"):
        PipelineSpec.model_validate({**table, "medium": "audio"})
    with pytest.raises(ValueError, match="'crop', 'pad' or 'stretch'"):
        table["data"] = {"source": "x", "shape": [9, 9, 3], "resize": "fill"}
        PipelineSpec.model_validate({**table, "medium": "image"})


@pytest.mark.parametrize(
    ("train", "optimizer"),
    [("head", "sgd"), ("last:2", "adam"), ("all", "adam"), ("lora:8", "adam")],
)
def test_a_recipe_follows_an_argument_of_the_family(train, optimizer):
    model = {"builder": "pretrained", "arguments": {"preset": "a", "train": train}}
    data = {"source": "texts.csv"}
    spec = PipelineSpec(name="words", medium="text", data=data, model=model)
    assert spec.training.optimizer == optimizer
    model["arguments"].pop("train")
    spec = PipelineSpec(name="words", medium="text", data=data, model=model)
    assert spec.training.optimizer == "sgd"
