"""``headrace run --deployed``, against a real Prefect server without workers."""

from typing import Any

import pytest

Home = Any


@pytest.fixture
def place(home, tmp_path):
    """A home whose project has the pipeline ``blobs`` with a [deploy] table."""
    return home.with_law(tmp_path / "project", deploy="{}")


def test_a_run_of_what_was_deployed_is_started(place, client):
    assert place.headrace("deploy", "--json").exit_code == 0
    path = place.project / "pipelines" / "blobs" / "pipeline.toml"
    path.write_text(path.read_text().replace("epochs = 3", "epochs = 5"))
    answer = place.headrace("run", "blobs", "--deployed", "--json")
    assert answer.exit_code == 0, answer.err
    run = client.read_flow_run(answer.json["flow_run_id"])
    deployed = client.read_deployment_by_name("train/blobs").parameters
    assert (run.name, run.parameters) == (answer.json["run"], deployed)
    assert deployed["pipeline"]["training"]["epochs"] == 3
    assert answer.json["link"].endswith(f"/runs/flow-run/{run.id}")
    assert (answer.json["experiment"], answer.json["overrides"]) == (False, [])
    assert "no worker of pool cpu" in answer.json["reason"]
    assert answer.json["link"].rpartition("/")[0] in (
        place.headrace("run", "blobs", "--deployed").out
    )


def test_links_begin_where_browsers_reach_the_pages(place, client, monkeypatch):
    monkeypatch.setenv("PREFECT_UI_URL", "https://prefect.lab/")
    deployed = place.headrace("deploy", "--json").json["deployments"]
    started = place.headrace("run", "blobs", "--deployed", "--json").json
    for link in (started["link"], *(one["link"] for one in deployed)):
        assert link.startswith("https://prefect.lab/"), link


def test_overrides_of_the_law_make_an_experiment(place, client):
    place.headrace("deploy", "--json")
    deployed = client.read_deployment_by_name("train/blobs").parameters
    source = place.project / "other.npz"
    said = ("--set", "training.seed=2", "--data", str(source), "--json")
    answer = place.headrace("run", "blobs", "--deployed", *said)
    run = client.read_flow_run(answer.json["flow_run_id"]).parameters
    assert answer.json["experiment"] is False
    assert run["folder"] == deployed["folder"]
    assert run["pipeline"]["training"]["seed"] == 2
    assert run["pipeline"]["data"]["source"] == str(source)

    answer = place.headrace("run", "blobs", "--deployed", "--set", "gates=[]", "--json")
    run = client.read_flow_run(answer.json["flow_run_id"]).parameters
    assert (answer.json["experiment"], answer.json["overrides"]) == (True, ["gates"])
    expected = deployed["pipeline"] | {"gates": []}
    assert run["pipeline"] == expected


def test_what_is_not_deployed_is_told(place, client):
    answer = place.headrace("run", "blobs", "--deployed", "--json")
    assert answer.exit_code == 2
    assert "blobs of this project is not deployed" in answer.json["reason"]
    assert answer.json["error"]["action"] == "Run `headrace deploy blobs`."
    wrong = place.headrace(
        "run", "blobs", "--deployed", "--set", "training.epoch=2", "--json"
    )
    assert (wrong.exit_code, wrong.json["error"]["kind"]) == (2, "SpecError")


def test_without_a_server_it_says_how_to_start_one(place, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    answer = place.headrace("run", "blobs", "--deployed", "--json")
    assert answer.exit_code == 2
    assert "headrace up" in answer.json["error"]["action"]


def test_what_is_deployed_is_not_registered_only(place):
    answer = place.headrace("run", "blobs", "--deployed", "--register-only", "--json")
    assert answer.exit_code == 2
    assert "--register-only" in answer.json["reason"]
