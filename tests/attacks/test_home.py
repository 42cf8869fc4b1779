"""Attack: another user of the machine looks into a home, or puts one where it is found;
and a home that cannot be written."""

from __future__ import annotations

import ctypes
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.homes import Answer, Home

from headrace.errors import UsageError
from headrace.settings import Settings
from headrace.state.ledger import Ledger
from headrace.state.tracking import Tracking

NOBODY = 65534
_CAPBSET_DROP, _DAC_OVERRIDE = 24, 1

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="another user needs root")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_home_is_its_owners_alone(home):
    old = os.umask(0)
    try:
        settings = Settings(project=home.project, home=home.path)
        settings.prepare_home()
        Ledger(settings.database_url)
        _ = Tracking(settings).client
    finally:
        os.umask(old)
    assert mode(home.path) == 0o700
    assert mode(home.path / "headrace.db") == 0o600
    assert mode(home.path / "mlflow.db") == 0o600
    assert mode(home.path / "mlartifacts") == 0o700


def test_a_home_that_was_open_is_closed_and_the_user_is_told_once(home):
    settings = Settings(project=home.project, home=home.path)
    settings.prepare_home()
    Ledger(settings.database_url)
    home.path.chmod(0o777)
    first = home.start("list", "--json")
    out, err = first.communicate(timeout=120)
    assert first.returncode == 0, err
    assert out.count("\n") == 1
    assert "other users could access the home" in err
    assert "mode 777" in err
    assert mode(home.path) == 0o700
    again = home.start("list", "--json")
    assert "other users" not in again.communicate(timeout=120)[1]


@needs_root
@pytest.mark.parametrize("owner", [NOBODY, 4711])
def test_a_home_of_another_user_is_not_taken_because_it_lies_there(
    owner: int,
    tmp_path: Path,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    trap = tmp_path / ".headrace"
    Settings(project=project, home=trap).prepare_home()
    os.chown(trap, owner, owner)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    with pytest.raises(UsageError, match=r"belongs to another user.*HEADRACE_HOME"):
        Settings().prepare_home()
    answer = Home(trap, tmp_path).headrace("history", "blobs")
    assert "There is no model" in answer.err, "named, it is used"
    assert "belongs to another user" in caplog.text, "and that is said"


def unable_to_write():
    """In a child before it starts: root, too, may not write what it may not write."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_CAPBSET_DROP, _DAC_OVERRIDE, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


def read_only(home, *arguments):
    """Run a command that cannot write to a home."""
    ran = subprocess.run(
        [sys.executable, "-m", "headrace_cli", *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **home.environment},
        cwd=home.project,
        preexec_fn=unable_to_write,
        timeout=240,
    )
    return Answer(ran.returncode, ran.stdout, ran.stderr)


@pytest.fixture
def frozen(after_first):
    """A home after a run, which nobody can write any more."""
    everything = [*after_first.path.rglob("*"), after_first.path]
    for path in everything:
        path.chmod(mode(path) & ~0o222)
    yield after_first
    for path in reversed(everything):
        path.chmod(mode(path) | 0o200)


def test_a_home_that_cannot_be_written_can_be_read(frozen, tmp_path):
    history = read_only(frozen, "history", "blobs", "--json")
    assert [e["to"] for e in history.json["history"]] == [1], history.err
    listed = read_only(frozen, "list", "--json").json["pipelines"]
    assert {p["name"]: p["champion"] for p in listed}["blobs"] == 1
    compared = read_only(frozen, "compare", "blobs", "--json")
    assert compared.json["champion"] == 1, compared.err
    data = frozen.project / "pipelines" / "blobs" / "blobs.npz"
    output = tmp_path / "out.csv"
    scored = read_only(frozen, "score", "blobs", str(data), str(output), "--json")
    assert scored.json["rows"] == 240, scored.err
    assert output.is_file()
    looked_at = read_only(frozen, "doctor", "--json")
    told = {check["name"]: check for check in looked_at.json["checks"]}
    assert "not writable" in told["home"]["seen"], looked_at.err
    assert told["ledger"]["state"] == "ok", told
    for command in (
        ["run", "blobs", "--set", "training.seed=9"],
        ["rollback", "blobs"],
    ):
        refused = read_only(frozen, *command, "--json")
        assert refused.exit_code in (1, 2, 3), refused.err
        assert "Traceback" not in refused.err
        assert refused.json["reason"]
