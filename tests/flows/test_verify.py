"""``headrace verify``: what fits after a run, and the first thing that does not."""

import re
import shutil
from datetime import UTC, datetime

import pytest
from tests.flows.conftest import events_of
from tests.homes import execute
from tests.src.state.ledger.conftest import setting

from headrace.settings import Settings
from headrace.state.ledger import Ledger
from headrace.state.tracking import MODEL_FILE


def settings_of(home):
    return Settings(project=home.project, home=home.path, user="ada@lab")


def test_after_a_run_everything_fits(after_first):
    answer = after_first.headrace("verify", "--json")
    assert answer.exit_code == 0, answer.out
    found = answer.json
    assert (found["status"], found["problem"], found["model"]) == ("ok", None, None)
    assert found["checked"]["snapshots"] == 1
    assert found["checked"]["models"] == found["checked"]["golden answers"] == 1
    chain = Ledger(settings_of(after_first).database_url).walk_chain()
    assert found["chain"] == {"rows": chain.rows, "head": chain.head}
    kept = after_first.headrace("verify", "--head", chain.head)
    assert kept.exit_code == 0, kept.out
    other = after_first.headrace("verify", "--head", "e" * 64, "--json")
    assert (other.exit_code, other.json["problem"]["where"]) == (1, "ledger")
    of_one = after_first.headrace("verify", "blobs", "--json")
    assert of_one.exit_code == 0
    assert of_one.json["model"] == "blobs"
    assert of_one.json["reason"].startswith("everything of blobs fits the ledger (")
    page = after_first.headrace("verify")
    assert page.exit_code == 0
    assert "everything fits the ledger" in page.out


def test_an_unknown_model_is_a_mistake(after_first):
    answer = after_first.headrace("verify", "nobody", "--json")
    assert answer.exit_code == 2
    assert "Known models: blobs" in answer.json["reason"]


def test_a_home_that_is_not_there_is_not_made(home):
    answer = home.headrace("verify", "--json")
    assert answer.exit_code == 2
    assert not home.path.exists()


def file_of(home, pattern):
    found = sorted(home.path.glob(pattern))
    assert len(found) == 1 or not pattern.startswith("mlartifacts"), found
    return found[0]


@pytest.mark.parametrize(
    ("pattern", "where", "what"),
    [
        ("store/snapshots/*/items/*.parquet", "store", "not the file that was written"),
        ("mlartifacts/**/model.keras", "model", "blobs/1: .*changed or damaged"),
        (
            "mlartifacts/**/golden.npz",
            "model",
            "blobs/1: .*golden.npz.*not what was logged",
        ),
    ],
)
def test_a_file_with_one_other_byte_is_named(after_first, pattern, where, what):
    file = file_of(after_first, pattern)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    answer = after_first.headrace("verify", "--json")
    assert answer.exit_code == 1
    problem = answer.json["problem"]
    assert problem["where"] == where
    assert re.search(what, problem["what"]), problem
    assert problem["action"]


def test_what_is_absent_is_counted_and_a_champion_must_have_its_own(after_first):
    file_of(after_first, "mlartifacts/**/model.keras").unlink()
    answer = after_first.headrace("verify", "--json")
    assert answer.exit_code == 1
    assert "no longer in MLflow" in answer.json["problem"]["what"]
    shutil.rmtree(after_first.path / "store" / "snapshots")
    problem = after_first.headrace("verify", "--json").json["problem"]
    assert re.match(r"The data of blobs version 1: .* is gone\.", problem["what"])


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE registered_model_aliases SET version = 7", "alias champion of blobs"),
        ("DELETE FROM registered_model_aliases", "is on no version"),
    ],
)
def test_what_mlflow_says_otherwise_is_named(after_first, statement, what):
    execute(after_first.path / "mlflow.db", statement)
    answer = after_first.headrace("verify", "--json")
    assert answer.exit_code == 1
    assert answer.json["problem"]["where"] == "mlflow"
    assert what in answer.json["problem"]["what"]


def test_a_row_of_the_ledger_that_was_changed_is_named_first(after_first):
    file_of(after_first, "store/stages/*.json").write_text("{}")
    place = after_first.path / "headrace.db"
    execute(place, setting("sqlite", "who", "somebody", "kind = 'decision'"))
    answer = after_first.headrace("verify", "--json")
    assert answer.exit_code == 1
    assert answer.json["problem"]["where"] == "ledger"
    assert "(decision blobs/1) was changed" in answer.json["problem"]["what"]
    repaired = after_first.headrace("verify", "--repair", "--json")
    assert (repaired.exit_code, repaired.json["repairs"]) == (1, [])
    assert repaired.json["problem"] == answer.json["problem"]
    checks = after_first.headrace("doctor", "--json").json["checks"]
    (chain,) = [check for check in checks if check["name"] == "ledger"]
    assert chain["state"] == "wrong"
    assert "was changed" in chain["seen"]


def test_the_flow_puts_a_lost_model_back_and_emits_what_it_found(
    after_first, client, monkeypatch
):
    from prefect.events.worker import EventsWorker

    from headrace_flows.verify import verify

    after_first.enter(monkeypatch)
    state = verify(return_state=True)
    assert (state.is_completed(), state.name) == (True, "Ok"), state.message
    began = datetime.now(UTC)
    model = file_of(after_first, f"mlartifacts/**/{MODEL_FILE}")
    model.unlink()
    state = verify(return_state=True)
    assert (state.name, model.is_file()) == ("Ok", True), state.message
    shutil.rmtree(after_first.path / "store" / "models")
    model.unlink()
    state = verify("blobs", return_state=True)
    assert (state.is_failed(), state.name) == (True, "Broken")
    EventsWorker.drain_all(timeout=10)
    lost = [p["message"] for p in events_of(client, "headrace.lost", began, 2)]
    assert len(lost) == 2
    (failed,) = (text for text in lost if "The store has no copy of it" in text)
    (restored,) = {*lost} - {failed}
    assert "Put the model file back from the store's copy" in restored
    (broken,) = events_of(client, "headrace.tampered", began)
    assert broken["message"] == state.message
