"""Two families of models are trained, and the better one on validation rows is kept."""

import json
import math
import re

import pytest

from headrace.errors import Refusal, SpecError, UsageError
from headrace.pipeline import PipelineSpec
from headrace.pipeline.files import override
from headrace.planning import Plan
from headrace.planning.candidates import candidates_of, check_choice, choice_of
from headrace.records import ChoiceRecord
from headrace.use.tuning import check_search
from headrace.use.tuning.space import parse_search

ROWS = {"train": 180, "val": 18}


def with_another(trained, *overrides):
    return override(trained.spec, ("model.against=cnn", *overrides))


def losses(trained, named, other):
    """The trainings of both candidates with these validation losses."""
    return {
        name: (
            3,
            trained.good.model_copy(
                update={
                    "metrics": {**trained.good.metrics, "val_loss": loss},
                    "run_id": name,
                }
            ),
        )
        for name, loss in (("mlp", named), ("cnn", other))
    }


def test_the_other_family_has_the_recipe_that_new_would_write(trained):
    spec = with_another(trained, "training.seed=7", "training.devices=2")
    named, other = candidates_of(spec, ROWS)
    assert named.model.model_dump() == {"builder": "mlp", "arguments": {"hidden": [16]}}
    assert named.training == spec.training
    assert other.model.model_dump() == {"builder": "cnn", "arguments": {}}
    recipe = other.training
    assert (recipe.learning_rate, recipe.schedule) == (0.05, "cosine")
    assert recipe.epochs == 200, "two steps each, and few rows need a thousand"
    assert (recipe.seed, recipe.devices) == (7, 2)
    assert recipe.patience == 0
    assert recipe.augment.model_dump() == {"crop": 0.1}
    (_, many) = candidates_of(spec, {"train": 50_000})
    assert (many.training.epochs, many.training.augment) == (18, None)


def test_the_other_family_is_as_patient_and_varies_items_as_the_file_says(trained):
    table = "training.augment={ mixup = 0.2 }"
    spec = with_another(trained, "training.patience=2", table)
    _, other = candidates_of(spec, ROWS)
    assert other.training.patience == 133, "two thirds of its epochs, as of the three"
    assert other.training.augment == spec.training.augment


def test_a_pipeline_with_one_model_is_what_it_was(trained):
    assert candidates_of(trained.spec, ROWS) == (trained.spec,)
    assert "against" not in trained.spec.model_dump()["model"]
    assert "against" not in trained.spec.model.facts


@pytest.mark.parametrize(
    ("named", "other", "kept"),
    [
        (0.5, 0.4, "cnn"),
        (0.4, 0.5, "mlp"),
        (0.5, 0.5, "mlp"),
        (math.nan, 0.5, "cnn"),
        (0.5, math.nan, "mlp"),
    ],
)
def test_the_lower_validation_loss_is_kept_and_of_equal_ones_the_named(
    trained, named, other, kept
):
    choice = choice_of(losses(trained, named, other))
    assert (choice.kept, choice.run_id) == (kept, kept)
    assert [one.builder for one in choice.candidates] == ["mlp", "cnn"]
    assert {one.score for one in choice.candidates} == {"accuracy"}
    assert str(choice).endswith(f": {kept} is kept")
    assert str(choice).startswith(f"mlp val loss {named:.4f}, accuracy ")


@pytest.mark.parametrize("kept", ["mlp", "cnn"])
def test_a_choice_is_found_again_and_its_model_goes_on(trained, done, kept):
    spec = with_another(trained)
    plan = Plan(spec, trained.folder, trained.home)
    data = trained.snapshot, trained.contract
    assert plan.last.contract
    assert plan.last.training is None
    assert not plan.settle(*data)
    key = plan.choose(*data)
    other = 0.0 if kept == "cnn" else 9.0
    plan.save(key, choice_of(losses(trained, 0.5, other)), 0.0)
    again = Plan(spec, trained.folder, trained.home)
    assert again.settle(*data)
    assert (again.builder, again.spec.model.against) == (kept, "")
    assert again.choice.kept == kept
    assert (again.last.training is None) == (kept == "cnn"), "mlp was trained before"
    changed = with_another(trained, "training.seed=3")
    assert Plan(changed, trained.folder, trained.home).choose(*data) != key


def test_a_candidate_has_the_key_that_it_would_have_alone(trained):
    spec = with_another(trained)
    data = trained.snapshot, trained.contract
    alone = Plan(trained.spec, trained.folder, trained.home).train(*data)
    plan = Plan(spec, trained.folder, trained.home)
    keys = []
    for candidate in plan.candidates(trained.snapshot):
        plan.spec = candidate
        sent = PipelineSpec.model_validate(json.loads(candidate.model_dump_json()))
        there = Plan(sent, trained.folder, trained.home).train(*data)
        assert there == plan.train(*data), "a worker of another pool trains the same"
        keys.append(there.fingerprint)
    assert keys[0] == alone.fingerprint
    assert keys[1] != alone.fingerprint
    assert plan.find(plan.choose(*data), ChoiceRecord) is None


@pytest.mark.parametrize(
    ("against", "message"),
    [
        ("resnext", "'resnext' is no family for classification of image that"),
        ("text_cnn", "'text_cnn' is no family for classification of image that"),
        (
            "pretrained",
            "'pretrained' is no family for classification of image that needs no "
            "arguments; families: cnn, mlp, resnet",
        ),
        ("mlp", "'mlp' is the model itself; name another family"),
    ],
)
def test_what_cannot_be_chosen_from_is_refused(trained, against, message):
    with pytest.raises(SpecError, match=re.escape(f"model.against: {message}")):
        override(trained.spec, (f"model.against={against}",))


def test_a_private_training_is_not_spent_twice(trained):
    with pytest.raises(SpecError, match="each would spend the epsilon"):
        with_another(trained, "training.privacy.epsilon=3")


def test_a_search_is_for_one_family(trained):
    space = parse_search(["training.learning_rate=log(0.01,1)"])[1]
    with pytest.raises(UsageError, match="a search is for one family"):
        check_search(space, with_another(trained), trained.folder)


def test_without_validation_rows_or_on_several_machines_nothing_is_chosen(
    trained, monkeypatch
):
    spec = with_another(trained)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    check_choice(spec, ROWS)
    with pytest.raises(Refusal, match="there are no validation rows to choose by"):
        check_choice(spec, {"train": 180})
    workers = {"cluster": {"worker": ["a:1", "b:1"]}}
    task = {"task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(workers | task))
    with pytest.raises(UsageError, match="TF_CONFIG names several machines"):
        check_choice(spec, ROWS)
