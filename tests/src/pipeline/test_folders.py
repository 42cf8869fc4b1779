"""Pipelines are found by name and by path."""

import pytest

from headrace.errors import NotFoundError
from headrace.pipeline.folders import find_pipeline, pipeline_names, pipeline_places
from headrace.settings import Settings


def make_pipeline(place, name):
    folder = place / name
    folder.mkdir(parents=True)
    (folder / "pipeline.toml").write_text('medium = "image"\n[data]\nsource = "x"\n')
    return folder


def test_a_pipeline_is_found_by_name_nearest_place_first(tmp_path):
    own = make_pipeline(tmp_path / "pipelines", "digits")
    settings = Settings(project=tmp_path)
    assert pipeline_places(settings)[0] == tmp_path / "pipelines"
    assert find_pipeline("digits", settings) == own
    assert pipeline_names(settings)["digits"] == own


def test_a_pipeline_is_found_by_path(tmp_path, monkeypatch):
    folder = make_pipeline(tmp_path / "elsewhere", "letters")
    settings = Settings(project=tmp_path)
    assert find_pipeline(str(folder), settings) == folder
    monkeypatch.chdir(folder)
    assert find_pipeline(".", settings) == folder


def test_the_shipped_pipeline_is_found_from_anywhere(tmp_path):
    found = find_pipeline("digits", Settings(project=tmp_path))
    assert (found / "pipeline.toml").is_file()


def test_a_typo_in_a_name_is_answered_with_the_nearest(tmp_path):
    make_pipeline(tmp_path / "pipelines", "letters")
    settings = Settings(project=tmp_path)
    with pytest.raises(
        NotFoundError, match=r"no pipeline 'leters'.*Did you mean letters"
    ):
        find_pipeline("leters", settings)
    with pytest.raises(NotFoundError, match=r"Known pipelines: .*letters"):
        find_pipeline("qqqq", settings)
