"""The committed file is the law: who bends it for one run gets an experiment.

The home's first champion is version 1 of ``blobs``, trained with seed 1.
"""

import os
import shutil
from dataclasses import replace

import pytest

from headrace.settings import Settings
from headrace.state.ledger import Ledger
from headrace.state.tracking import Tracking

EASY = "[{ name = 'accuracy', threshold = 0.5 }]"
BEATEN = "[{ name = 'accuracy', threshold = 0.5 }, { name = 'champion' }]"
OTHER = ("--set", "training.seed=2")


def ledger_of(home):
    return Ledger(f"sqlite:///{home.path}/headrace.db")


def champion_of(home):
    champion = ledger_of(home).champion("blobs")
    assert champion is not None
    return champion.version.version


def tracking_of(home):
    return Tracking(Settings(project=home.project, home=home.path))


def evidence_of(home, version):
    return ledger_of(home).evidence_of("blobs", version)


def run(home, *arguments):
    answer = home.headrace("run", "blobs", *arguments, "--json")
    found = answer.json
    return {**found, "exit": answer.exit_code}


@pytest.fixture(scope="module")
def strict(first, prefect_server, copy_of, tmp_path_factory):
    """A home whose file leaves promotions to people; seed 2 is registered there."""
    place = tmp_path_factory.mktemp("strict")
    home = replace(first[0], path=copy_of(first[0].path, place / "home"))
    manual = '{ mode = "manual" }'
    home = home.with_law(place / "project", gates=EASY, promotion=manual)
    answer = run(home, *OTHER)
    assert (answer["status"], answer["version"]) == ("registered", 2)
    return home


@pytest.fixture
def bent(strict, copy_of, tmp_path):
    """A copy of that home."""
    return replace(strict, path=copy_of(strict.path, tmp_path / "home"))


@pytest.mark.parametrize(
    ("override", "field", "words"),
    [
        (
            "gates=[{name='accuracy', threshold=0.1}]",
            "gates",
            "gates.accuracy.threshold 0.5 → 0.1",
        ),
        (
            "data={source='blobs.npz', test_fraction=0.4}",
            "data.test_fraction",
            "data.test_fraction 0.2 → 0.4",
        ),
    ],
)
def test_an_override_of_the_law_promotes_nothing(bent, project, override, field, words):
    source = str(project / "pipelines" / "blobs" / "blobs.npz")
    override = override.replace("'blobs.npz'", repr(source))
    bends = ["--set", "promotion.mode=auto", "--set", override]
    fields = sorted({"promotion.mode", field})
    answer = run(bent, *OTHER, *bends)
    assert (answer["exit"], answer["status"]) == (0, "registered")
    assert answer["experiment"] is True
    assert answer["overrides"] == fields
    assert "an experiment, which overrides the pipeline file" in answer["reason"]
    assert words in answer["reason"]
    assert "challenger" not in answer["aliases"] or answer["version"] == 2
    assert champion_of(bent) == 1
    (last,) = [row for row in evidence_of(bent, answer["version"]) if row.experiment]
    assert list(last.overrides) == fields
    assert last.law["file"] == (
        bent.project / "pipelines" / "blobs" / "pipeline.toml"
    ).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def experiment(first, prefect_server, copy_of, tmp_path_factory):
    """A home where version 2 is of an experiment alone."""
    place = tmp_path_factory.mktemp("experiment") / "home"
    home = replace(first[0], path=copy_of(first[0].path, place))
    answer = run(home, *OTHER, "--set", f"gates={EASY}")
    assert (answer["status"], answer["version"]) == ("registered", 2), answer
    assert answer["aliases"] == []
    return home


def test_an_experiment_becomes_champion_by_force_and_with_a_reason_alone(
    experiment, copy_of, tmp_path
):
    home = replace(experiment, path=copy_of(experiment.path, tmp_path / "home"))
    refused = home.headrace("promote", "blobs", "2", "--json")
    assert refused.exit_code == 1
    assert "is of an experiment, which overrides gates" in refused.json["reason"]
    approved = home.headrace("approve", "blobs", "2", "--reason", "nice", "--json")
    assert approved.exit_code == 1
    assert "it cannot be approved" in approved.json["reason"]
    silent = home.headrace("promote", "blobs", "2", "--force", "--json")
    assert silent.exit_code == 2
    assert champion_of(home) == 1
    said = ("--force", "--reason", "for the fair", "--json")
    forced = home.headrace("promote", "blobs", "2", *said)
    assert forced.exit_code == 0, forced.err
    assert "promoted by force; its run overrode gates" in forced.json["reason"]
    entry = home.headrace("history", "blobs", "--json").json["history"][-1]
    assert (entry["forced"], entry["why"]) == (True, "for the fair")
    assert entry["overrides"] == ["gates"]
    text = home.headrace("history", "blobs").out
    assert "forced: for the fair; overrides gates.accuracy.threshold 0.9 → 0.5" in text


def test_mlflow_says_what_an_experiment_overrode(experiment):
    tracking = tracking_of(experiment)
    made = tracking.client.get_model_version("blobs", "2")
    evidence = evidence_of(experiment, 2)[-1]
    tags = tracking.find_run(made.run_id).tags
    assert tags["headrace.experiment"] == "true"
    assert tags["headrace.overrides"] == "gates"
    assert tags["headrace.law"] == evidence.law_digest
    assert made.tags["verdict"].endswith("; overrides gates")
    file = tracking.run_file(made.run_id, f"law/{evidence.law_digest[:16]}.toml")
    assert file.decode() == evidence.law["file"]


