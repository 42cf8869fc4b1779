"""Models of test rows: what they learn from, and when there are none."""

import numpy as np
import pytest

from headrace.stages.evaluation import parts
from headrace.stages.evaluation.second import SecondOpinion
from headrace.tasks.forms import AnsweredRows

pytestmark = pytest.mark.system


def opinion(trained, **changed):
    """A second opinion on labels of ``blobs``, by a recipe that learns from few rows.

    Args:
        trained: the data, and the model that is judged.
        changed: fields of the recipe.
    """
    recipe = {"epochs": 40, "batch_size": 4, "learning_rate": 0.1, **changed}
    training = trained.spec.training.model_copy(update=recipe)
    spec = trained.spec.model_copy(update={"training": training})
    place = trained.snapshot, trained.contract, trained.good, trained.folder
    return SecondOpinion(spec, parts.Trained(*place))


def part_of(trained, split):
    """All rows of a split, in one part."""
    place = trained.snapshot, trained.contract, trained.good, trained.folder
    rows = getattr(parts.Trained(*place), split)
    read = [part for part in rows if len(part.items)]
    items, targets = (np.concatenate([r[n] for r in read]) for n in (0, 1))
    names = [name for r in read for name in r.names]
    outputs = np.zeros((len(items), 3), np.float32)
    return AnsweredRows(split, items, targets, names, outputs, np.arange(len(items)))


@pytest.mark.parametrize("split", ["test", "val"])
def test_it_learns_from_test_alone_and_answers_rows_that_it_did_not_see(trained, split):
    part = part_of(trained, split)
    second = opinion(trained)
    answers = second(part)
    assert answers is not None
    assert (answers.argmax(axis=1) == part.targets).mean() > 0.7
    assert not second.findings


def test_each_test_row_is_answered_by_the_model_of_the_other_half(trained):
    part, second = part_of(trained, "test"), opinion(trained, epochs=1)
    whole, count = second(part), len(part.items) // 2
    assert whole is not None
    half = np.asarray(second._in_first)
    assert 0.2 < half.mean() < 0.8
    tail = part.chosen(part.places >= count)
    np.testing.assert_allclose(second(tail), whole[count:], atol=1e-6)


def test_large_models_are_fitted_only_at_full_depth(trained):
    part = part_of(trained, "test")
    large = trained.good.model_copy(
        update={"metrics": {**trained.good.metrics, "parameters": 1e12}}
    )
    place = trained.snapshot, trained.contract, large, trained.folder
    second = SecondOpinion(trained.spec, parts.Trained(*place))
    assert second(part) is None
    [finding] = second.findings
    assert 'depth = "full"' in finding.message
    assert "not listed" in finding.message
    assert "test rows x epochs x parameters: 1.8e+14" in finding.message

    full = trained.spec.evaluation.model_copy(update={"depth": "full"})
    spec = trained.spec.model_copy(update={"evaluation": full})
    assert SecondOpinion(spec, parts.Trained(*place))(part) is not None


def test_how_fast_the_machine_was_changes_nothing(trained):
    part, metrics = part_of(trained, "test"), trained.good.metrics
    slow = {"metrics": {**metrics, "epoch_cpu_seconds": 3600.0}}
    training = trained.good.model_copy(update=slow)
    place = trained.snapshot, trained.contract, training, trained.folder
    assert SecondOpinion(trained.spec, parts.Trained(*place))(part) is not None


def test_a_training_that_fails_is_no_second_opinion(trained):
    second = opinion(trained, learning_rate=1e30)
    assert second(part_of(trained, "test")) is None
    assert "could not be fitted" in second.findings[0].message
