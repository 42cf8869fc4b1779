"""The models that a run trains: the named one and, where it is told to, another family.

The other family has the recipe, the epochs and the augmentation that ``headrace new``
writes for so many rows, which are from here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from headrace.errors import Refusal, UsageError
from headrace.pipeline import PipelineSpec, TrainingSpec
from headrace.pipeline.augment import suggested, used_by_new
from headrace.pipeline.families import default_builder, least_steps, recipe_of
from headrace.pipeline.tables import ModelSpec
from headrace.records import CandidateRecord, ChoiceRecord, TrainingRecord
from headrace.tasks import task

FEW_ROWS = 10_000  # are augmented
# Few rows need more epochs for a network to settle, many rows need fewer.
MOST_STEPS = 12_000
FEWEST_EPOCHS, MOST_EPOCHS = 3, 200
# Validation losses of few rows vary from epoch to epoch.
LEAST_PATIENCE = 10


def epochs_for(
    recipe: TrainingSpec, rows: int, least_steps: int, most_epochs: int = 0
) -> int:
    """How many epochs so few or so many rows need; 0 if as many as in the recipe."""
    steps = -(-rows // recipe.batch_size)
    least = min(most_epochs or MOST_EPOCHS, -(-least_steps // steps))
    most = max(FEWEST_EPOCHS, MOST_STEPS // steps)
    epochs = min(max(recipe.epochs, least), max(most, least))
    return 0 if epochs == recipe.epochs else epochs


def candidates_of(
    spec: PipelineSpec, rows: Mapping[str, int]
) -> tuple[PipelineSpec, ...]:
    """The pipelines that a run trains, each with one model; the named one is first.

    Args:
        spec: of the pipeline.
        rows: of each split.
    """
    against = spec.model.against
    if not against:
        return (spec,)
    named = spec.model.builder or default_builder(spec.medium, spec.task)
    model = spec.model.model_copy(update={"builder": named, "against": ""})
    recipes = [
        recipe_of(spec.medium, named, spec.task, spec.model.arguments),
        recipe_of(spec.medium, against, spec.task),
    ]
    own = {"epochs", "patience"}.union(*recipes)
    shared = spec.training.model_dump(exclude=own)
    learned = max(1, rows.get("train", 0))
    if not spec.training.augment and learned <= FEW_ROWS:
        usual = suggested(spec.medium, spec.task)
        used = used_by_new(spec.medium, spec.task)
        shared["augment"] = {name: usual[name] for name in used if name in usual}
    training = TrainingSpec.model_validate({**shared, **recipes[1]})
    epochs = epochs_for(training, learned, least_steps(against)) or training.epochs
    updates = {"epochs": epochs}
    if patience := spec.training.patience:
        scaled = round(epochs * patience / spec.training.epochs)
        updates["patience"] = max(LEAST_PATIENCE, scaled)
    training = training.model_copy(update=updates)
    other = {"model": ModelSpec(builder=against), "training": training}
    return spec.model_copy(update={"model": model}), spec.model_copy(update=other)


def check_choice(spec: PipelineSpec, rows: Mapping[str, int]) -> None:
    """Refuse to choose where the candidates cannot be compared, or trained.

    Args:
        spec: of the pipeline, which names two families.
        rows: of each split.

    Raises:
        Refusal: there are no validation rows.
        UsageError: the training is on several machines.
    """
    from headrace.stages.fitting import cluster

    named = f"model.against = {spec.model.against!r}"
    if not rows.get("val", 0):
        raise Refusal(
            f"{named}, and there are no validation rows to choose by.",
            "Give the data a split called val, or leave model.against out.",
        )
    if cluster.has_peers():
        raise UsageError(
            f"{named}, and {cluster.VARIABLE} names several machines, which train one "
            "model.",
            "Leave model.against out, or train on one machine.",
        )


def choice_of(trained: Mapping[str, tuple[int, TrainingRecord]]) -> ChoiceRecord:
    """The candidate with the lowest validation loss; of equal ones the first.

    Args:
        trained: by builder, the most epochs of its recipe and its training.
    """
    candidates = [_candidate(name, *facts) for name, facts in trained.items()]
    finite = [one for one in candidates if math.isfinite(one.val_loss)]
    kept = min(finite or candidates, key=lambda one: one.val_loss)
    return ChoiceRecord(
        kept=kept.builder, run_id=kept.run_id, candidates=tuple(candidates)
    )


def _candidate(name: str, epochs: int, training: TrainingRecord) -> CandidateRecord:
    metrics, score = training.metrics, task(training.description.task).training_score
    return CandidateRecord(
        builder=name,
        val_loss=metrics["val_loss"],
        score=score,
        val_score=metrics[f"val_{score}"],
        epochs=int(metrics.get("stopped_epoch", epochs)),
        megabytes=round(training.model_bytes / 1e6, 3),
        run_id=training.run_id,
    )
