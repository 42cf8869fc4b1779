"""A tiny pipeline, and homes: fresh ones, and copies of one with two trainings."""

from __future__ import annotations

import fcntl
import importlib
import logging
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import absl.logging
import numpy as np
import numpy.typing as npt
import pytest
from tests.homes import Answer, Home

from headrace import extensions
from headrace.data.sources.readers import readers
from headrace.records import (
    ContractRecord,
    EvaluationRecord,
    Record,
    SnapshotRecord,
    TrainingRecord,
)
from headrace.settings import Settings
from headrace.spec import PipelineSpec, load_spec

R = TypeVar("R", bound=Record)

BLOBS = """
description = "Three classes of 8 x 8 images: a bright band above, in the middle, below"
medium = "image"
data.source = "blobs.npz"
model.arguments.hidden = [16]
training = { epochs = 3, batch_size = 16, learning_rate = 0.05, seed = 1 }
gates = [
    { name = "accuracy", threshold = 0.9 },
    { name = "finite" },
    { name = "latency", threshold = 5000 },
    { name = "champion" },
]
"""
WEAK = ("training.learning_rate=1e-5", "training.epochs=1")


def blobs(
    rows: int, seed: int = 0
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Images ``(rows, 8, 8)`` and labels 0, 1, 2 in turn, easy to tell apart."""
    labels = np.arange(rows) % 3
    images = np.random.default_rng(seed).integers(0, 90, (rows, 8, 8), np.uint8)
    for row, label in enumerate(labels):
        images[row, 3 * label : 3 * label + 2] += 120
    return images, labels


def write_blobs(path: Path, train: int = 180, test: int = 60, seed: int = 0) -> Path:
    """Blobs in the layout of Keras's ``mnist.npz``."""
    images, labels = blobs(train + test, seed)
    np.savez(
        path,
        x_train=images[:train],
        y_train=labels[:train],
        x_test=images[train:],
        y_test=labels[train:],
    )
    return path


def made_once(
    tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]
) -> Path:
    """A folder that the first of the test processes to ask for it makes, for all."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    place, done = base / name, base / f"{name}.done"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            make(place)
            done.touch()
    return place


@pytest.fixture(autouse=True)
def _log_as_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flow in this process sets up the log; no other test is to see that."""
    logger = logging.getLogger("headrace")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "level", logging.NOTSET)
    monkeypatch.setattr(logger, "propagate", True)
    monkeypatch.setattr(logger, "disabled", False)
    logger.manager._clear_cache()


@pytest.fixture(scope="session", autouse=True)
def _environment() -> Iterator[None]:
    """No setting of the machine reaches a test; libraries stay quiet and offline."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("HEADRACE_", "MLFLOW_", "PREFECT_")):
                patch.delenv(name)
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("DO_NOT_TRACK", "true")
        # Prefect closes all logs when it is imported, and TensorFlow's, in its turn,
        # would close pytest's standard error.
        patch.setattr(absl.logging.PythonHandler, "close", logging.StreamHandler.close)
        yield


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the pipeline ``blobs`` and its data."""

    def make(root: Path) -> None:
        folder = root / "pipelines" / "blobs"
        folder.mkdir(parents=True)
        (folder / "pipeline.toml").write_text(BLOBS)
        write_blobs(folder / "blobs.npz")

    return made_once(tmp_path_factory, "project", make)


