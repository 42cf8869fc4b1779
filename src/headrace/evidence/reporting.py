"""The report of a run, with pictures: a page of one file, and Markdown for Prefect.

Both are templates, which get the records of the run and what is added to them here.
"""

from __future__ import annotations

import base64
import json
import logging
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from headrace.errors import HeadraceError
from headrace.evidence.metrics import group_sentences, interval_lines, metric_rows
from headrace.explanations import why_not
from headrace.explanations.check import verdict_of
from headrace.explanations.showing import NAME, TITLE
from headrace.pipeline import PipelineSpec
from headrace.pipeline.files import fields_of
from headrace.pipeline.readme import read_readme, split_readme
from headrace.records import (
    ChoiceRecord,
    ContractRecord,
    EvaluationRecord,
    PromotionRecord,
    SnapshotRecord,
    StageReport,
    TrainingRecord,
)
from headrace.stages.evaluation.report import slice_tables
from headrace.stages.ingredients import FILE
from headrace.state.backbones import as_known
from headrace.state.home import Home
from headrace.state.tracking import Tracking
from headrace.tasks import Task, task
from headrace.use.comparison import ModelComparison, compare

log = logging.getLogger("headrace")
FOLDER = "pictures"
_CAPTIONS = {
    "curves": "Loss and score by epoch; the model has the weights of the epoch marked.",
    "groups": "The score of each group, with the interval of that group alone.",
    "robustness": "Robustness: the score of test items after changes that happen in "
    "use, with its interval, and the mean confidence.",
}
_PNG = b"\x89PNG\r\n\x1a\n"


class RunSoFar(Protocol):
    """A run as far as it has come; the result of a stage is None until there is one.

    Attributes:
        reports: of the stages that were begun.
    """

    reports: list[StageReport]
    snapshot: SnapshotRecord | None
    contract: ContractRecord | None
    training: TrainingRecord | None
    evaluation: EvaluationRecord | None
    promotion: PromotionRecord | None

    @property
    def spec(self) -> PipelineSpec:
        """The pipeline, with the model that was trained or kept."""

    @property
    def choice(self) -> ChoiceRecord | None:
        """Which model was kept; None where there was none to choose from."""

    @property
    def folder(self) -> Path | None:
        """The pipeline's folder, if it is at hand."""

    @property
    def version(self) -> int | None:
        """The version of its training; None if nothing was registered."""

    @property
    def overrides(self) -> tuple[str, ...]:
        """The fields of the law that it overrides."""


def contents(outcome: RunSoFar, links: Mapping[str, str], home: Home) -> dict[str, Any]:
    """The variables of the templates of a run's reports, in HTML and in Markdown.

    What MLflow cannot provide is logged and left out.
    """
    compared = None
    try:
        compared = _against_champion(outcome, home)
    except HeadraceError as error:
        log.warning("the report does not compare with the champion: %s", error)
    described = describe(outcome, links, compared, home.tracking)
    if outcome.training and outcome.training.backbone:
        licence = as_known(outcome.training.backbone, home).licence
        described["licence"] = licence or "unknown"
    return described


def describe(
    outcome: RunSoFar,
    links: Mapping[str, str],
    compared: ModelComparison | None,
    tracking: Tracking,
) -> dict[str, Any]:
    """The variables of the templates, without what only the ledger knows.

    Args:
        outcome: the run.
        links: pages that belong to it, by name.
        compared: the champion's version and that of the run.
        tracking: where the pictures and the record of the training are.
    """
    spec, training, evaluation = outcome.spec, outcome.training, outcome.evaluation
    learned, answers = task(spec.task), task(spec.task).answers
    metrics = evaluation.metrics if evaluation else {}
    slices = evaluation.slices if evaluation else {}
    both = compared.metrics if compared else {}
    champions = {name: values[0] for name, values in both.items()}
    rows = metric_rows(metrics, champions, learned)
    headline = rows.get(learned.headline)
    records = (outcome.snapshot, outcome.contract, training, evaluation)
    number = f"version {outcome.version}" if outcome.version else "not registered"
    return {
        "outcome": outcome,
        "links": links,
        "title": f"{spec.name}, {number}",
        "about": _about(outcome),
        "findings": [one for record in records if record for one in record.findings],
        "gates": evaluation.gates if evaluation else (),
        "highlights": answers.highlights(metrics, slices) if evaluation else [],
        "headline": headline,
        "better": "higher" if learned.higher_is_better else "lower",
        "lines": interval_lines(headline) if headline else [],
        "others": [
            rows[n] for n in learned.shown if n in rows and n != learned.headline
        ],
        "metrics": list(rows.values()),
        "slices": slice_tables(slices),
        "groups": group_sentences(spec, evaluation),
        "compared": compared,
        "candidates": _candidates(outcome.choice),
        "explanations": _explanations(outcome),
        "licence": "",
        **_fields(spec),
        **pictured(training.run_id if training else None, learned, tracking),
    }


