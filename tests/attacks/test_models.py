"""What stands is what was proved: files of models that are lost, changed or swapped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.attacks.conftest import headrace

from headrace.errors import IntegrityError
from headrace.evidence.repair import repair
from headrace.stages.promotion import conclude
from headrace.stages.promotion.approval import approve
from headrace.stages.promotion.by_hand import promote_by_hand, roll_back
from headrace.stages.registration import register
from headrace.state.home import Home
from headrace.state.ledger import Approval, Ledger
from headrace.state.tracking import GOLDEN_FILE, MODEL_FILE

Trained = Any


@dataclass(frozen=True)
class Lab:
    """A home whose version 1 is the champion and whose version 2 passed its gates."""

    trained: Trained

    @property
    def settings(self):
        settings = self.trained.settings
        return settings

    @property
    def ledger(self):
        return Ledger(self.settings.database_url)

    def version(self, number):
        return self.ledger.version("blobs", number)

    def model(self, number):
        """The model file of a version."""
        identity = self.version(number).model_uri.rpartition("/")[2]
        artifacts = self.settings.home / "mlartifacts" / "blobs" / "models"
        return artifacts / identity / "artifacts" / MODEL_FILE

    def golden(self, number):
        """The golden file of a version."""
        run_id = self.version(number).run_id
        artifacts = self.settings.home / "mlartifacts" / "blobs"
        return artifacts / run_id / "artifacts" / GOLDEN_FILE

    def copy(self, number):
        """The copy of a version's files in the store."""
        return Path(self.settings.store) / "models" / self.version(number).model_digest

    @property
    def champion(self):
        champion = self.ledger.champion("blobs")
        assert champion is not None
        return champion.version.version

    def conclude(self):
        """End the run of version 2 as its flow does, from its kept evaluation."""
        t = self.trained
        place = (t.spec, t.folder, t.snapshot, t.good, t.good_evaluation)
        registered = register(*place, Home(self.settings))
        return conclude(t.spec, t.good_evaluation, registered, Home(self.settings))


@pytest.fixture
def lab(trained):
    t = trained
    register(t.spec, t.folder, t.snapshot, t.good, t.good_evaluation, t.home)
    return Lab(t)


Attack = Callable[[Lab, int], None]


def delete_the_model(lab, number):
    lab.model(number).unlink()


def put_another_model_there(lab, number):
    shutil.copyfile(lab.model(3 - number), lab.model(number))


def delete_the_golden_file(lab, number):
    lab.golden(number).unlink()


def edit_the_golden_file(lab, number):
    with np.load(lab.golden(number)) as arrays:
        np.savez(
            lab.golden(number),
            items=arrays["items"],
            outputs=np.roll(arrays["outputs"], 1, axis=1),
        )


ATTACKS = [
    delete_the_model,
    put_another_model_there,
    delete_the_golden_file,
    edit_the_golden_file,
]
attacks = pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.__name__)


@attacks
def test_a_version_that_lost_its_files_is_not_promoted_by_a_run(
    lab: Lab, attack: Attack
) -> None:
    attack(lab, 2)
    ended = lab.conclude()
    assert ended.status == "refused"
    assert "`headrace verify blobs/2 --repair`" in ended.reason
    assert lab.champion == 1


@pytest.mark.parametrize("attack", [delete_the_model, edit_the_golden_file])
def test_no_command_promotes_what_is_not_what_was_proved(lab, attack):
    lab.ledger.add_approval(
        Approval(
            model="blobs",
            version=2,
            step=1,
            action="request",
            who="eve@lab",
            expires="9999-01-01T00:00:00+00:00",
            evidence_id=getattr(lab.ledger.latest_evidence("blobs", 2), "id", None),
        )
    )
    attack(lab, 2)
    names_the_repair = (
        r"version 2 is not what was registered.*headrace verify blobs/2 --repair"
    )
    with pytest.raises(IntegrityError, match=names_the_repair):
        approve("blobs", 2, Home(lab.settings), reason="fine")
    with pytest.raises(IntegrityError, match=names_the_repair):
        promote_by_hand("blobs", 2, Home(lab.settings), force=True, reason="fine")
    assert lab.champion == 1
    assert len(lab.ledger.approvals("blobs")) == 1


def test_nothing_is_rolled_back_to_what_is_lost(lab):
    assert lab.conclude().status == "promoted"
    for attack in (delete_the_model, edit_the_golden_file):
        attack(lab, 1)
        with pytest.raises(IntegrityError, match="headrace verify blobs/1 --repair"):
            roll_back("blobs", Home(lab.settings), reason="slow")
        assert lab.champion == 2
        assert repair("blobs/1", lab.settings).status == "restored"
    roll_back("blobs", Home(lab.settings), reason="slow")
    assert lab.champion == 1


@attacks
def test_repair_restores_from_the_copy_of_the_store(lab: Lab, attack: Attack) -> None:
    before = lab.model(1).read_bytes(), lab.golden(1).read_bytes()
    others = {path.name for path in lab.model(1).parents[1].rglob("*")}
    attack(lab, 1)
    done = repair("blobs", lab.settings)
    assert done.status == "restored"
    assert done.version == 1
    assert any("the store's copy" in step for step in done.done)
    assert (lab.model(1).read_bytes(), lab.golden(1).read_bytes()) == before
    assert {path.name for path in lab.model(1).parents[1].rglob("*")} == others


def test_a_copy_in_the_store_is_not_believed(lab):
    shutil.copyfile(lab.model(2), lab.copy(1) / "logged" / MODEL_FILE)
    (lab.copy(1) / "logged" / "MLmodel").write_text("loader_module: evil\n")
    shutil.rmtree(lab.model(1).parents[1])
    assert repair("blobs", lab.settings).status == "failed"
    assert not (lab.model(1).parents[1] / "MLmodel").exists()


def test_what_cannot_be_repaired_is_said_in_a_sentence(lab, monkeypatch):
    shutil.rmtree(lab.copy(1))
    shutil.rmtree(Path(lab.settings.store) / "snapshots")
    lab.model(1).unlink()
    monkeypatch.setenv("HEADRACE_MAX_BYTES", "1")  # the source cannot be read again
    answer = headrace(lab.settings, "verify", "blobs", "--repair", "--json")
    assert answer.returncode == 1
    (done,) = json.loads(answer.stdout)["repairs"]
    assert (done["model"], done["version"], done["status"]) == ("blobs", 1, "failed")
    assert "The store has no copy of it" in done["reason"]
    assert "`headrace run blobs`, which registers a new version" in done["reason"]
    assert "Traceback" not in answer.stderr
    assert lab.champion == 1
