"""`headrace logs`: what a run said, from Prefect's database of the home."""

import json
from uuid import UUID

import pytest

from headrace.errors import NotFoundError
from headrace.settings import Settings
from headrace.state.ledger.holding import heartbeat
from headrace_flows.logs import find_flow_run

NONE = "01234567-0123-4123-8123-0123456789ab"


def logs(home, *arguments):
    """The command with a Prefect server of its own: its exit code and its output."""
    process = home.start("logs", *arguments)
    out, _ = process.communicate(timeout=600)
    return process.returncode, out


@pytest.fixture
def settings(first):
    return Settings(project=first[0].project, home=first[0].path)


@pytest.mark.system
def test_the_lines_of_a_run_are_kept_after_its_server_is_gone(first):
    home, flow_run = first[0], first[1].json["flow_run_id"]
    exit_code, out = logs(home, "blobs", "--json")
    found = json.loads(out)
    assert (exit_code, found["flow_run_id"], found["state"]) == (
        0,
        flow_run,
        "Promoted",
    )
    times = [line["time"] for line in found["lines"]]
    assert times == sorted(times)
    said = [line["message"] for line in found["lines"]]
    assert "train: first run" in said
    ended = [one for one in said if "Finished in state Completed()" in one]
    assert ended[0] == "ingest blobs: Finished in state Completed()"
    assert not any(one.startswith("Finished") for one in ended), said
    assert any("epoch 3/3" in line for line in said)
    exit_code, out = logs(home, flow_run)
    shown = out.splitlines()
    assert len(shown) == len(said) + 1
    assert any(line.endswith("  train: first run") for line in shown)
    last = f"blobs, version 1: Promoted in Prefect, flow run {flow_run}; times are UTC"
    assert (exit_code, shown[-1]) == (0, last)


@pytest.mark.system
def test_a_run_that_prefect_does_not_have_is_named(first):
    exit_code, out = logs(first[0], NONE, "--json")
    error = json.loads(out)["error"]
    assert (exit_code, error["kind"]) == (2, "NotFoundError")
    assert error["message"] == f"Prefect has no flow run {NONE}."


def test_no_database_is_made_to_look_for_a_run(home):
    exit_code, out = logs(home, NONE, "--json")
    assert (exit_code, json.loads(out)["error"]["kind"]) == (2, "NotFoundError")
    assert not home.path.exists()


def test_a_run_has_many_names(first, settings):
    answer = first[1].json
    flow_run, run = answer["flow_run_id"], answer["run_id"]
    names = (
        flow_run,
        flow_run[:13],
        run,
        run[:8],
        "blobs",
        "blobs/1",
        "blobs@champion",
    )
    assert {find_flow_run(name, settings) for name in names} == {flow_run}
    assert find_flow_run(NONE.upper(), settings) == NONE


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing", "There is no run 'nothing'."),
        ("blobs/9", "blobs"),
        ("0" * 32, "has no run"),
        ("", "There is no run ''."),
    ],
)
def test_what_names_no_run_is_told(settings, name, said):
    with pytest.raises(NotFoundError, match=said):
        find_flow_run(name, settings)


def test_a_name_of_several_runs_and_of_no_flow_is_told(after_first):
    settings = Settings(project=after_first.project, home=after_first.path)
    runs = [str(UUID(int=number << 64)) for number in (1, 2)]
    with heartbeat(settings, runs[0]), heartbeat(settings, runs[1]):
        with pytest.raises(NotFoundError, match="Several runs begin with '0000'"):
            find_flow_run("0000", settings)
        assert find_flow_run(runs[1][:18], settings) == runs[1]
    with heartbeat(settings, "check-12ab"):
        with pytest.raises(NotFoundError, match="'check' was no run of a flow"):
            find_flow_run("check", settings)
