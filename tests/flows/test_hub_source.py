"""A pipeline on a data set of the Hub: an unchanged one is not downloaded again."""

import pytest
from tests.extras import needs_hub
from tests.homes import Home
from tests.hub import COMMIT, TOKEN, Repository, enter, running

pytestmark = needs_hub
PIPELINE = """
medium = "text"
data = { source = "hf://datasets/ada/notes/rows.csv" }
"""


@pytest.fixture
def server(tmp_path, monkeypatch):
    folder = tmp_path / "notes"
    folder.mkdir()
    lines = [f"note {row} of the {'sea' if row % 2 else 'hill'}" for row in range(200)]
    rows = [f"{line},{'ab'[number % 2]}" for number, line in enumerate(lines)]
    (folder / "rows.csv").write_text("\n".join(["text,label", *rows]))
    with running(tmp_path / "created") as server:
        enter(server, monkeypatch)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        repository = Repository(folder, private=True)
        server.repositories["datasets/ada/notes"] = repository
        yield server


def test_a_data_set_is_read_once_for_each_commit(server, tmp_path, mlflow_database):
    folder = tmp_path / "project" / "pipelines" / "notes"
    folder.mkdir(parents=True)
    (folder / "pipeline.toml").write_text(PIPELINE)
    home = Home.of_project(tmp_path / "project", mlflow_database)

    def read():
        server.asked.clear()
        answer = home.headrace("check", "notes", "--data", "--json")
        assert answer.exit_code == 0, answer.err
        return answer.json["snapshot"]["digest"], server.downloads()

    first, downloads = read()
    assert downloads
    assert all(f"/resolve/{COMMIT}/" in path for path in downloads)
    assert read() == (first, [])

    server.repositories["datasets/ada/notes"].revisions["main"] = "d" * 40
    again, downloads = read()
    assert (again, bool(downloads)) == (first, True), "another commit of the same rows"

    for path in home.path.rglob("*"):
        if path.is_file():
            assert TOKEN.encode() not in path.read_bytes(), path
