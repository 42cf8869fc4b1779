"""A backbone is downloaded from a hub: what may be taken, and of one commit."""

import json
import subprocess
import sys

import pytest
from tests.extras import needs_keras_hub
from tests.hub import COMMIT, Repository, running
from tests.src.models.backbones.conftest import small_bert  # noqa: F401 (a fixture)

pytestmark = [pytest.mark.system, needs_keras_hub]


@pytest.fixture
def hub(small_bert, tmp_path):  # noqa: F811
    """A hub with a backbone."""
    folder = tmp_path / "repository"
    folder.mkdir()
    for path in small_bert.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    (folder / "pytorch_model.bin").write_bytes(b"never asked for")
    with running(tmp_path / "created") as hub:
        hub.repositories["models/a/b"] = Repository(folder)
        yield hub


def add(source, endpoint, tmp_path):
    environment = {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(tmp_path / "hf"),
        "HEADRACE_HOME": str(tmp_path / "home"),
        "HOME": str(tmp_path),
        "PATH": "",
    }
    words = ["-m", "headrace_cli", "backbone", "add", "small", source, "--json"]
    done = subprocess.run(
        [sys.executable, *words],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


def test_of_a_hub_what_may_be_taken_is_downloaded_of_one_commit(hub, tmp_path):
    code, answer = add("hf://a/b", hub.url, tmp_path)
    asked = [path for _, path in hub.asked]
    assert code == 0, answer
    assert answer["source"] == f"hf://a/b@{COMMIT}"
    assert answer["licence"] == "Apache-2.0"
    assert not [path for path in asked if "pytorch_model" in path]
    assert not [path for path in asked if "/a/b" not in path], "it reports home"
    code, answer = add("hf://a/nothing", hub.url, tmp_path)
    assert code == 2
    assert "hf://a/nothing cannot be downloaded: RepositoryNotFound" in answer["reason"]
