"""New pipelines, written from their data: ``headrace new``; and new projects.

The data is ingested as in a run, so that the file describes what was read. Fields that
the data does not determine keep their defaults.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from headrace.display.pages import render
from headrace.display.signs import visible
from headrace.errors import UsageError
from headrace.imports.extensions import task_default
from headrace.media import medium as medium_named
from headrace.models import arguments_of, builder_names
from headrace.pipeline import DataSpec, TrainingSpec, load_spec
from headrace.pipeline.augment import suggested, used_by_new
from headrace.pipeline.checks import shorten
from headrace.pipeline.data import fields_of
from headrace.pipeline.families import least_steps, media_names, recipe_of, task_names
from headrace.pipeline.files import FILE_NAME
from headrace.pipeline.folders import find_pipeline
from headrace.pipeline.toml import as_toml
from headrace.planning.candidates import FEW_ROWS, epochs_for
from headrace.records import DEFAULT_TASK
from headrace.settings import Settings
from headrace.state.disk import disk_errors
from headrace.state.home import Home
from headrace.tasks import task as task_named
from headrace.use.backbones import FAMILY
from headrace.use.backbones.proposing import Proposal, best_builder, with_backbone
from headrace.use.first_look import POSSIBLE_GROUPS
from headrace.use.inspecting import Inspection, inspect

_IGNORED = ".headrace/\n__pycache__/\n"
_README = """# {project}