def _against_champion(outcome: RunSoFar, home: Home) -> ModelComparison | None:
    """How a version differs from the champion that it was compared with."""
    champion = outcome.evaluation and outcome.evaluation.champion_version
    if not champion or not outcome.version or champion == outcome.version:
        return None
    name, numbers = outcome.spec.name, (champion, outcome.version)
    first, second = (home.ledger.version(name, number) for number in numbers)
    return compare(first, second, home)


def _about(outcome: RunSoFar) -> str:
    """The pipeline's README, without what it says of its model in general."""
    if outcome.folder is None:
        return outcome.spec.description
    intro, sections = split_readme(read_readme(outcome.spec, outcome.folder))
    return f"{intro}\n\n{sections}".strip()


def _candidates(choice: ChoiceRecord | None) -> list[dict[str, Any]]:
    """The models that were trained to choose from, as rows of a table."""
    return [
        {
            "model": one.builder,
            "val loss": one.val_loss,
            f"val {one.score.replace('_', ' ')}": one.val_score,
            "epochs": one.epochs,
            "MB": one.megabytes,
            "kept": "yes" if choice and one.builder == choice.kept else "no",
        }
        for one in (choice.candidates if choice else ())
    ]


def _explanations(outcome: RunSoFar) -> str:
    """What the check of explanations has said, or why there are none."""
    if outcome.training is None or outcome.evaluation is None:
        return ""
    if reason := why_not(outcome.training.description):
        return f"They are not explained: {reason}."
    return verdict_of(outcome.evaluation.metrics).sentence


def _fields(spec: PipelineSpec) -> dict[str, Any]:
    """All fields of the pipeline, and those that differ from the defaults."""
    named = spec.model_dump(include={"name", "medium", "task"})
    model, data = {"builder": spec.model.builder}, {"source": spec.data.source}
    default = PipelineSpec.model_validate({**named, "model": model, "data": data})
    recipe, usual = fields_of(spec), fields_of(default)
    chosen = {
        key: value
        for key, value in recipe.items()
        if usual.get(key) != value and not key.startswith("deploy.")
    }
    return {"recipe": recipe, "chosen": chosen}


class Picture(NamedTuple):
    """A picture of the page.

    Attributes:
        uri: its bytes.
        width, height: in pixels.
    """

    name: str
    caption: str
    uri: str
    width: int
    height: int

    @classmethod
    def of(cls, name: str, caption: str, data: bytes) -> Picture | None:
        """A picture of the bytes of a file; None if they are no PNG."""
        if data[:8] != _PNG or len(data) < 24:
            return None
        uri = f"data:image/png;base64,{base64.b64encode(data).decode()}"
        return cls(name, caption, uri, *struct.unpack(">II", data[16:24]))


def pictured(run_id: str | None, learned: Task, tracking: Tracking) -> dict[str, Any]:
    """Variables of the template: pictures, listed items, maps, and ingredients.

    What MLflow cannot provide is logged and left out.

    Args:
        run_id: of the training; None if there was none.
        learned: the task.
        tracking: where its files are.
    """
    files: dict[str, bytes] = {}
    ingredients: dict[str, Any] = {}
    try:
        if run_id is not None:
            files = tracking.run_files(run_id, FOLDER)
            ingredients = json.loads(tracking.run_file(run_id, FILE))
    except HeadraceError as error:
        log.warning("the report has not all of its pictures: %s", error)
    captions = {**learned.pictures, **_CAPTIONS}
    lists = {
        "mistakes": learned.mistakes,
        "weak_slices": "Bad answers to weak slices",
    }
    drawn = {
        name: picture
        for name, caption in {**captions, **lists}.items()
        if (picture := Picture.of(name, caption, files.get(f"{name}.png", b"")))
    }
    return {
        "pictures": [drawn[name] for name in captions if name in drawn],
        "drawn": drawn,
        "items": {
            name: {"title": title, **table}
            for name, title in lists.items()
            if (table := _table(name, files))
        },
        "maps": {
            "picture": Picture.of(NAME, TITLE, files.get(f"{NAME}.png", b"")),
            "table": _table(NAME, files),
        },
        "ingredients": ingredients,
    }


def _table(name: str, files: Mapping[str, bytes]) -> dict[str, Any] | None:
    """Listed items; None where there are none."""
    table: dict[str, Any] | None = json.loads(files.get(f"{name}.json", b"null"))
    return table if table and table["rows"] else None
