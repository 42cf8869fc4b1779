"""``headrace run``, end to end: its answers, and what it leaves behind."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlparse

import psutil
import pytest
from tests.homes import STAGES, mlflow_runs, rows_of, states

from headrace.errors import DependencyError


def test_the_first_run_promotes_and_answers_with_one_object(first):
    answer = first[1].json
    assert first[1].exit_code == 0
    assert (answer["pipeline"], answer["model"]) == ("blobs", "blobs")
    assert (answer["status"], answer["version"]) == ("promoted", 1)
    assert answer["aliases"] == ["champion"]
    assert "no champion to compare with" in answer["reason"]
    assert "epoch 3/3" in first[1].err


def test_the_answer_has_every_field_of_the_contract(first):
    answer = first[1].json
    kinds = {
        "pipeline": str,
        "status": str,
        "reason": str,
        "model": str,
        "version": int,
        "aliases": list,
        "metrics": dict,
        "slices": dict,
        "gates": list,
        "snapshot": dict,
        "warnings": list,
        "stages": list,
        "run_id": str,
        "flow_run_id": str,
        "weights_digest": str,
        "seconds": float,
        "links": dict,
    }
    assert {name: type(answer[name]) for name in kinds} == kinds
    assert answer["metrics"]["test_accuracy"] >= 0.95
    classes = {"class=0", "class=1", "class=2"}
    assert {n for n in answer["slices"] if not n.startswith("rung=")} == classes
    for gate in answer["gates"]:
        assert {"name", "passed", "value", "threshold", "p_value"} <= set(gate)
        assert gate["passed"]
    assert [gate["name"] for gate in answer["gates"]] == [
        "accuracy",
        "finite",
        "latency",
        "champion",
        "serving",
    ]
    snapshot = answer["snapshot"]
    assert snapshot["rows"] == {"train": 171, "val": 9, "test": 60}
    assert (len(snapshot["digest"]), snapshot["quarantined"]) == (64, 0)
    for warning in answer["warnings"]:
        assert {"check", "split", "count", "message"} <= set(warning)
    assert [stage["name"] for stage in answer["stages"]] == STAGES
    assert {stage["state"] for stage in answer["stages"]} == {"completed"}
    assert [stage["why"] for stage in answer["stages"]][:4] == ["first run"] * 4
    assert all(stage["seconds"] >= 0 for stage in answer["stages"])


def test_the_runs_of_prefect_and_mlflow_name_each_other(first):
    home, answer = first[0], first[1].json
    assert mlflow_runs(home) == [(answer["run_id"], "FINISHED")]
    names = rows_of(home.path / "mlflow.db", "SELECT name FROM runs")
    assert names == [("blobs v1",)]
    tags = dict(rows_of(home.path / "mlflow.db", "SELECT key, value FROM tags"))
    assert tags["mlflow.headrace.flow_run_id"] == answer["flow_run_id"]
    assert answer["flow_run_id"] in tags["mlflow.note.content"]
    docs = Path(urlparse(answer["links"]["data_docs"]).path)
    assert "<html" in docs.read_text().lower()


def test_a_home_without_servers_links_to_no_server(first):
    home, answer = first[0], first[1].json
    assert set(answer["links"]) == {"data_docs"}
    (page,) = (home.path / "mlartifacts").rglob("report.html")
    assert 'href="http' not in page.read_text(encoding="utf-8")


def test_prefect_keeps_the_flow_its_stages_and_its_spec(first):
    database = first[0].path / "prefect" / "prefect.db"
    ((name, kind, state, parameters),) = rows_of(
        database, "SELECT name, state_type, state_name, parameters FROM flow_run"
    )
    assert name == "blobs, version 1"
    assert (kind, state) == ("COMPLETED", "Promoted")
    assert json.loads(parameters)["pipeline"]["training"]["epochs"] == 3
    tasks = rows_of(
        database,
        "SELECT task_key, state_type, task_inputs FROM task_run ORDER BY start_time",
    )
    assert [key.split("-")[0] for key, _, _ in tasks] == STAGES
    assert {kind for _, kind, _ in tasks} == {"COMPLETED"}
    edges = [edge for *_, inputs in tasks for edge in json.loads(inputs).values()]
    assert not any(edges), "Prefect draws them across the names"


def test_the_first_line_of_the_logs_names_the_report(first):
    home = first[0]
    database = home.path / "prefect" / "prefect.db"
    lines = rows_of(database, "SELECT message FROM log ORDER BY timestamp")
    assert lines[0][0].startswith("Beginning flow run")
    assert lines[1][0] == "The report of this run: the artifact blobs-report"
    ((key, text),) = rows_of(database, "SELECT key, data FROM artifact")
    report = json.loads(text)
    assert (key, report.splitlines()[0]) == ("blobs-report", "# blobs, version 1")
    assert "`report.html`" in report, "no server has it"


def test_no_server_outlives_its_run(first):
    home = str(first[0].path)
    left = [
        process.pid
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get("HEADRACE_HOME") == home
    ]
    assert left == []


@pytest.mark.parametrize("options", [["--json"], []])
def test_the_second_run_is_unchanged_and_imports_nothing_heavy(first, options):
    code = (
        "import sys, json\n"
        "from headrace_cli.main import main\n"
        f"sys.argv = ['headrace', 'run', 'blobs', *{options}]\n"
        "try:\n    main()\n"
        "except SystemExit as leave:\n"
        "    heavy = {'prefect', 'tensorflow', 'keras', 'great_expectations', 'mlflow',"
        " 'pandas', 'pyarrow', 'numpy', 'matplotlib'} & set(sys.modules)\n"
        "    sys.stderr.write(json.dumps([leave.code, sorted(heavy)]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **first[0].environment},
        capture_output=True,
        text=True,
        check=True,
    )
    first_line, last_line = done.stderr.splitlines()
    assert first_line.endswith("blobs: looking for what has changed since the last run")
    assert json.loads(last_line) == [0, []]
    if not options:
        assert "blobs version 1: unchanged" in done.stdout
        return
    answer = json.loads(done.stdout)
    assert (answer["status"], answer["version"]) == ("unchanged", 1)
    assert answer["reason"] == "version 1 is the champion"
    assert answer["aliases"] == ["champion"]
    assert set(states(answer).values()) == {"cached"}
    before = first[1].json
    for name in ("metrics", "slices", "gates", "snapshot", "run_id", "weights_digest"):
        assert answer[name] == before[name]
    assert set(answer) == set(before)


def test_people_get_a_page_of_text(first):
    answer = first[0].headrace("run", "blobs")
    assert answer.exit_code == 0
    for text in (
        "blobs version 1: unchanged",
        "test accuracy",
        "gate accuracy",
        "data: 171 train, 9 val, 60 test",
        f"home: {first[0].path}",
        "data_docs: file://",
    ):
        assert text in answer.out


def test_a_run_has_a_report_that_needs_no_other_file(first):
    home, answer = first[0], first[1].json
    opened = home.headrace("open", "blobs", "--json")
    assert opened.exit_code == 0
    assert opened.json == home.headrace("open", "blobs/1", "--json").json | {
        "name": "blobs"
    }
    report = Path(opened.json["report"])
    assert report.parts[-3:] == (answer["run_id"], "artifacts", "report.html")
    text = report.read_text()
    for shown in (
        "blobs, version 1",
        "there was no champion to compare with",
        "There was no other champion to compare with.",
        "<h2>By class</h2>",
        answer["snapshot"]["digest"],
        answer["weights_digest"],
        '<td>training.epochs</td><td class="text">3</td>',
        "<td>keras</td>",
        "<code>headrace up</code>",
    ):
        assert shown in text
    assert text.count('<img src="data:image/png;base64,') >= 3  # curves and the task's
    assert not re.search(r"<script|<link|src=\"(?!data:)|url\(", text)
    assert home.headrace("open", "blobs").out.strip() == str(report)


def test_what_has_no_report_is_named(first):
    missing = first[0].headrace("open", "nothing", "--json")
    assert missing.exit_code == 2
    assert "There is no pipeline 'nothing'." in missing.json["reason"]
    assert "blobs" in missing.json["reason"]
    assert first[0].headrace("open", "blobs/9").exit_code == 2


@pytest.mark.system
def test_another_seed_is_registered_and_the_champion_kept(second):
    home, answer = second[0], second[1].json
    assert second[1].exit_code == 0
    assert (answer["status"], answer["version"]) == ("registered", 2)
    assert answer["reason"].startswith("champion kept: not significantly better")
    assert answer["aliases"] == ["challenger"]
    assert states(answer) == {
        "ingest": "cached",
        "validate": "cached",
        "train": "completed",
        "evaluate": "completed",
        "register": "completed",
        "promote": "completed",
    }
    whys = {stage["name"]: stage["why"] for stage in answer["stages"]}
    assert whys["train"] == "training.seed 1 → 2"
    assert whys["ingest"] == "nothing it depends on has changed"
    assert [status for _, status in mlflow_runs(home)] == ["FINISHED"] * 2


@pytest.mark.system
def test_a_run_whose_champion_was_kept_is_unchanged_when_repeated(second):
    again = second[0].headrace("run", "blobs", "--set", "training.seed=2", "--json")
    assert again.exit_code == 0
    assert (again.json["status"], again.json["version"]) == ("unchanged", 2)
    assert again.json["reason"].startswith("champion kept")
    assert again.json["aliases"] == ["challenger"]


@pytest.mark.system
def test_a_model_no_worse_on_enough_new_items_is_promoted(
    after_first, prefect_server, tmp_path, write_data
):
    newer = write_data(tmp_path / "newer.npz", train=240, test=1000, seed=7)
    answer = after_first.headrace("run", "blobs", "--data", str(newer), "--json")
    found = answer.json
    assert answer.exit_code == 0
    assert (found["status"], found["version"]) == ("promoted", 2)
    assert "no worse than version 1 on 1,000 new test items" in found["reason"]
    assert found["snapshot"]["rows"]["test"] == 1000
    assert found["metrics"]["new_items"] == 1000
    assert set(states(found).values()) == {"completed"}
    again = after_first.headrace("run", "blobs", "--data", str(newer), "--json")
    assert (again.json["status"], again.json["version"]) == ("unchanged", 2)


@pytest.mark.system
def test_too_few_new_items_do_not_show_that_a_model_is_no_worse(
    after_first, prefect_server, tmp_path, write_data
):
    newer = write_data(tmp_path / "newer.npz", train=240, test=90, seed=7)
    answer = after_first.headrace("run", "blobs", "--data", str(newer), "--json")
    found = answer.json
    assert answer.exit_code == 0
    assert (found["status"], found["version"]) == ("registered", 2)
    assert "on 90 test items (90 of them new)" in found["reason"]


@pytest.mark.system
def test_without_gates_a_version_is_only_registered(after_first, prefect_server):
    answer = after_first.headrace("run", "blobs", "--set", "gates=[]", "--json")
    found = answer.json
    assert answer.exit_code == 0
    assert found["status"] == "registered"
    assert found["reason"].startswith("there are no gates; an experiment")
    assert [gate["name"] for gate in found["gates"]] == ["serving"]
    assert states(found)["train"] == "cached"
    why = next(s["why"] for s in found["stages"] if s["name"] == "evaluate")
    assert why.startswith("gates.")


@pytest.mark.system
def test_check_ingests_and_validates_without_training(home, project):
    answer = home.headrace("check", "blobs", "--data", "default", "--json")
    found = answer.json
    assert answer.exit_code == 0
    assert found["pipeline"] == "blobs"
    assert found["snapshot"]["rows"] == {"train": 171, "val": 9, "test": 60}
    assert found["reason"] == "the data keeps its contract"
    assert found["warnings"] == []
    assert mlflow_runs(home) == []
    assert (
        states(home.headrace("check", "blobs", "--data", "default", "--json").json)[
            "validate"
        ]
        == "cached"
    )


@pytest.mark.system
def test_a_page_that_cannot_be_made_does_not_fail_the_run(
    after_first, prefect_server, monkeypatch
):
    def broken(**_):
        raise ConnectionError("no route")

    monkeypatch.setattr("headrace_flows.report.get_client", broken)
    answer = after_first.headrace("run", "blobs", "--json", "--set", "training.seed=2")
    assert answer.exit_code == 0, answer.err
    assert answer.json["status"] in {"promoted", "registered"}
    assert "page has no report: ConnectionError: no route" in answer.err


def test_a_report_that_was_lost_to_a_full_disk_is_made_by_the_next_run(
    after_first, prefect_server, monkeypatch
):
    def full(*_):
        raise DependencyError("No space left on device.")

    command = ("run", "blobs", "--set", "training.seed=2")
    with monkeypatch.context() as patch:
        patch.setattr("headrace_flows.report.log_report", full)
        lost = after_first.headrace(*command)
    assert lost.exit_code == 0, lost.err
    assert "report: headrace open" not in lost.out
    assert after_first.headrace("open", "blobs/2").exit_code == 2

    again = after_first.headrace(*command)
    assert again.exit_code == 0, again.err
    assert "report: headrace open blobs" in again.out
    opened = after_first.headrace("open", "blobs/2", "--json").json
    assert "blobs, version 2" in Path(opened["report"]).read_text()
    third = after_first.headrace(*command)
    assert "unchanged" in third.out
    assert "report: headrace open blobs" in third.out
    assert "prefect:" not in third.out, "nothing was left to do"