Run `headrace run {name}`, and look at the result with `headrace up`. The pipeline is in
`pipelines/{name}`; `headrace new` writes one for your own data.
"""
_FIELDS = (
    *("item", "label", "group", "where", "encoding", "separator"),
    "label_separator",
)
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_WIDTH = 88  # of comments


def draft(
    name: str, medium: str, task: str, data: DataSpec, settings: Settings
) -> tuple[Path, Inspection]:
    """Inspect data, and write the folder of a pipeline for it.

    Args:
        name: of the pipeline.
        medium: of its items.
        task: what is learned of them.
        data: the source, and the fields that the user has given.
        settings: where the pipelines and the store are.

    Returns:
        the folder, and what was read of the data.

    Raises:
        UsageError: the name, the medium or the task is invalid, no family is for both,
            or the folder exists.
        NotFoundError: there is no such data.
        SourceError: it is damaged, or no item of it can be decoded.
        Refusal: it is too little to learn from.
        DependencyError: it cannot be reached, or the disk is full.
    """
    folder = settings.project / "pipelines" / name
    _check(name, medium, task, folder)
    if data.separator and not medium_named(medium).IS_TEXT:
        raise UsageError(
            f"data.separator = {data.separator!r} parts texts, and the medium is "
            f"{medium}.",
            "Leave it out.",
        )
    inspection = inspect(data, medium, task, settings, name)
    inspection, proposal = with_backbone(inspection, Home(settings))
    sentences = [*_sentences(inspection)]
    head = [_comment(line) for line in (f"headrace run {name}", *sentences)]
    text = "\n".join([*head, "", *_tables(inspection, proposal), ""])
    files = {FILE_NAME: text, "README.md": _readme(name, inspection, sentences)}
    write_pipeline(folder, files)
    return folder, inspection


def _check(name: str, medium: str, task: str, folder: Path) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{shorten(name)!r} is not a valid pipeline name.",
            "Use small letters, digits, - and _, a letter first.",
        )
    if medium not in media_names():
        raise UsageError(
            f"There is no medium {medium!r}.", f"Media: {', '.join(media_names())}."
        )
    if task not in task_names():
        raise UsageError(
            f"There is no task {task!r}.", f"Tasks: {', '.join(task_names())}."
        )
    takes = task_named(task).takes
    fitting = [name for name in media_names() if builder_names(name, takes)]
    if medium not in fitting:
        raise UsageError(
            f"No family of models is for {task} of {medium}.",
            f"Families for {task} are of {', '.join(fitting) or 'no medium'}.",
        )
    if folder.exists():
        raise UsageError(
            f"{folder} is there already.", "Choose another name, or delete that folder."
        )


def _tables(inspection: Inspection, proposal: Proposal | None) -> Iterator[str]:
    data, survey = inspection.data, inspection.survey
    description = inspection.snapshot.description
    medium, task = medium_named(description.medium), description.task
    yield f"medium = {as_toml(description.medium)}"
    if task != DEFAULT_TASK:
        yield f"task = {as_toml(task)}"
    fields: dict[str, Any] = {"source": data.source}
    if not medium.PADDED:
        fields["shape"] = list(description.shape)
    named = (*fields_of(description.medium), *_FIELDS)
    fields |= {name: getattr(data, name) or None for name in named}
    fields["header"] = data.header  # 0 says something
    fields["test_groups"] = list(data.test_groups) or None
    yield from _table("[data]", {**fields, **survey.fields})
    possible = [one for one in survey.findings if one.check == POSSIBLE_GROUPS]
    yield from (_comment(one.message) for one in possible)
    builder, against = best_builder(description), None
    size: dict[str, Any] = {"name": "size"}
    chosen: dict[str, Any] = {}
    if proposal:
        builder, size["threshold"] = FAMILY, proposal.megabytes
        chosen = {"preset": proposal.name, "train": "head"}
        against = proposal.against or None
    yield from _table("[model]", {"builder": builder, "against": against})
    taken = arguments_of(builder) & survey.arguments.keys()
    chosen |= {name: survey.arguments[name] for name in sorted(taken)}
    if chosen:
        yield from _table("[model.arguments]", chosen)
    least = max(least_steps(builder), survey.least_steps)
    recipe = TrainingSpec.model_validate(recipe_of(description.medium, builder, task))
    rows, is_frozen = survey.rows["train"], proposal is not None
    examples = survey.examples or rows
    if epochs := epochs_for(recipe, examples, least, survey.most_epochs):
        yield from ("", "[training]", f"epochs = {epochs}  # for {rows:,} rows")
    yield from _augmentation(description.medium, task, rows, is_frozen=is_frozen)
    champion: dict[str, Any] = {"name": "champion"}
    if gain := task_default(task, "GAIN"):
        champion["arguments"] = {"gain": gain}
    for gate in (*survey.gates, {"name": "finite"}, size, champion):
        yield from _table("[[gates]]", gate)


def _augmentation(
    medium: str, task: str, rows: int, *, is_frozen: bool = False
) -> Iterator[str]:
    """A table of what suits few rows; what its user must judge of is in comments.

    All of it is where a frozen backbone is computed once for each item.
    """
    used = used_by_new(medium, task) if rows <= FEW_ROWS and not is_frozen else ()
    if usual := suggested(medium, task):
        yield "\n# Augmentation: use what does not change the meaning of an item."
        yield f"{'' if used else '# '}[training.augment]"
        for name, value in usual.items():
            yield f"{'' if name in used else '# '}{name} = {as_toml(value)}"


def _table(head: str, fields: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", head)
    for name, value in fields.items():
        if value is not None:
            yield f"{name} = {as_toml(value)}"


def _comment(line: str) -> str:
    return textwrap.fill(
        line,
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _sentences(inspection: Inspection) -> Iterator[str]:
    """What is found out, in one line each."""
    rows, survey = inspection.survey.rows, inspection.survey
    things = task_named(inspection.snapshot.description.task).judge.THINGS
    yield f"{rows['train']:,} {things} to learn from and {rows['test']:,} to test on."
    for text in survey.sentences:
        line = visible(text).replace("\n", "\\n")
        yield f"{line[0].upper()}{line[1:]}."


def _readme(name: str, inspection: Inspection, sentences: Sequence[str]) -> str:
    """A model card, for the user to complete."""
    snapshot = inspection.snapshot
    data, surveyor = snapshot.description, task_named(snapshot.description.task).survey
    page = render(
        "pipeline.md",
        name=name,
        summary=surveyor.SUMMARY,
        source=inspection.data.source,
        form=" x ".join(map(str, data.shape)),
        units=medium_named(data.medium).UNITS,
        notes=snapshot.notes,
        sentences=sentences,
        limits=surveyor.LIMITS,
    )
    return f"{page}\n"


def create_project(folder: Path, name: str, settings: Settings) -> Path:
    """Create a project with a copy of one of the pipelines that have a name.

    Args:
        folder: a new one, or one without the files that are written.
        name: of the pipeline.

    Returns:
        the folder of the project's own pipeline.

    Raises:
        UsageError: one of the files is there already, or there can be no such folder.
        NotFoundError: there is no such pipeline.
        DependencyError: the disk is full.
    """
    source = find_pipeline(name, settings)
    try:
        with disk_errors(str(folder)):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be made: {error.strerror}.", "Name another folder."
        ) from None
    names = ("pipelines", "README.md", ".gitignore")
    if present := [name for name in names if (folder / name).exists()]:
        raise UsageError(
            f"{folder} already has {', '.join(present)}, which would be written.",
            "Name a new folder: headrace init FOLDER. To add a pipeline to a project, "
            "use `headrace new`.",
        )
    target = folder / "pipelines" / source.name
    with disk_errors(str(folder)):
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        text = _README.format(project=folder.absolute().name, name=source.name)
        (folder / "README.md").write_text(text, encoding="utf-8")
        (folder / ".gitignore").write_text(_IGNORED, encoding="utf-8")
    return target


def write_pipeline(folder: Path, files: Mapping[str, str]) -> None:
    """Write the folder of a pipeline.

    Args:
        folder: a new one in ``pipelines/``.
        files: the text of each.

    Raises:
        SpecError: the pipeline file is invalid; nothing is written.
        DependencyError: the disk is full.
    """
    with disk_errors(str(folder)):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as place:
            made = Path(place) / folder.name
            made.mkdir()
            for file, text in files.items():
                (made / file).write_text(text, encoding="utf-8")
            load_spec(made)
            shutil.move(made, folder)
