"""A version is sound if its files have their digests and it answers as it did."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import IntegrityError
from headrace.models.logged.checks import (
    GOLDEN,
    MODEL,
    answer_mismatches,
    file_mismatches,
    find_mismatches,
    logged_model,
    require_sound,
)
from headrace.stages.registration import register
from headrace.state.home import Home
from headrace.state.ledger import Ledger

pytestmark = pytest.mark.system

Trained = Any

CHECK = """
import sys
from headrace.state.home import Home
from headrace.settings import Settings
from headrace.models.logged.checks import find_mismatches
home = Home(Settings())
version = home.ledger.champion("blobs").version
assert find_mismatches([version], home) == []
print({"mlflow", "tensorflow", "keras", "prefect"} & set(sys.modules))
"""


@pytest.fixture
def champion(trained):
    return Ledger(trained.settings.database_url).version("blobs", 1)


def test_a_sound_champion_is_checked_without_a_heavy_library(
    trained, champion, monkeypatch
):
    monkeypatch.setenv("HEADRACE_HOME", str(trained.settings.home))
    monkeypatch.setenv("HEADRACE_PROJECT", str(trained.settings.project))
    answer = subprocess.run(
        [sys.executable, "-c", CHECK], capture_output=True, text=True, check=False
    )
    assert answer.stdout == "set()\n", answer.stderr


def test_registration_writes_down_the_files_of_a_version(trained, champion):
    weak = trained.weak
    assert champion.golden_digest == weak.golden_digest
    assert champion.details["files"]["data/model.keras"] == weak.model_digest
    assert "MLmodel" in champion.details["files"]
    assert logged_model(champion).description == weak.description
    register(
        trained.spec,
        trained.folder,
        trained.snapshot,
        trained.good,
        trained.good_evaluation,
        trained.home,
    )
    copies = Path(trained.settings.store) / "models"
    expected = {weak.model_digest, trained.good.model_digest}
    assert {path.name for path in copies.iterdir()} == expected


def test_all_mismatches_of_files_are_found(trained, champion):
    settings = trained.settings
    assert find_mismatches([champion], Home(settings)) == []
    for file in settings.home.glob("mlartifacts/**/*.keras"):
        file.write_bytes(b"")
    for file in settings.home.glob("mlartifacts/**/golden.npz"):
        file.unlink()
    mismatches = find_mismatches([champion], Home(settings))
    assert [mismatch.what for mismatch in mismatches] == [MODEL, GOLDEN]
    assert [mismatch.is_gone for mismatch in mismatches] == [False, True]
    with pytest.raises(IntegrityError, match="headrace verify blobs/1 --repair"):
        require_sound(champion, Home(settings))


def test_a_file_that_changes_is_read_again(trained, champion):
    settings = trained.settings
    assert list(file_mismatches(champion, Home(settings))) == []
    identity = champion.model_uri.rpartition("/")[2]
    [file] = settings.home.glob(f"mlartifacts/**/{identity}/**/*.keras")
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    [mismatch] = file_mismatches(champion, Home(settings))
    assert mismatch.what == MODEL


def test_several_versions_are_asked_in_one_process(trained, champion):
    assert answer_mismatches([champion, champion], trained.home) == []
