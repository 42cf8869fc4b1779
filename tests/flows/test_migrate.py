"""``headrace migrate`` and ``headrace init`` as a user has them."""

import subprocess
import sys
import time
from dataclasses import replace

import pytest
from tests.homes import states

from headrace.settings import Settings
from headrace_ops import postgres


def test_a_moved_home_says_where_it_is_and_runs_there(after_first, tmp_path):
    place = tmp_path / "elsewhere"
    ready = after_first.headrace("migrate", "--to", str(place), "--check", "--json")
    assert (ready.exit_code, ready.json["status"]) == (0, "ready")
    assert not place.exists()
    answer = after_first.headrace("migrate", "--to", str(place))
    assert answer.exit_code == 0, answer.err
    assert f"export HEADRACE_HOME={place}" in answer.out
    moved = replace(after_first, path=place)
    again = moved.headrace("run", "blobs", "--json").json
    assert (again["status"], set(states(again).values())) == ("unchanged", {"cached"})
    refused = after_first.headrace("migrate", "--to", str(place), "--json")
    assert refused.exit_code == 2
    assert "is there already" in refused.json["reason"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing would be moved"),
        (["--to", "s3://bucket/home"], "Name an object store with --store"),
        (["--postgres", "--to", "place"], "Leave --to"),
    ],
)
def test_what_cannot_be_moved_is_refused(after_first, arguments, message):
    answer = after_first.headrace("migrate", *arguments, "--json")
    assert answer.exit_code == 2
    assert message in answer.json["reason"]


def test_a_home_of_sqlite_files_goes_to_its_own_postgresql(after_first):
    home = after_first.path
    refused = after_first.headrace("up", "--postgres", "--json")
    assert refused.exit_code == 2
    assert "headrace migrate --postgres" in refused.json["reason"]
    answer = after_first.headrace("migrate", "--postgres", "--json")
    assert answer.exit_code == 0, answer.err
    assert {part["name"] for part in answer.json["parts"]} == {"ledger", "mlflow"}
    assert answer.json["environment"] == {}
    assert (home / "sqlite" / "headrace.db").is_file()
    assert not (home / "headrace.db").exists()
    down = after_first.headrace("verify", "--json")
    assert (down.exit_code, "headrace up" in down.json["reason"]) == (3, True)
    settings = Settings(project=after_first.project, home=home)
    keeper = subprocess.Popen([sys.executable, "-m", postgres.__name__, str(home)])
    try:
        limit = time.monotonic() + 300
        while not postgres.is_ready(settings):
            assert time.monotonic() < limit
            time.sleep(0.1)
        verified = after_first.headrace("verify", "--json")
        assert verified.exit_code == 0, verified.out
        assert verified.json["chain"] == answer.json["chain"]
        twice = after_first.headrace("migrate", "--postgres", "--json")
        assert twice.exit_code == 2
        assert "has a PostgreSQL of its own already" in twice.json["reason"]
    finally:
        keeper.terminate()
        keeper.wait(300)


def test_a_project_is_begun(home, tmp_path):
    answer = home.headrace("init", str(tmp_path / "mill"))
    assert answer.exit_code == 0
    assert f"next: cd {tmp_path / 'mill'} && headrace run digits" in answer.out
    refused = home.headrace("init", str(tmp_path / "mill"), "--json")
    assert refused.exit_code == 2
    assert "already has pipelines" in refused.json["reason"]
