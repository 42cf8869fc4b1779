"""A run that is not there, or whose record cannot be trusted, is not trained again."""

import dataclasses
from pathlib import Path

import pytest

from headrace.errors import IntegrityError, NotFoundError, UsageError
from headrace.evidence.reproduction import recorded as read_record
from headrace.evidence.reproduction import reproduce
from headrace.settings import Settings
from headrace.state.home import Home
from headrace.state.tracking import Tracking


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("0" * 32, "has no run '00000"),
        ("own", "has no run 'own'"),
        ("1%", "has no run '1%'"),
        ("own@champion", "'own' has no champion"),
        ("own@challenger", "'own' has no challenger"),
        ("own/1", "no version 1 of own"),
    ],
)
def test_a_run_that_is_not_there_is_said(recorded, name, message):
    with pytest.raises(NotFoundError, match=message):
        reproduce(name, recorded.settings)


def test_no_home_is_made_to_find_nothing(tmp_path):
    settings = Settings(project=tmp_path, home=tmp_path / "home")
    with pytest.raises(NotFoundError, match="There is no home"):
        reproduce("abc", settings)
    assert not settings.home.exists()


def test_what_cannot_be_reproduced_says_why(recorded):
    client = Tracking(recorded.settings).client
    experiment = client.get_run(recorded.run.run_id).info.experiment_id
    run_id = client.create_run(experiment).info.run_id

    def refused():
        with pytest.raises(UsageError) as caught:
            reproduce(run_id, recorded.settings)
        return str(caught.value)

    assert "is not a training of Headrace" in refused()
    client.set_tag(run_id, "headrace.pipeline", "own")
    assert "did not finish (it is RUNNING)" in refused()
    client.set_terminated(run_id, "FINISHED")
    assert "has no record of its ingredients" in refused()


def test_a_record_without_its_digest_is_refused(recorded, tmp_path):
    """As where somebody deleted the tag; a bundle or a repair reads it, too."""
    home = Home(recorded.settings)
    run = home.tracking.find_run(recorded.run.run_id)
    run = dataclasses.replace(run, tags={})
    with pytest.raises(IntegrityError, match=r"ingredients.json of the run"):
        read_record(run, home, tmp_path / "record")


@pytest.mark.parametrize(
    "path",
    [
        "pipeline/model.py",
        "pipeline/sizes.py",
        "pipeline/spec.json",
        "pipeline/ingredients.json",
        "data/snapshot.json",
        "data/contract.json",
    ],
)
def test_a_file_that_was_changed_is_refused_and_nothing_imported(
    recorded, path, tmp_path
):
    planted = f"open({str(tmp_path / 'was-here')!r}, 'w').close()\n"
    file = recorded.artifact(path)
    changed = planted if file.suffix == ".py" else " "
    file.write_text(changed + file.read_text())
    with pytest.raises(IntegrityError, match=rf"{path} of the run .*changed or dam"):
        recorded.again()
    assert not (tmp_path / "was-here").exists()


@pytest.mark.system
def test_a_file_that_was_added_is_not_used(recorded, tmp_path):
    planted = f"open({str(tmp_path / 'was-here')!r}, 'w').close()\n"
    recorded.artifact("pipeline/os.py").write_text(planted)
    recorded.artifact("pipeline/keras.py").write_text(planted)
    assert recorded.again().status == "same"
    assert not (tmp_path / "was-here").exists()


@pytest.mark.parametrize("path", ["pipeline/ingredients.json", "pipeline/model.py"])
def test_a_file_that_is_gone_is_said(recorded, path):
    recorded.artifact(path).unlink()
    with pytest.raises(IntegrityError, match=rf"artifact {path} .* is gone"):
        recorded.again()


@pytest.mark.parametrize(
    ("place", "damage", "message"),
    [
        ("snapshots/*/manifest.json", None, "The data is gone: .*headrace check own"),
        ("snapshots/*/manifest.json", b"{}", "The data is gone: .*headrace check own"),
        ("snapshots/*/items/0000.parquet", b"PAR1", "not the file that was written"),
        ("quarantine/one-row-*.parquet", None, "The quarantine .* cannot be read"),
        ("quarantine/one-row-*.parquet", b"PAR1", "The quarantine .* was written"),
    ],
)
def test_data_that_is_gone_or_damaged_is_named(recorded, place, damage, message):
    (file,) = Path(recorded.settings.store).glob(place)
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage)
    with pytest.raises(IntegrityError, match=message):
        recorded.again()


def test_a_record_of_another_form_is_not_guessed_at(recorded):
    recorded.rewrite(lambda record: record.update(format=2))
    with pytest.raises(UsageError, match=r"not of this version's form.*format"):
        recorded.again()


def test_a_record_names_no_file_outside_of_it(recorded):
    recorded.rewrite(lambda record: record["files"].update({"../x": "0" * 64}))
    with pytest.raises(IntegrityError, match=r"a file outside: \.\./x"):
        recorded.again()


def test_a_builder_that_cannot_be_imported_comes_with_what_differs(
    recorded, monkeypatch
):
    recorded.rewrite(lambda record: record["distributions"].append("dropped==1.0"))
    monkeypatch.setenv("HIDDEN_IN_TEST", "many")
    with pytest.raises(UsageError, match=r"cannot be trained again .*lock dropped"):
        recorded.again()
