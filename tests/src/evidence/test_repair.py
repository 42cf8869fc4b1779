"""Which version is repaired, and which is lost."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import NotFoundError
from headrace.evidence.repair import repair, repair_all
from headrace.models.logged.checks import at_stake
from headrace.state.ledger import Ledger
from headrace.state.tracking import MODEL_FILE

pytestmark = pytest.mark.system

Trained = Any


def lose_everything(trained):
    """The files of all versions, and their copies."""
    for file in trained.settings.home.glob(f"mlartifacts/**/{MODEL_FILE}"):
        file.unlink()
    shutil.rmtree(Path(trained.settings.store) / "models")


@pytest.mark.parametrize("name", ["blobs", "blobs@champion", "blobs/1"])
def test_a_version_is_named_by_its_model_or_its_number(trained, name):
    ledger = Ledger(trained.settings.database_url)
    assert ledger.find(name).version == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("letters", r"no model 'letters'\. Known models: blobs"),
        ("blobz", r"There is no model 'blobz'\. Did you mean blobs\?"),
        ("blobz/1", r"no version 1 of blobz. Did you mean blobs\?"),
        ("blobs@challenger", r"'blobs' has no challenger"),
        ("blobs/7", r"no version 7 of blobs"),
    ],
)
def test_a_version_that_is_not_there_is_not_repaired(trained, name, message):
    with pytest.raises(NotFoundError, match=message):
        repair(name, trained.settings)


def test_a_run_goes_on_from_the_champion_and_the_newest_version(trained):
    ledger = trained.home.ledger
    first = ledger.version("blobs", 1)
    assert at_stake("blobs", ledger) == [first]
    assert at_stake("letters", ledger) == []
    second = ledger.add_version(
        first.model_copy(update={"version": 2, "training": "x"})
    )
    third = ledger.add_version(first.model_copy(update={"version": 3, "training": "y"}))
    assert second not in at_stake("blobs", ledger) == [first, third]


def test_what_is_sound_is_not_restored(trained):
    assert repair_all(trained.settings) == []


def test_a_version_whose_files_and_copy_are_gone_is_lost(trained):
    lose_everything(trained)
    [done] = repair_all(trained.settings)
    assert done.status == "failed"
    assert "The store has no copy of it." in done.reason
    assert "`headrace run blobs`, which registers a new version." in done.reason
