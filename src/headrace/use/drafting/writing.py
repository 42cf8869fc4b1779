"""The files of a pipeline that was made from its data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from headrace.media import medium as medium_named
from headrace.signs import UNSEEN, visible
from headrace.spec import TrainingSpec, least_steps, recipe_of
from headrace.use.drafting.found import Found, rows_told

CLASSES_SHOWN = 20
# Few rows need more epochs for a network to settle, many rows need fewer.
MOST_STEPS = 12_000
FEWEST_EPOCHS, MOST_EPOCHS = 3, 200
UNBALANCED = 0.8
# Always saying the larger of two classes gets below 0.5.
MACRO_F1 = 0.6
# What Markdown takes for more than text.
_MARKS = re.compile(r"[\\`*\[\]<>|&]")


def pipeline_text(name: str, medium: str, found: Found) -> str:
    """The text of ``pipeline.toml``."""
    return "\n".join([*_head(name, found), *_tables(medium, found), ""])


def epochs_for(recipe: TrainingSpec, rows: int, least_steps: int) -> int:
    """How many epochs so few or so many rows need; 0: the recipe's."""
    steps = -(-rows // recipe.batch_size)
    least = min(MOST_EPOCHS, -(-least_steps // steps))
    most = max(FEWEST_EPOCHS, MOST_STEPS // steps)
    epochs = min(max(recipe.epochs, least), max(most, least))
    return 0 if epochs == recipe.epochs else epochs


def _head(name: str, found: Found) -> Iterator[str]:
    label, share = found.majority
    yield f"# headrace run {name}"
    yield (
        f"# {found.rows('train'):,} rows to learn from and {found.rows('test'):,} to "
        f"test on, {len(found.classes)} classes."
    )
    yield f"# Always saying {label!r} would be right for {share:.1%} of the test rows."
    for label, rows in found.left_out.items():
        yield f"# Left out: {label!r}, which has {rows_told(rows)}."
    yield ""


def _tables(medium: str, found: Found) -> Iterator[str]:
    data, shape = found.data, found.snapshot.description.shape
    yield f"medium = {_value(medium)}"
    yield ""
    yield "[data]"
    yield f"source = {_value(data.source)}"
    if not medium_named(medium).PADDED:
        yield f"shape = {_value(list(shape))}"
    said = ("sample_rate_hz", "seconds", "item", "label", "group", "where")
    for field in said:
        value = getattr(data, field)
        if value is not None:
            yield f"{field} = {_value(value)}"
    if data.test_groups:
        yield f"test_groups = {_value(list(data.test_groups))}"
    yield f"classes = {_value(list(found.classes))}"
    yield ""
    builder = medium_named(medium).BEST_BUILDER
    yield from ("[model]", f"builder = {_value(builder)}", "")
    recipe = TrainingSpec.model_validate(recipe_of(medium, builder))
    if epochs := epochs_for(recipe, found.rows("train"), least_steps(builder)):
        chosen = f"epochs = {epochs}  # for {found.rows('train'):,} rows"
        yield from ("[training]", chosen, "")
    yield "[[gates]]"
    yield 'name = "accuracy"'
    yield f"threshold = {found.accuracy_gate:g}"
    if found.majority[1] > UNBALANCED:
        yield from ("", "[[gates]]", 'name = "macro_f1"', 'metric = "test_macro_f1"')
        yield f"threshold = {MACRO_F1}"
    for gate in ("finite", "size", "champion"):
        yield from ("", "[[gates]]", f'name = "{gate}"')


def _value(value: Any) -> str:
    """A value as TOML writes it, in one line, and with nothing in it unseen."""
    text = json.dumps(value, ensure_ascii=False)
    return UNSEEN.sub(lambda found: f"\\U{ord(found[0]):08x}", text)


def _shown(text: str) -> str:
    """A text of the data as Markdown shows it: as it is, in one line."""
    return _MARKS.sub(r"\\\g<0>", visible(text).replace("\n", "\\n"))


def _code(text: str) -> str:
    """A text of the data as Markdown's code."""
    return (
        f"`{visible(text)}`".replace("\n", "\\n") if "`" not in text else _shown(text)
    )


def readme_text(name: str, medium: str, found: Found) -> str:
    """The text of ``README.md``: a model card to go on writing."""
    data, shape = found.data, found.snapshot.description.shape
    label, share = found.majority
    sizes = sorted(
        ((found.counts["train", one], found.counts["test", one], one))
        for one in found.classes
    )[::-1]
    rows = [
        f"| {_shown(one)} | {train:,} | {test:,} |"
        for train, test, one in sizes[:CLASSES_SHOWN]
    ]
    more = len(sizes) - CLASSES_SHOWN
    left = [f"{more} more classes are not shown.", ""] if more > 0 else []
    form = " x ".join(map(str, shape))
    lines = [
        f"# {name}",
        "",
        f"Tells {len(found.classes)} classes of {medium} apart. Say here what it is "
        "for, and what not.",
        "",
        "## Data",
        "",
        f"From {_code(data.source)}; each item is brought to {form} "
        f"{medium_named(medium).UNITS}.",
        *[f"- {_shown(note)}" for note in found.snapshot.notes],
        "",
        "| class | train | test |",
        "|---|---|---|",
        *rows,
        "",
        *left,
        f"Always saying {_code(label)} would be right for {share:.1%} of the test "
        f"rows; the gate asks for {found.accuracy_gate:g}, {_reason(found)}.",
        "",
        "## Limits",
        "",
        "It answers with one of its classes whatever it is given. Say here where the "
        "data comes from, whom it stands for, and under which licence.",
        "",
    ]
    return "\n".join(lines)


def _reason(found: Found) -> str:
    if not found.has_few_test_rows:
        return "three standard errors more"
    return (
        f"half of the way to 1: three standard errors take "
        f"{found.rows_for_the_gate:,} test rows"
    )
