"""A home with a champion, two versions on other data, and the newest version."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import pytest
from tests.blobs import a_contract, spec_of, write_blobs
from tests.homes import Home

from headrace.planning import Plan
from headrace.records import SnapshotRecord
from headrace.settings import Settings
from headrace.state.home import Home as Opened
from headrace.state.ledger import Ledger
from headrace.state.store import Store


@dataclass(frozen=True)
class Many:
    """Version 1 is the champion; 2 and 3 learned from ``other``; 4 is the newest."""

    home: Home
    settings: Settings
    first: SnapshotRecord
    other: SnapshotRecord

    @property
    def ledger(self):
        return Ledger(self.settings.database_url)

    @property
    def files(self):
        """The content of all files of store and artifacts, by path."""
        return {
            path.relative_to(self.settings.home).as_posix(): path.read_bytes()
            for folder in ("store", "mlartifacts")
            for path in sorted((self.settings.home / folder).rglob("*"))
            if path.is_file()
        }


def add_version(trained, data, seed):
    """Ingest, train for an epoch, evaluate and register, with the stages' results.

    A full evaluation would have left reference models; a file stands for them.
    """
    from headrace.stages.evaluation import evaluate
    from headrace.stages.ingestion import ingest
    from headrace.stages.promotion.registry import project_aliases
    from headrace.stages.registration import register
    from headrace.stages.training import train

    settings = trained.settings
    changes = (f"training.seed={seed}", "training.epochs=1", f"data.source='{data}'")
    spec = spec_of(settings.project, *changes)
    plan = Plan(spec, trained.folder, Opened(settings))
    snapshot = ingest(spec.data, "image", Store(settings.store), settings)
    plan.save(plan.ingest(), snapshot, 0.1)
    contract = a_contract(snapshot)
    plan.save(plan.validate(snapshot), contract, 0.1)
    tags = {"headrace.flow_run_id": f"f-{seed}"}
    training = train(spec, trained.folder, "mlp", snapshot, contract, settings, tags)
    plan.save(plan.train(snapshot, contract), training, 0.1)
    champion = plan.comparator(training)
    seen = evaluate(spec, snapshot, contract, training, champion, Opened(settings))
    plan.save(plan.evaluate(contract, training, champion), seen, 0.1)
    register(spec, trained.folder, snapshot, training, seen, Opened(settings))
    project_aliases(spec.name, plan.home)
    plan.home.store.write(f"references/{seed}.npz", b"weights of a reference model")
    return snapshot


@pytest.fixture(scope="session")
def _many(_trained, tmp_path_factory):
    place = tmp_path_factory.mktemp("many")
    trained = _trained.moved(place / "home")
    data = write_blobs(place / "other.npz", seed=7)
    other = add_version(trained, data, 11)
    add_version(trained, data, 12)
    own = trained.settings.project / "pipelines" / "blobs" / "blobs.npz"
    first = add_version(trained, own, 13)
    home = Home(trained.settings.home, trained.settings.project)
    return Many(home, trained.settings, first, other)


@pytest.fixture
def many(_many, tmp_path, copy_of):
    """A copy of that home."""
    home = Home(copy_of(_many.home.path, tmp_path / "home"), _many.home.project)
    settings = Settings(project=home.project, home=home.path, user="ada@lab")
    return Many(home, settings, _many.first, _many.other)


@pytest.fixture(autouse=True)
def _no_prefect(many):
    """None of these homes has a Prefect."""
    shutil.rmtree(many.home.path / "prefect", ignore_errors=True)
