"""``headrace gc`` and flow runs in Prefect."""

import pytest
import requests
from tests.blobs import WEAK

from headrace.settings import Settings
from headrace_flows.events import ledger_tag
from headrace_ops.environment import authorization, prefect_login

PAGE = 200  # that Prefect answers with at most

pytestmark = pytest.mark.integration


def ask(server, what, wanted):
    """What Prefect's API finds."""
    answer = requests.post(
        f"{server}/{what}/filter",
        json=wanted,
        headers=authorization(prefect_login()),
        timeout=600,
    )
    found = answer.json()
    return found


def test_old_flow_runs_go_with_their_tasks_and_reports(after_second, prefect_server):
    weak = [word for text in WEAK for word in ("--set", text)]
    runs = [
        after_second.headrace(
            "run", "blobs", *weak, "--set", f"training.seed={seed}", "--json"
        ).json
        for seed in (5, 6)
    ]
    old, new = (run["flow_run_id"] for run in runs)
    of_both = {"id": {"any_": [old, new]}}
    assert len(ask(prefect_server, "flow_runs", {"flow_runs": of_both})) == 2
    settings = Settings(project=after_second.project, home=after_second.path)
    of_ledger = {"tags": {"all_": [ledger_tag(settings)]}}
    before = ask(prefect_server, "flow_runs", {"flow_runs": of_ledger})
    assert len(before) < PAGE
    done = after_second.headrace("gc", "--keep", "1", "--older", "0", "--json").json
    counts = {one["kind"]: one["count"] for one in done["collected"]}
    after = ask(prefect_server, "flow_runs", {"flow_runs": of_ledger})
    gone = {one["id"] for one in before} - {one["id"] for one in after}
    assert counts["Prefect runs"] == len(gone)
    assert len(gone) >= 2, "and that of version 2"
    (left,) = ask(prefect_server, "flow_runs", {"flow_runs": of_both})
    assert left["id"] == new
    tasks = ask(prefect_server, "task_runs", {"flow_runs": of_both})
    assert {one["flow_run_id"] for one in tasks} == {new}
    own = {"flow_run_id": {"any_": [old, new]}}
    reports = ask(prefect_server, "artifacts", {"artifacts": own})
    assert {one["flow_run_id"] for one in reports} == {new}
    assert after_second.headrace("verify", "--json").json["missing"] == {}
