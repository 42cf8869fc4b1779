"""How long a pipeline trains that ``headrace new`` writes: epochs and patience."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headrace.spec import TrainingSpec
from headrace.tasks.forms import Survey

# Few rows need more epochs for a network to settle, many rows need fewer.
MOST_STEPS = 12_000
FEWEST_EPOCHS, MOST_EPOCHS = 3, 200
# Validation losses of few rows vary from epoch to epoch.
LEAST_PATIENCE = 10
LEAST_VAL_ROWS = 10


def epochs_for(
    recipe: TrainingSpec, rows: int, least_steps: int, most_epochs: int = 0
) -> int:
    """How many epochs so few or so many rows need; 0 if as many as in the recipe."""
    steps = -(-rows // recipe.batch_size)
    least = min(most_epochs or MOST_EPOCHS, -(-least_steps // steps))
    most = max(FEWEST_EPOCHS, MOST_STEPS // steps)
    epochs = min(max(recipe.epochs, least), max(most, least))
    return 0 if epochs == recipe.epochs else epochs


def patience_for(epochs: int, share: float) -> int:
    """After how many epochs without a lower validation loss a training ends.

    Args:
        epochs: the most that there are.
        share: of them; see `Survey.patience`.
    """
    return max(LEAST_PATIENCE, round(epochs * share))


def training_lines(
    recipe: TrainingSpec, survey: Survey, least_steps: int, rows: Mapping[str, int]
) -> Iterator[str]:
    """The table ``[training]`` of a pipeline file; nothing where the recipe suits.

    Args:
        recipe: of the family.
        survey: of the data.
        least_steps: that family and task need.
        rows: of each split.
    """
    learned = survey.rows["train"]
    epochs = epochs_for(
        recipe, survey.examples or learned, least_steps, survey.most_epochs
    )
    is_patient = survey.patience > 0 and rows.get("val", 0) >= LEAST_VAL_ROWS
    if epochs or is_patient:
        yield from ("", "[training]")
    if epochs:
        yield f"epochs = {epochs}  # {'at most, ' * is_patient}for {learned:,} rows"
    if is_patient:
        patience = patience_for(epochs or recipe.epochs, survey.patience)
        yield f"patience = {patience}  # epochs without a lower validation loss"
