"""Where things are: the environment and the home."""

import os
import stat
import subprocess

import pytest

from headrace.errors import UsageError
from headrace.settings import Settings, find_project


def test_the_project_is_the_nearest_folder_with_pipelines_or_a_home(tmp_path):
    (tmp_path / "a" / "pipelines").mkdir(parents=True)
    (tmp_path / "a" / "b" / ".headrace").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").mkdir()
    assert find_project(tmp_path / "a" / "b" / "c") == tmp_path / "a" / "b"
    (tmp_path / "a" / "b" / ".headrace").rmdir()
    assert find_project(tmp_path / "a" / "b" / "c") == tmp_path / "a"


def test_everything_lives_in_the_home_unless_told_otherwise(tmp_path):
    settings = Settings(project=tmp_path)
    home = tmp_path / ".headrace"
    assert settings.home == home
    assert settings.store == str(home / "store")
    assert settings.database_url == f"sqlite:///{home}/headrace.db"
    assert settings.tracking_uri == f"sqlite:///{home}/mlflow.db"


def test_each_place_follows_its_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HEADRACE_STORE", "s3://bucket/store")
    monkeypatch.setenv("HEADRACE_DATABASE_URL", "postgresql://db/headrace")
    monkeypatch.setenv("HEADRACE_USER", "ada")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    settings = Settings(project=tmp_path)
    assert settings.home == tmp_path / "home"
    assert settings.store == "s3://bucket/store"
    assert settings.database_url == "postgresql://db/headrace"
    assert settings.user == "ada"
    assert settings.tracking_uri == "http://mlflow:5000"


@pytest.mark.parametrize("name", ["job%2Fx", "what?"])
def test_a_path_that_no_url_can_have_is_refused(tmp_path, name):
    settings = Settings(project=tmp_path, home=tmp_path / name / "home")
    with pytest.raises(UsageError, match=r"has % or \? in its path"):
        settings.prepare_home()
    assert not (tmp_path / name).exists()


def test_a_variable_without_a_value_is_not_set(tmp_path, monkeypatch):
    for name in ("HOME", "STORE", "USER", "DATA", "MAX_BYTES"):
        monkeypatch.setenv(f"HEADRACE_{name}", "")
    settings = Settings(project=tmp_path)
    assert settings.home == tmp_path / ".headrace"
    assert settings.store == str(tmp_path / ".headrace" / "store")
    assert "@" in settings.user
    assert settings.data is None


def test_a_folder_of_other_files_does_not_become_a_home(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    (shared / "theirs.txt").touch()
    settings = Settings(project=tmp_path, home=shared)
    with pytest.raises(UsageError, match=r"has other files \(theirs.txt\)"):
        settings.prepare_home()
    assert stat.S_IMODE(shared.stat().st_mode) == 0o755
    assert [path.name for path in shared.iterdir()] == ["theirs.txt"]
    (shared / "theirs.txt").rename(shared / "lost+found")  # of the disk itself
    settings.prepare_home()
    assert stat.S_IMODE(shared.stat().st_mode) == 0o700


def test_preparing_a_home_twice_changes_nothing(tmp_path):
    settings = Settings(project=tmp_path)
    assert settings.prepare_home().home == tmp_path / ".headrace"
    assert settings.prepare_home() is settings
    assert (tmp_path / ".headrace" / "format").read_text() == "2\n"


@pytest.mark.parametrize("found", ["0", "1", "something else"])
def test_a_home_of_another_format_is_refused(tmp_path, found):
    settings = Settings(project=tmp_path)
    settings.prepare_home()
    (settings.home / "format").write_text(found)
    with pytest.raises(UsageError, match=f"has format '{found}'.*reads format '2'"):
        settings.prepare_home()


def test_a_home_with_a_ledger_but_no_format_is_refused(tmp_path):
    settings = Settings(project=tmp_path)
    settings.home.mkdir()
    (settings.home / "headrace.db").write_bytes(b"a ledger of an early release")
    with pytest.raises(UsageError, match="has format '0'"):
        settings.prepare_home()


def test_a_format_that_is_no_text_is_refused(tmp_path):
    settings = Settings(project=tmp_path)
    settings.home.mkdir()
    (settings.home / "format").write_bytes(b"\xff\xfe1")
    with pytest.raises(UsageError, match="has format"):
        settings.prepare_home()


def test_a_home_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for home in (tmp_path / "file", tmp_path / "file" / "home"):
        with pytest.raises(UsageError, match="cannot be written"):
            Settings(project=tmp_path, home=home).prepare_home()


@pytest.fixture
def read_only(tmp_path):
    """A folder that cannot be written, for root neither."""
    folder = tmp_path / "read_only"
    folder.mkdir()
    if os.geteuid():
        folder.chmod(0o500)
        yield folder
        folder.chmod(0o700)
        return
    command = ["mount", "-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("root may write everywhere, and cannot mount here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_home_that_cannot_be_written_is_refused(read_only):
    settings = Settings(project=read_only, home=read_only / "home")
    with pytest.raises(UsageError, match=r"home .* cannot be written.*HEADRACE_HOME"):
        settings.prepare_home()


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("MAX_BODY_BYTES", "many", "a valid integer"),
        ("SHADOW_SHARE", "2", "less than or equal to 1"),
        ("ENGINES", "fast", "'auto' or 'none'"),
    ],
)
def test_a_value_that_a_setting_does_not_take_is_named(
    monkeypatch, name, value, reason
):
    monkeypatch.setenv(f"HEADRACE_{name}", value)
    with pytest.raises(UsageError, match=f"HEADRACE_{name} is '{value}': .*{reason}"):
        Settings()


def test_a_privacy_seed_that_could_be_guessed_is_refused_and_not_shown(monkeypatch):
    monkeypatch.setenv("HEADRACE_PRIVACY_SEED", "hunter2")
    with pytest.raises(UsageError, match="SEED is not shown: it has fewer") as refused:
        Settings()
    assert "hunter2" not in str(refused.value)
    monkeypatch.setenv("HEADRACE_PRIVACY_SEED", "x" * 32)
    settings = Settings()
    assert "x" * 32 not in repr(settings)
    assert settings.for_child()["privacy_seed"] == "x" * 32
    assert len(settings.privacy_fingerprint) == 16
    monkeypatch.delenv("HEADRACE_PRIVACY_SEED")
    assert Settings().privacy_fingerprint == ""


def test_a_variable_that_is_no_setting_is_named_with_the_one_that_is_meant(monkeypatch):
    monkeypatch.setenv("HEADRACE_MAX_BYTE", "5")
    monkeypatch.setenv("HEADRACE_QQZZ", "1")
    monkeypatch.setenv("HEADRACE_STOER", "")
    monkeypatch.setenv("HEADRACE_USER", "ada")
    monkeypatch.setenv("HEADRACE_DB_PASSWORD", "compose has it")
    messages = [finding.message for finding in Settings.unknown_variables()]
    no_effect = "is not a setting, and has no effect."
    assert messages == [
        f"HEADRACE_MAX_BYTE {no_effect} Did you mean HEADRACE_MAX_BYTES?",
        f"HEADRACE_QQZZ {no_effect} Leave it out.",
    ]