@pytest.fixture
def extend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., str]]:
    """Adds to an installed package ``tidepool`` a module and its entry point."""
    place = tmp_path / "site"
    info = place / "tidepool-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: tidepool\nVersion: 0.1\n")
    (place / "tidepool").mkdir()
    points: dict[str, list[str]] = {}

    def forget() -> None:
        importlib.invalidate_caches()
        for cached in (extensions.modules, extensions.added, extensions.path_of):
            cached.cache_clear()
        extensions.constant.cache_clear()
        readers.cache_clear()
        for name in [n for n in sys.modules if n.partition(".")[0] == "tidepool"]:
            del sys.modules[name]

    def add(kind: str, name: str, code: str | None = None, value: str = "") -> str:
        module = f"tidepool.{name}"
        if code is not None:
            (place / "tidepool" / f"{name}.py").write_text(code)
        points.setdefault(kind, []).append(f"{name} = {value or module}\n")
        sections = (f"[headrace.{k}]\n{''.join(v)}" for k, v in points.items())
        (info / "entry_points.txt").write_text("".join(sections))
        forget()
        return module

    monkeypatch.syspath_prepend(place)
    yield add
    monkeypatch.undo()
    forget()


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database; making one takes seconds, copying it none."""
    from headrace.state.tracking import Tracking

    def make(home: Path) -> None:
        Tracking(Settings(project=home, home=home))

    return made_once(tmp_path_factory, "mlflow", make) / "mlflow.db"


@pytest.fixture
def settings(tmp_path: Path, project: Path, mlflow_database: Path) -> Settings:
    """The settings of an empty home."""
    made = Settings(project=project, home=tmp_path / "home", user="ada@lab")
    made.prepare_home()
    shutil.copy(mlflow_database, made.home / "mlflow.db")
    return made


def copy_home(source: Path, target: Path) -> Path:
    """A copy of a home, as `cp` makes it; what servers had in it stays behind."""
    shutil.copytree(
        source, target, ignore=shutil.ignore_patterns("prefect", "*.log", "up.json")
    )
    return target


@pytest.fixture(scope="session")
def copy_of() -> Callable[[Path, Path], Path]:
    """`copy_home`, for tests."""
    return copy_home


@pytest.fixture(scope="session")
def write_data() -> Callable[..., Path]:
    """`write_blobs`, for tests."""
    return write_blobs


def spec_of(project: Path, *overrides: str, folder: Path | None = None) -> PipelineSpec:
    """The spec of ``blobs``, its source made absolute; by the law of another folder."""
    own = project / "pipelines" / "blobs"
    return load_spec(
        folder or own, (f"data.source={str(own / 'blobs.npz')!r}", *overrides)
    )


def write_law(project: Path, folder: Path, **tables: str) -> Path:
    """A folder with the file of ``blobs``, some of its tables replaced by others.

    Args:
        project: that has ``blobs``.
        folder: is made; its data stays in the project.
        tables: TOML values by the name of the table: ``gates="[]"``.
    """
    text = BLOBS + 'name = "blobs"\n'
    if "gates" in tables:
        text = re.sub(r"(?ms)^gates = \[.*?^\]\n", "", text)
    own = project / "pipelines" / "blobs"
    source = str(own / load_spec(own).data.source)
    text = text.replace('"blobs.npz"', repr(source))
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{name} = {value}\n" for name, value in tables.items()]
    (folder / "pipeline.toml").write_text(text + "".join(lines))
    return folder


@dataclass(frozen=True)
class Trained:
    """A home with two trainings of ``blobs``: version 1, weak, is the champion; the
    second is good, evaluated against it, and not yet registered."""

    settings: Settings
    spec: PipelineSpec
    folder: Path
    snapshot: SnapshotRecord
    contract: ContractRecord
    weak: TrainingRecord
    weak_evaluation: EvaluationRecord
    good: TrainingRecord
    good_evaluation: EvaluationRecord

    def with_law(self, **tables: str) -> Trained:
        """The same under a pipeline file with other tables; see `write_law`."""
        place = self.settings.home.parent / "laws" / str(hash(tuple(tables.items())))
        folder = write_law(self.settings.project, place / "pipelines/blobs", **tables)
        spec = spec_of(self.settings.project, folder=folder)
        settings = self.settings.model_copy(update={"project": place})
        return replace(self, settings=settings, spec=spec, folder=folder)

    def moved(self, home: Path) -> Trained:
        """The same in a copy of the home."""
        old = str(self.settings.home)
        copy_home(self.settings.home, home)

        def move(record: R) -> R:
            text = record.model_dump_json().replace(old, str(home))
            return type(record).model_validate_json(text)

        values: dict[str, Any] = {
            name: move(value) if isinstance(value, Record) else value
            for name, value in vars(self).items()
        }
        values["settings"] = Settings(
            project=self.settings.project, home=home, user="ada@lab"
        )
        return Trained(**values)


def a_contract(snapshot: SnapshotRecord) -> ContractRecord:
    """A verdict that finds no fault."""
    return ContractRecord(
        snapshot_digest=snapshot.digest,
        rows=snapshot.rows,
        quarantined=0,
        quarantine_uri="",
        docs_uri="",
        results=(),
    )


@pytest.fixture(scope="session")
def _trained(
    project: Path, mlflow_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    from headrace.stages.evaluation import evaluate
    from headrace.stages.ingestion import ingest
    from headrace.stages.promotion import conclude
    from headrace.stages.registration import register
    from headrace.stages.training import train
    from headrace.state.store import Store

    home = tmp_path_factory.mktemp("trained") / "home"
    settings = Settings(project=project, home=home, user="ada@lab")
    settings.prepare_home()
    shutil.copy(mlflow_database, home / "mlflow.db")
    weak_settings = settings.model_copy(update={"project": home.parent / "weak"})
    folder = project / "pipelines" / "blobs"
    weak_folder = weak_settings.project / "pipelines" / "blobs"
    write_law(project, weak_folder, gates="[{ name = 'champion' }]")
    spec, weak_spec = spec_of(project), spec_of(project, *WEAK, folder=weak_folder)
    snapshot = ingest(spec.data, "image", Store(settings.store), settings)
    contract = a_contract(snapshot)
    place = (folder, "mlp", snapshot, contract, settings)
    weak = train(weak_spec, *place, {"headrace.flow_run_id": "f1"})
    seen = evaluate(weak_spec, snapshot, contract, weak, None, settings)
    registered = register(weak_spec, weak_folder, snapshot, weak, seen, weak_settings)
    conclude(weak_spec, seen, registered, weak_settings)
    good = train(spec, *place, {"headrace.flow_run_id": "f2"})
    good_seen = evaluate(spec, snapshot, contract, good, 1, settings)
    return Trained(
        settings, spec, folder, snapshot, contract, weak, seen, good, good_seen
    )


@pytest.fixture
def trained(_trained: Trained, tmp_path: Path) -> Trained:
    """A copy of the home with two trainings, to do with as a test likes."""
    return _trained.moved(tmp_path / "trained")


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One Prefect server for all runs inside this process."""
    from headrace_ops.run_server import TemporaryServer, configure

    home = tmp_path_factory.mktemp("server")
    before = dict(os.environ)
    settings = Settings(project=home, home=home)
    configure(settings)
    server = TemporaryServer(settings)
    server.wait()
    os.environ["PREFECT_API_URL"] = server.api_url
    if "prefect" in sys.modules:  # by a test that was collected
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()
    yield server.api_url
    if "prefect" in sys.modules:
        from prefect.events.worker import EventsWorker
        from prefect.logging.handlers import APILogWorker

        for worker in (APILogWorker, EventsWorker):
            worker.drain_all(timeout=10)
    server.stop()
    for name in set(os.environ) - set(before):
        if name.startswith("PREFECT_"):
            del os.environ[name]


