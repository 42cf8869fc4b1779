"""`headrace.use.drafting`: a project to begin with."""

import pytest

from headrace.errors import NotFoundError, UsageError
from headrace.settings import Settings
from headrace.use.drafting import create_project


def test_a_project_has_its_own_pipeline(tmp_path):
    settings = Settings(project=tmp_path)
    pipeline = create_project(tmp_path / "new" / "one", "digits", settings)
    assert pipeline == tmp_path / "new" / "one" / "pipelines" / "digits"
    assert sorted(path.name for path in pipeline.iterdir()) == [
        *("README.md", "pipeline.toml")
    ]
    ignored = (tmp_path / "new" / "one" / ".gitignore").read_text()
    assert ".headrace/" in ignored
    readme = (tmp_path / "new" / "one" / "README.md").read_text()
    assert "headrace run digits" in readme


def test_a_git_repository_without_files_becomes_a_project(tmp_path):
    (tmp_path / ".git").mkdir()
    create_project(tmp_path, "messages", Settings(project=tmp_path))
    assert (tmp_path / "pipelines" / "messages" / "pipeline.toml").is_file()


def test_a_folder_with_other_files_becomes_a_project(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    create_project(tmp_path, "digits", Settings(project=tmp_path))
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "pipelines" / "digits" / "pipeline.toml").is_file()


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(UsageError, match=r"already has README\.md.*init FOLDER"):
        create_project(tmp_path, "digits", Settings(project=tmp_path))
    with pytest.raises(UsageError, match=r"README\.md cannot be made: File exists"):
        create_project(tmp_path / "README.md", "digits", Settings(project=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


@pytest.mark.parametrize("name", ["notes.txt/new", "n" * 300])
def test_a_folder_that_cannot_be_made_is_named(tmp_path, name):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=f"{name} cannot be made: .*"):
        create_project(tmp_path / name, "digits", Settings(project=tmp_path))


def test_an_unknown_example_is_named(tmp_path):
    with pytest.raises(NotFoundError, match="Did you mean digits"):
        create_project(tmp_path / "new", "digit", Settings(project=tmp_path))
    assert not (tmp_path / "new").exists()
