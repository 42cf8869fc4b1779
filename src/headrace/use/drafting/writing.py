"""The files of a pipeline that was made from its data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from headrace.media import medium as medium_named
from headrace.models import arguments_of
from headrace.records import DEFAULT_TASK
from headrace.signs import UNSEEN, as_code, as_markdown
from headrace.spec import TrainingSpec
from headrace.spec.pipeline import least_steps, recipe_of
from headrace.use.drafting.found import Found

# Few rows need more epochs for a network to settle, many rows need fewer.
MOST_STEPS = 12_000
FEWEST_EPOCHS, MOST_EPOCHS = 3, 200
_FIELDS = ("item", "label", "group", "where")


def pipeline_text(name: str, found: Found) -> str:
    """The text of ``pipeline.toml``."""
    head = [f"# headrace run {name}", *found.survey.head, ""]
    return "\n".join([*head, *_tables(found), ""])


def epochs_for(recipe: TrainingSpec, rows: int, least_steps: int) -> int:
    """How many epochs so few or so many rows need; 0: the recipe's."""
    steps = -(-rows // recipe.batch_size)
    least = min(MOST_EPOCHS, -(-least_steps // steps))
    most = max(FEWEST_EPOCHS, MOST_STEPS // steps)
    epochs = min(max(recipe.epochs, least), max(most, least))
    return 0 if epochs == recipe.epochs else epochs


def _tables(found: Found) -> Iterator[str]:
    data, description = found.data, found.snapshot.description
    medium, task = description.medium, description.task
    yield f"medium = {_value(medium)}"
    if task != DEFAULT_TASK:
        yield f"task = {_value(task)}"
    fields: dict[str, Any] = {"source": data.source}
    if not medium_named(medium).PADDED:
        fields["shape"] = list(description.shape)
    names = (*medium_named(medium).FIELDS, *_FIELDS)
    fields |= {name: getattr(data, name) or None for name in names}
    fields["test_groups"] = list(data.test_groups) or None
    yield from _table("[data]", {**fields, **found.survey.fields})
    survey, builder = found.survey, medium_named(medium).BEST_BUILDER
    yield from _table("[model]", {"builder": builder})
    if taken := arguments_of(builder) & survey.arguments.keys():
        chosen = {name: survey.arguments[name] for name in sorted(taken)}
        yield from _table("[model.arguments]", chosen)
    recipe = TrainingSpec.model_validate(recipe_of(medium, builder, task))
    rows, least = survey.rows["train"], max(least_steps(builder), survey.least_steps)
    if epochs := epochs_for(recipe, rows, least):
        yield from ("", "[training]", f"epochs = {epochs}  # for {rows:,} rows")
    common = [{"name": name} for name in ("finite", "size", "champion")]
    for gate in (*found.survey.gates, *common):
        yield from _table("[[gates]]", gate)


def _table(head: str, fields: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", head)
    for name, value in fields.items():
        if value is not None:
            yield f"{name} = {_value(value)}"


def _value(value: Any) -> str:
    """A value as TOML writes it, in one line, and with nothing in it unseen."""
    text = json.dumps(value, ensure_ascii=False)
    return UNSEEN.sub(lambda found: f"\\U{ord(found[0]):08x}", text)


def readme_text(name: str, found: Found) -> str:
    """The text of ``README.md``: a model card to go on writing."""
    description, survey = found.snapshot.description, found.survey
    form = " x ".join(map(str, description.shape))
    summary = survey.summary.format(medium=description.medium)
    lines = [
        f"# {name}",
        "",
        f"{summary} Say here what it is for, and what not.",
        "",
        "## Data",
        "",
        f"From {as_code(found.data.source)}; each item is brought to {form} "
        f"{medium_named(description.medium).UNITS}.",
        *[f"- {as_markdown(note)}" for note in found.snapshot.notes],
        "",
        *survey.readme,
        "",
        "## Limits",
        "",
        f"{survey.limits} Say here where the data comes from, whom it stands for, and "
        "under which licence.",
        "",
    ]
    return "\n".join(lines)
