"""A data set of the Hub is named by the commit that it has now."""

import pytest
from tests.extras import needs_hub
from tests.hub import COMMIT, TOKEN, Repository, enter, running

from headrace.errors import DependencyError, NotFoundError, UsageError
from headrace.state import hub

pytestmark = needs_hub
OTHER = "b" * 40


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A hub with one data set."""
    folder = tmp_path / "topics"
    folder.mkdir()
    with running(tmp_path / "created") as server:
        revisions = {"main": COMMIT, "v2": OTHER, "refs/pr/1": OTHER}
        server.repositories["datasets/a/topics"] = Repository(folder, revisions)
        enter(server, monkeypatch)
        yield server


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("hf://datasets/a/topics", f"hf://datasets/a/topics@{COMMIT}"),
        ("hf://datasets/a/topics/x/y.csv", f"hf://datasets/a/topics@{COMMIT}/x/y.csv"),
        ("hf://datasets/a/topics@v2/y.csv", f"hf://datasets/a/topics@{OTHER}/y.csv"),
        ("hf://datasets/a/topics@refs%2Fpr%2F1", f"hf://datasets/a/topics@{OTHER}"),
    ],
)
def test_a_revision_is_named_by_its_commit_for_one_question(server, uri, expected):
    assert hub.pinned(uri) == expected
    assert len(server.asked) == 1
    assert not server.tokens


def test_a_commit_is_not_asked_for(server):
    uri = f"hf://datasets/a/topics@{OTHER}/y.csv"
    assert hub.pinned(uri) == uri
    assert not server.asked


@pytest.mark.parametrize("uri", ["s3://bucket/x", "/data/x", "catalog:sms-spam"])
def test_other_sources_stay_as_they_are(uri):
    assert hub.pinned(uri) == uri


@pytest.mark.parametrize("uri", ["hf://a/topics", "hf://datasets/topics", "hf://"])
def test_what_is_no_data_set_is_refused(uri):
    with pytest.raises(UsageError, match=f"{uri} is no data set of Hugging Face") as no:
        hub.pinned(uri)
    assert "hf://datasets/OWNER/NAME" in no.value.action


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("hf://datasets/a/nothing/x.csv", UsageError),  # may be one of somebody else
        ("hf://datasets/a/topics@v3", NotFoundError),
        ("hf://datasets/a/..topics", UsageError),
    ],
)
def test_what_is_not_there_is_named(server, uri, kind):
    with pytest.raises(kind, match=f"{uri} cannot be read: ") as refused:
        hub.pinned(uri)
    assert "Check the name; if it is not public, set HF_TOKEN" in refused.value.action


def test_a_private_data_set_is_read_by_the_token_of_the_environment(
    server, monkeypatch
):
    server.repositories["datasets/a/topics"].private = True
    with pytest.raises(UsageError, match="hf://datasets/a/topics cannot be read"):
        hub.pinned("hf://datasets/a/topics")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert hub.pinned("hf://datasets/a/topics").endswith(COMMIT)
    assert server.tokens == {TOKEN}


def test_a_hub_that_fails_or_is_away_may_be_asked_again(server, monkeypatch):
    server.failing = True
    with pytest.raises(DependencyError, match="hf://datasets/a/topics cannot be read"):
        hub.pinned("hf://datasets/a/topics")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DependencyError, match="cannot be read: ConnectError") as away:
        hub.pinned("hf://datasets/a/topics")
    assert away.value.action == "Check the network, and run it again."


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="needs huggingface_hub") as missing:
        hub.pinned(f"hf://datasets/a/topics@{COMMIT}")
    assert "pip install 'headrace[hub]'" in missing.value.action
