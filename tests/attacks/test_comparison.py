"""Ways to take the champion's place without being better, end to end.

Data sets are real files, trainings are real trainings, and the ledger and the store are
those of a home. Each attack worked when another digest of the data made it "newer".
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tests.blobs import a_contract, blobs

from headrace.pipeline import load_spec
from headrace.settings import Settings
from headrace.state.home import Home
from headrace.state.ledger import Ledger


@dataclass(frozen=True)
class Arena:
    """A home in which challengers fight the champion of ``blobs``."""

    settings: Settings
    data: Path
    folder: Path

    def write(self, name, train, test, *copies):
        """A data set of rows of one pool; ``copies`` of it are in test once more."""
        images, labels = blobs(4000, seed=3)
        tested = [*range(4000)[test], *copies]
        np.savez(
            self.data / name,
            x_train=images[train],
            y_train=labels[train],
            x_test=images[tested],
            y_test=labels[tested],
        )
        return self.data / name

    def fight(self, data, seed):
        """Train with a seed on a data set, and let the gates decide."""
        from headrace.stages.evaluation import evaluate
        from headrace.stages.ingestion import ingest
        from headrace.stages.promotion import conclude
        from headrace.stages.registration import register
        from headrace.stages.training import train
        from headrace.state.store import Store

        overrides = (f"data.source={str(data)!r}", f"training.seed={seed}")
        folder, settings = self.folder, self.settings
        spec = load_spec(folder, overrides)
        snapshot = ingest(spec.data, "image", Store(settings.store), settings)
        contract = a_contract(snapshot)
        training = train(spec, folder, "mlp", snapshot, contract, settings, {})
        champion = Ledger(settings.database_url).champion("blobs")
        number = champion.version.version if champion else None
        seen = evaluate(spec, snapshot, contract, training, number, Home(settings))
        registered = register(spec, folder, snapshot, training, seen, Home(settings))
        return conclude(spec, seen, registered, Home(settings)), seen

    @property
    def champion(self):
        """The version that is champion."""
        found = Ledger(self.settings.database_url).champion("blobs")
        assert found is not None
        return found.version.version


def gate(seen):
    return next(gate for gate in seen.gates if gate.kind == "champion")


@pytest.fixture(scope="module")
def _arena(project, mlflow_database, tmp_path_factory):
    root = tmp_path_factory.mktemp("arena")
    settings = Settings(project=project, home=root / "home", user="ada@lab")
    settings.prepare_home()
    shutil.copy(mlflow_database, settings.home / "mlflow.db")
    arena = Arena(settings, root, project / "pipelines" / "blobs")
    ended, seen = arena.fight(
        arena.write("first.npz", slice(0, 180), slice(200, 260)), seed=1
    )
    assert (ended.status, seen.metrics["test_accuracy"]) == ("promoted", 1)
    return arena


@pytest.fixture
def arena(_arena, copy_of, tmp_path):
    """A copy of a home with one champion, which has 60 of 60 rows right."""
    home = copy_of(_arena.settings.home, tmp_path / "home")
    settings = Settings(project=_arena.settings.project, home=home, user="eve@lab")
    return Arena(settings, tmp_path, _arena.folder)


def test_data_sets_that_differ_by_a_row_do_not_pass_the_crown_around(arena):
    one = arena.write("one.npz", slice(0, 180), slice(200, 261))
    other = arena.write("other.npz", slice(0, 180), slice(199, 260))
    for seed, data in enumerate((one, other, one), start=2):
        ended, seen = arena.fight(data, seed)
        assert ended.status == "registered"
        assert gate(seen).reason.startswith("not significantly better than version 1")
        assert seen.metrics["new_items"] == (1 if seed in {2, 3} else 0)
        assert f"attempt {seed - 1} on them" in gate(seen).reason
    assert arena.champion == 1


def test_another_split_of_known_rows_gives_no_new_ones(arena):
    """A row that the champion learned from is no test of it."""
    swapped = arena.write("swapped.npz", slice(180, 400), slice(0, 240))
    ended, seen = arena.fight(swapped, seed=2)
    assert ended.status == "registered"
    # Rows 0 to 179 were the champion's, 200 to 239 are the challenger's own.
    assert seen.metrics["compared_items"] == 0
    assert "no test item is left to compare with version 1" in gate(seen).reason


def test_enough_new_rows_show_no_worse_once(arena):
    fresh = arena.write("fresh.npz", slice(0, 180), slice(1000, 2000))
    ended, seen = arena.fight(fresh, seed=2)
    assert ended.status == "promoted"
    assert gate(seen).reason.startswith("no worse than version 1 on 1,000 new test")
    assert arena.champion == 2
    again, seen = arena.fight(fresh, seed=3)
    assert again.status == "registered"
    assert "on 1,000 test items that were judged before" in gate(seen).reason
    assert arena.champion == 2
