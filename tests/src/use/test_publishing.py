"""An export goes to the Hub with its card, and without items of the training data."""

import json
from pathlib import Path

import pytest
from tests.extras import needs_hub
from tests.homes import Home as HomeOf
from tests.hub import COMMIT, TOKEN, Repository, enter, running
from tests.src.state.ledger.conftest import a_version, some_evidence

from headrace.errors import (
    DependencyError,
    IntegrityError,
    NotFoundError,
    Refusal,
    UsageError,
)
from headrace.records import BackboneRecord
from headrace.state.home import Home
from headrace.state.ledger import Ledger
from headrace.use.exporting import export
from headrace.use.exporting.publishing import push, require_pushable

pytestmark = needs_hub
PLACE = "hf://ada/images"


@pytest.fixture
def server(tmp_path, monkeypatch):
    with running(tmp_path / "created") as server:
        enter(server, monkeypatch)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server


@pytest.fixture
def exported(built, tmp_path):
    return export("images/1", "onnx", tmp_path / "out", built)


@pytest.mark.system
def test_the_model_and_its_card_are_one_commit_in_a_private_repository(
    server, built, exported
):
    home = Home(built)
    assert require_pushable("images/1", PLACE, home).version == 1
    pushed = push(exported, PLACE, home)

    names = ["README.md", "model.json", "model.onnx"]
    assert pushed.url == f"{server.url}/ada/images"
    assert (pushed.commit, pushed.is_private) == (COMMIT, True)
    assert list(pushed.files) == names
    digest = json.loads(Path(exported.output, "model.json").read_text())["model_digest"]
    assert server.commits == [(f"images version 1, {digest[:16]}", names)]
    folder = server.repositories["models/ada/images"].folder
    for name in names[1:]:
        assert (folder / name).read_bytes() == Path(exported.output, name).read_bytes()
    card = (folder / "README.md").read_text()
    assert card.startswith('---\ntags: ["headrace", "image", "classification", "onnx"]')
    assert "images version 1, as onnx" in card
    assert 'onnxruntime.InferenceSession("model.onnx")' in card
    assert "golden" not in card
    assert server.tokens == {TOKEN}


@pytest.mark.system
def test_the_same_again_is_no_other_commit_and_a_public_place_is_said_to_be(
    server, built, exported
):
    place = server.folder / "public"
    place.mkdir(parents=True)
    (place / "notes.txt").write_text("stays")
    server.repositories["models/ada/images"] = Repository(place)
    home = Home(built)
    assert not push(exported, PLACE, home).is_private
    push(exported, PLACE, home)
    assert len(server.commits) == 1
    assert (place / "notes.txt").read_text() == "stays"


@pytest.mark.system
def test_the_command_says_where_it_is(server, built, tmp_path, project):
    home = HomeOf(built.home, project)
    arguments = ("export", "images/1", "--format", "onnx", "--push", PLACE, "--output")
    told = home.headrace(*arguments, str(tmp_path / "one"))
    assert told.exit_code == 0, told.err
    end = f"pushed to {server.url}/ada/images, which is private: commit {COMMIT[:12]}"
    assert told.out.splitlines()[-1] == end
    answer = home.headrace(*arguments, str(tmp_path / "two"), "--json")
    assert answer.json["pushed"]["commit"] == COMMIT
    assert TOKEN not in told.out + told.err + answer.out + answer.err


@pytest.mark.system
def test_a_place_of_others_and_a_hub_that_fails_are_named(
    server, built, exported, monkeypatch
):
    with pytest.raises(UsageError, match="hf://bob/images cannot be written") as no:
        push(exported, "hf://bob/images", Home(built))
    assert "set HF_TOKEN" in no.value.action
    assert TOKEN not in str(no.value)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DependencyError, match=f"{PLACE} cannot be written: Connect"):
        push(exported, PLACE, Home(built))


@pytest.fixture
def home(settings):
    """A home with a version that begins with a backbone of a licence."""
    backbone = BackboneRecord(
        name="small",
        digest="d" * 64,
        licence="GPL-3.0",
        source="hf://a/b",
        architecture="bert",
    )
    details = {"training": {"backbone": backbone.model_dump(mode="json")}}
    Ledger(settings.database_url).add_version(a_version(1, details=details))
    return Home(settings)


def judge(home, **promotion):
    law = {"committed": {"promotion": promotion}}
    home.ledger.add_evidence(some_evidence(1, law=law))


def test_what_the_law_refuses_is_not_pushed(server, home):
    assert require_pushable("digits/1", PLACE, home).model == "digits"
    judge(home, licence=["GPL-3.0", "MIT"])
    assert require_pushable("digits/1", PLACE, home).model == "digits"
    judge(home, licence=["MIT"])
    with pytest.raises(Refusal, match=r"is not pushed: .* small has the licence GPL"):
        require_pushable("digits/1", PLACE, home)
    assert not server.asked


def test_an_unsigned_version_is_not_pushed_where_the_law_wants_a_signature(
    server, home
):
    judge(home, signed=True)
    with pytest.raises(IntegrityError, match="wants a signed version"):
        require_pushable("digits/1", PLACE, home)


@pytest.mark.parametrize(
    "uri", ["s3://a/b", "hf://a", "hf://datasets/a/b", "hf://a/b/c"]
)
def test_what_is_no_repository_of_models_is_refused(server, home, uri):
    with pytest.raises(UsageError, match=f"--push {uri}: that is no repository") as no:
        require_pushable("digits/1", uri, home)
    assert no.value.action == "Write hf://OWNER/NAME."


def test_a_token_and_a_version_are_needed(server, home, monkeypatch):
    with pytest.raises(NotFoundError, match="digits"):
        require_pushable("digits/2", PLACE, home)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UsageError, match=f"Writing to {PLACE} needs a token"):
        require_pushable("digits/1", PLACE, home)