@pytest.fixture
def home(tmp_path: Path, project: Path) -> Home:
    """An empty home."""
    return Home(tmp_path / "home", project)


@pytest.fixture(scope="session")
def first(
    tmp_path_factory: pytest.TempPathFactory, project: Path, mlflow_database: Path
) -> tuple[Home, Answer]:
    """A home after its first run: a process of its own, with a temporary server."""

    def make(place: Path) -> None:
        home = Home(place / "home", project)
        Settings(project=project, home=home.path).prepare_home()
        shutil.copy(mlflow_database, home.path / "mlflow.db")
        process = home.start("run", "blobs", "--json")
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        (place / "out").write_text(out)
        (place / "err").write_text(err)

    place = made_once(tmp_path_factory, "first", make)
    texts = [(place / name).read_text() for name in ("out", "err")]
    return Home(place / "home", project), Answer(0, *texts)


@pytest.fixture
def after_first(
    first: tuple[Home, Answer],
    copy_of: Callable[[Path, Path], Path],
    tmp_path: Path,
) -> Home:
    """A copy of the home after its first run."""
    return Home(copy_of(first[0].path, tmp_path / "home"), first[0].project)


@pytest.fixture(scope="session")
def second(
    first: tuple[Home, Answer],
    prefect_server: str,
    copy_of: Callable[[Path, Path], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Home, Answer]:
    """A home after a second run, with another seed."""
    place = tmp_path_factory.mktemp("second") / "home"
    home = Home(copy_of(first[0].path, place), first[0].project)
    return home, home.headrace("run", "blobs", "--set", "training.seed=2", "--json")


@pytest.fixture
def after_second(
    second: tuple[Home, Answer],
    copy_of: Callable[[Path, Path], Path],
    tmp_path: Path,
) -> Home:
    """A copy of the home after its second run."""
    return Home(copy_of(second[0].path, tmp_path / "home"), second[0].project)