@pytest.fixture(scope="module")
def followed(first, prefect_server, copy_of, tmp_path_factory):
    """A home where the file was changed, and version 2 promoted under the new law."""
    place = tmp_path_factory.mktemp("followed")
    home = replace(first[0], path=copy_of(first[0].path, place / "home"))
    home = home.with_law(place / "project", gates=EASY)
    answer = run(home, *OTHER)
    assert (answer["status"], answer.get("experiment")) == ("promoted", False), answer
    return home


@pytest.fixture
def after(followed, copy_of, tmp_path):
    """A copy of that home."""
    return replace(followed, path=copy_of(followed.path, tmp_path / "home"))


def test_a_change_of_the_file_is_shown_as_a_change_of_law(followed):
    entry = followed.headrace("history", "blobs", "--json").json["history"][-1]
    assert entry["overrides"] == []
    changes = {c["field"]: (c["from"], c["to"]) for c in entry["law_changes"]}
    assert changes["gates.accuracy.threshold"] == (0.9, 0.5)
    assert changes["gates.champion"] == ("champion at most 0.05", None)
    said = "change of law: gates.accuracy.threshold 0.9 → 0.5"
    assert said in followed.headrace("history", "blobs").out


def test_a_former_champion_comes_back_on_its_evidence(after):
    assert after.headrace("rollback", "blobs", "--json").exit_code == 0
    said = after.headrace("promote", "blobs", "2", "--json")
    assert (said.exit_code, said.json["status"]) == (0, "promoted"), said.err
    assert "evaluating" not in said.err
    again = after.headrace("promote", "blobs", "2", "--json")
    assert (again.exit_code, again.json["status"]) == (0, "unchanged")


def test_a_promotion_makes_the_evidence_that_it_lacks(after):
    """Version 1 was never judged against version 2, nor under the law of now."""
    said = after.headrace("promote", "blobs", "1", "--json")
    assert (said.exit_code, said.json["status"]) == (0, "promoted"), said.err
    assert "no evidence for version 1 of blobs against the champion 2" in said.err
    made = evidence_of(after, 1)[-1]
    assert (made.champion_version, made.passed, made.experiment) == (2, True, False)
    assert said.json["entry"]["evidence"] == made.id
    assert champion_of(after) == 1


def test_evidence_under_another_law_does_not_count(after, tmp_path):
    """Version 2 passed under the easy law; the file has the champion's gate again."""
    home = after.with_law(tmp_path / "project", gates=BEATEN)
    assert home.headrace("rollback", "blobs", "--json").exit_code == 0
    said = home.headrace("promote", "blobs", "2", "--json")
    assert said.exit_code == 1
    assert "did not pass its gates: champion" in said.json["reason"]
    assert champion_of(home) == 1
    assert [row.passed for row in evidence_of(home, 2)] == [True, False]


def test_without_its_snapshot_a_version_is_promoted_by_force_alone(after, tmp_path):
    home = after.with_law(tmp_path / "project", gates=BEATEN)
    shutil.rmtree(home.path / "store" / "snapshots")
    said = home.headrace("promote", "blobs", "1", "--json")
    assert said.exit_code == 1
    assert "its snapshot is gone or changed" in said.json["reason"]
    assert "--force --reason" in said.json["reason"]
    forced = ("--force", "--reason", "as it was", "--json")
    assert home.headrace("promote", "blobs", "1", *forced).exit_code == 0


def test_rows_that_another_law_chose_are_no_evidence(after, tmp_path):
    file = after.project / "pipelines" / "blobs" / "pipeline.toml"
    place = tmp_path / "project" / "pipelines" / "blobs"
    place.mkdir(parents=True)
    text = file.read_text(encoding="utf-8")
    (place / "pipeline.toml").write_text("data.test_fraction = 0.4\n" + text)
    home = replace(after, project=tmp_path / "project")
    said = home.headrace("promote", "blobs", "1", "--json")
    assert said.exit_code == 1
    assert "data.test_fraction 0.2 → 0.4" in said.json["reason"]
    assert champion_of(home) == 2


def test_a_run_that_only_registers_promotes_nothing(after):
    arguments = ("--set", "training.seed=3", "--register-only")
    answer = run(after, *arguments)
    assert (answer["exit"], answer["status"]) == (0, "registered")
    assert (answer["experiment"], answer["version"]) == (False, 3)
    again = run(after, *arguments)
    assert (again["exit"], again["status"]) == (0, "unchanged")
    assert champion_of(after) == 2
    said = after.headrace("promote", "blobs", "3", "--json")
    assert (said.exit_code, "evaluating" in said.err) == (0, False), said.err
    assert champion_of(after) == 3


def test_a_run_that_changed_nothing_does_not_say_promoted(after, project, tmp_path):
    copy = shutil.copy(project / "pipelines" / "blobs" / "blobs.npz", tmp_path)
    os.utime(copy, (1, 1))
    answer = run(after, *OTHER, "--data", str(copy))
    states = {stage["name"]: stage["state"] for stage in answer["stages"]}
    assert (states["ingest"], states["promote"]) == ("completed", "completed")
    assert (answer["exit"], answer["status"]) == (0, "unchanged")
    assert answer["reason"] == "version 2 is the champion already"
