"""How often noise is promoted, with real models: ``docs/explanation/statistics.md``.

Run it with ``python -m tests.benchmarks.noise``, with ``HEADRACE_DATA`` where the data
of `messages` and `topics` is. It takes about ten minutes on two cores and prints the
tables of the docs. A pipeline's data is ingested, checked and learned from as in a run,
by seeds of its own.

The scores of two trainings are swapped by a coin for each test item, so that none is
better. Retrainings are of other seeds against one champion, as first attempts and as
the attempts that they are, one after the other. All are on items that were judged
before. Upper bounds are those of Clopper and Pearson, at 95 %.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import stats

from headrace.data.snapshots.splits import SplitRows
from headrace.gates.champion import Challenge, Opponent, champion_gate
from headrace.models import builder_name
from headrace.planning import Plan
from headrace.records import ContractRecord, SnapshotRecord
from headrace.settings import Settings
from headrace.spec import PipelineSpec, load_spec
from headrace.spec.files import override
from headrace.stages.evaluation.answers import scores_of
from headrace.stages.fitting import Fit
from headrace.stages.fitting.data import TrainingData, open_data
from headrace.stages.ingestion import ingest
from headrace.stages.validation import validate
from headrace.state.home import Home
from headrace.tasks import asked, task

from .images import packaged

ROOT = Path(__file__).parents[2]
TURNED = "turned_digits"
PIPELINES = ("digits", "messages", "few_spoken_digits", "topics", TURNED)
RETRAINED = ("digits", "messages")
DRAWS, SEEDS = 2_000, 30
CONFIDENCE = 0.95
_TURNED = """
medium = "image"
task = "regression"

[data]
source = "turned.parquet"
label = "degrees"

[[gates]]
name = "champion"
"""


@dataclass(frozen=True)
class Case:
    """A pipeline, and its data as a run has it.

    Attributes:
        items: the test rows that are the first of their item, bool ``(n,)``.
    """

    spec: PipelineSpec
    folder: Path
    snapshot: SnapshotRecord
    contract: ContractRecord
    data: TrainingData
    items: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, name: str, place: Path) -> Case:
        """Ingest and check its data."""
        project = place if name == TURNED else ROOT
        settings = Settings(project=project, home=place / "home")
        folder = project / "pipelines" / name
        spec = load_spec(folder)
        if name == TURNED:
            source = {"source": str(place / "turned.parquet")}
            data = spec.data.model_copy(update=source)
            spec = spec.model_copy(update={"data": data})
        store = Plan(spec, folder, Home(settings)).store
        snapshot = ingest(spec.data, spec.medium, store, settings, spec.task)
        contract = validate(spec, snapshot, store, settings)
        digests = SplitRows(snapshot, "test", contract.quarantine_uri).items()
        first = np.zeros(len(digests), bool)
        first[np.unique(digests, return_index=True)[1]] = True
        data = open_data(snapshot, contract)
        return cls(spec, folder, snapshot, contract, data, first)

    def scores(self, seed: int) -> npt.NDArray[Any]:
        """The scores of the test rows by a training of some seed, ``(n,)``."""
        spec = override(self.spec, (f"training.seed={seed}",))
        fit = Fit(spec, self.folder, builder_name(spec), self.data)
        model, judge = fit.run(lambda *_: None).model, task(spec.task).judge
        rows = SplitRows(self.snapshot, "test", self.contract.quarantine_uri)
        raw = asked(rows.snapshot.description).raw
        return np.concatenate(
            [scores_of(model, raw(p.questions), p.targets, judge).scores for p in rows]
        )

    def trial(self, own: npt.NDArray[Any], champion: npt.NDArray[Any]) -> Challenge:
        """A first attempt on items that were judged before."""
        return Challenge(
            scores=own,
            new=np.zeros(len(own), bool),
            champion=Opponent(1, champion, self.items),
            higher_is_better=task(self.spec.task).higher_is_better,
        )


def write_turned(place: Path) -> None:
    """The packaged digits, each turned by a random angle, and a pipeline of them."""
    from PIL import Image

    images, _ = packaged()
    degrees = np.random.default_rng(0).uniform(-45, 45, len(images))
    files = []
    for image, angle in zip(images, degrees, strict=True):
        turned = Image.fromarray(image.reshape(28, 28)).rotate(angle, Image.BILINEAR)
        buffer = io.BytesIO()
        turned.save(buffer, "PNG")
        files.append(buffer.getvalue())
    table = pa.table({"image": files, "degrees": pa.array(degrees)})
    pq.write_table(table, place / "turned.parquet")
    folder = place / "pipelines" / TURNED
    folder.mkdir(parents=True)
    (folder / "pipeline.toml").write_text(_TURNED)


def upper(count: int, of: int) -> float:
    """The upper bound of a rate, of Clopper and Pearson, one-sided."""
    return float(stats.beta.ppf(CONFIDENCE, count + 1, of - count)) if count < of else 1


def is_promoted(case: Case, trial: Challenge) -> bool:
    """Whether the pipeline's own gate promotes it."""
    [gate] = [gate for gate in case.spec.gates if gate.name == "champion"]
    return champion_gate(gate, trial)[0].passed


def swapped(case: Case, one: npt.NDArray[Any], other: npt.NDArray[Any]) -> int:
    """How many of `DRAWS` draws are promoted."""
    random, count = np.random.default_rng(0), 0
    for _ in range(DRAWS):
        coin = random.random(len(one)) < 0.5
        own, champion = np.where(coin, one, other), np.where(coin, other, one)
        count += is_promoted(case, case.trial(own, champion))
    return count


def lines(place: Path, names: list[str], seeds: int) -> Iterator[str]:
    """The rows of the two tables."""
    cases = {}
    yield "| pipeline | test items | that differ | promoted | at most |"
    for name in names:
        case = cases[name] = Case.of(name, place)
        one, other = case.scores(1), case.scores(2)
        differ = (one != other) & case.items
        count = swapped(case, one, other)
        yield (
            f"| {name} | {case.items.sum():,} | {differ.sum():,} "
            f"| {count / DRAWS:.2%} | {upper(count, DRAWS):.2%} |"
        )
    counts = np.zeros(2, int)
    for name in RETRAINED:
        if name in cases and seeds:
            found = np.sum([*retrained(cases[name], seeds)], axis=0)
            counts += found
            yield f"{name}: of {seeds} seeds, {found[0]} first attempts, {found[1]}"
    if counted := seeds * len(RETRAINED):
        bounds = ", ".join(f"{upper(int(n), counted):.2%}" for n in counts)
        yield f"together {counts.tolist()} of {counted}, at most {bounds}"


def retrained(case: Case, seeds: int) -> Iterator[tuple[bool, bool]]:
    """Whether each seed is promoted: as a first attempt, and in its turn."""
    champion = case.scores(1)
    for attempt in range(1, seeds + 1):
        trial = case.trial(case.scores(attempt + 1), champion)
        yield (
            is_promoted(case, trial),
            is_promoted(case, replace(trial, attempt=attempt)),
        )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--case", action="append", choices=PIPELINES)
    asked_for = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="headrace-noise-") as name:
        place = Path(name)
        write_turned(place)
        for line in lines(place, asked_for.case or [*PIPELINES], asked_for.seeds):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
