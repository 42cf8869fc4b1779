"""Which project a pipeline's folder is of."""

import pytest

from headrace.errors import SpecError
from headrace.spec.project import (
    PROJECT_FILE,
    project_file,
    project_id,
    write_project,
)


@pytest.fixture
def mill(tmp_path):
    """A project with one pipeline."""
    (tmp_path / "a mill" / "pipelines" / "bands").mkdir(parents=True)
    write_project(tmp_path / "a mill")
    return tmp_path / "a mill"


def test_an_id_has_the_projects_name_and_is_written_once(mill):
    identity = project_id(mill / PROJECT_FILE)
    assert identity.startswith("a-mill-")
    assert len(identity) == len("a-mill-") + 8
    write_project(mill)
    assert project_id(mill / PROJECT_FILE) == identity


def test_a_folder_is_of_the_nearest_project_above_it(mill):
    own = mill / PROJECT_FILE
    assert project_file(mill / "pipelines" / "bands") == own
    beside = mill / "tries" / "bands"
    beside.mkdir(parents=True)
    assert project_file(beside) == own
    weaker = mill / "weaker" / "pipelines" / "bands"
    weaker.mkdir(parents=True)
    assert project_file(weaker) is None, "it is a project of its own, without an id"
    assert project_id(None) == ""


def test_a_folder_from_the_store_has_the_file_in_it(mill):
    folder = mill / ".headrace" / "folders" / "0"
    folder.mkdir(parents=True)
    assert project_file(folder, is_packed=True) is None
    (folder / PROJECT_FILE).write_text("id = 'other'\n")
    assert project_id(project_file(folder, is_packed=True)) == "other"


def test_a_copy_of_a_folder_from_the_store_is_of_no_project(tmp_path):
    copy = tmp_path / "bands"
    copy.mkdir()
    (copy / PROJECT_FILE).write_text("id = 'other'\n")
    assert project_file(copy) is None


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "id = None"),
        ("id = 3\n", "id = 3"),
        ("id = 'a b'\n", "id = 'a b'"),
        ("id = 'mill'\nname = 'mill'\n", "the key name"),
    ],
)
def test_a_file_without_a_valid_id_is_refused(mill, text, wrong):
    (mill / PROJECT_FILE).write_text(text)
    with pytest.raises(SpecError, match=rf"headrace\.toml has {wrong}\. It takes one"):
        project_id(mill / PROJECT_FILE)
