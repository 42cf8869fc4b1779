"""Approval and notifications with a real server, real workers and a real webhook."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

PIPELINE = """
description = "Blobs whose promotion a person decides"
medium = "image"
data.source = {source!r}
model.arguments.hidden = [16]
training = {{ epochs = 3, batch_size = 16, learning_rate = 0.05, seed = 1 }}
gates = [{{ name = "accuracy", threshold = {threshold} }}]
promotion = {{ mode = "approval", approval_hours = {hours} }}
[deploy]
pool = "cpu"
"""


@pytest.fixture
def told():
    """The address of a webhook, and what it was sent."""
    messages = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers["Content-Length"])
            messages.append(json.loads(self.rfile.read(length)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", messages
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def own_project(project, tmp_path):
    """A project with one deployed pipeline that wants approval."""

    def make(name, threshold=0.5, hours=24):
        folder = tmp_path / "pipelines" / name
        folder.mkdir(parents=True)
        source = str(project / "pipelines" / "blobs" / "blobs.npz")
        text = PIPELINE.format(source=source, threshold=threshold, hours=hours)
        (folder / "pipeline.toml").write_text(text)
        return tmp_path

    return make


class Prefect:
    """Prefect's API of the services."""

    def __init__(self, services):
        import httpx

        self.http = httpx.Client(
            base_url=f"{services.links['prefect']}/api",
            headers=services.authorization,
            timeout=30,
        )

    def start(self, pipeline):
        found = self.http.get(f"/deployments/name/train/{pipeline}").json()
        run = self.http.post(f"/deployments/{found['id']}/create_flow_run", json={})
        return str(run.json()["id"])

    def run(self, identity):
        found = self.http.get(f"/flow_runs/{identity}").json()
        return found

    def wait(self, identity, *states):
        def reached():
            run = self.run(identity)
            return run if run["state_name"] in states else None

        try:
            found = until(reached, "")
        except AssertionError:
            state = self.run(identity)["state"]
            logs = self.http.post(
                "/logs/filter",
                json={"logs": {"flow_run_id": {"any_": [identity]}}, "limit": 200},
            ).json()
            said = "\n".join(line["message"] for line in logs[-30:])
            pytest.fail(f"{state['name']}: {state['message']}\n{said}")
        return found

    def stages(self, identity):
        """The task runs of a run, as they began: stage and state."""
        runs = self.http.post(
            "/task_runs/filter",
            json={
                "flow_runs": {"id": {"any_": [identity]}},
                "task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}},
            },
        ).json()
        runs.sort(key=lambda run: run["start_time"])
        return [(run["name"].split("-")[0], run["state_name"]) for run in runs]

    def make_webhook(self, url):
        types = "/block_types/slug/custom-webhook"
        kind = self.http.get(types).json()["id"]
        schema = self.http.post(
            "/block_schemas/filter",
            json={"block_schemas": {"block_type_id": {"any_": [kind]}}},
        ).json()[0]["id"]
        data = {
            "name": "test",
            "url": url,
            "json_data": {"subject": "{{subject}}", "body": "{{body}}"},
        }
        made = self.http.post(
            "/block_documents/",
            json={
                "name": "test",
                "data": data,
                "block_type_id": kind,
                "block_schema_id": schema,
            },
        )
        made.raise_for_status()
        return "custom-webhook/test"


def test_a_worker_suspends_a_run_and_goes_on_with_it_after_the_approval(
    services, own_project
):
    place = {"HEADRACE_PROJECT": str(own_project("wanting"))}
    code, answer = services.headrace("deploy", **place)
    assert code == 0, answer
    prefect = Prefect(services)
    run = prefect.start("wanting")
    found = prefect.wait(run, "Suspended", "Failed", "Crashed")
    assert found["state_name"] == "Suspended", found["state"]
    user = {"HEADRACE_USER": "grace@lab", **place}
    code, answer = services.headrace("approve", "wanting", "--reason", "good", **user)
    assert (code, answer["status"], answer["resumed"]) == (0, "promoted", [run])
    started = time.monotonic()
    found = prefect.wait(run, "Promoted", "Failed", "Crashed", "Registered")
    seconds = time.monotonic() - started
    assert found["state_name"] == "Promoted", found["state"]
    assert "approved by grace@lab (good)" in found["state"]["message"]
    assert seconds < 60


def test_a_suspended_run_survives_a_restart_of_everything(
    own_project, new_home, start_up, take_down
):
    late_hours = 60 / 3600
    own_project("late", hours=late_hours)
    home, place = new_home(), own_project("wanting")
    services = start_up(home, place)
    try:
        code, answer = services.headrace("deploy")
        assert code == 0, answer
        prefect = Prefect(services)
        runs = {name: prefect.start(name) for name in ("wanting", "late")}
        for run in runs.values():
            prefect.wait(run, "Suspended", "Failed", "Crashed", "Registered")
            assert prefect.run(run)["state_name"] == "Suspended", prefect.run(run)
        asked = time.monotonic()
    finally:
        code, err = take_down(services)
    assert code == 0, err
    time.sleep(max(0, asked + 3600 * late_hours - time.monotonic()))

    services = start_up(home, place)
    try:
        prefect = Prefect(services)
        wanting, late = runs["wanting"], runs["late"]
        found = prefect.run(wanting)
        assert found["state_name"] == "Suspended", found["state"]["message"]
        code, answer = services.headrace("approve", "wanting", "--reason", "x")
        assert (code, answer["status"], answer["resumed"]) == (0, "promoted", [wanting])
        prefect.wait(wanting, "Promoted")
        assert prefect.stages(wanting)[-6:] == [
            *((f"{stage} wanting", "Cached") for stage in ("ingest", "validate")),
            *((f"{stage} wanting", "Cached") for stage in ("train", "evaluate")),
            *((f"{stage} wanting", "Completed") for stage in ("register", "promote")),
        ]
        _, told = services.headrace("history", "wanting")
        assert [entry["to"] for entry in told["history"]] == [1]

        failed = prefect.wait(late, "Failed")
        assert failed["state"]["message"] == "The flow was paused and never resumed."
        _, told = services.headrace("history", "late")
        assert told["history"] == []
        words = [(word["action"], word["who"]) for word in told["approvals"]]
        assert words == [("request", "ada@lab"), ("reject", "timeout")]
        code, answer = services.headrace("approve", "late")
        assert (code, answer["error"]["kind"]) == (2, "NotFoundError"), answer
        again = prefect.start("late")
        found = prefect.wait(again, "Refused")
        assert "rejected by timeout" in found["state"]["message"]
    finally:
        take_down(services)


def test_a_webhook_is_told_of_requests_refusals_rollbacks_and_failures(
    services, own_project, told
):
    url, messages = told
    prefect = Prefect(services)
    block = prefect.make_webhook(url)
    project = own_project("telling")
    place = {"HEADRACE_PROJECT": str(project), "HEADRACE_NOTIFY": block}
    code, answer = services.headrace("deploy", **place)
    assert (code, answer["notify"]) == (0, block)

    def said(*words):
        def found():
            for message in [*messages]:
                if all(word in " ".join(message.values()) for word in words):
                    return message
            return None

        message = until(found, f"{words} not in {messages}", 60)
        return message

    try:
        run = prefect.start("telling")
        prefect.wait(run, "Suspended")
        asked = said("telling", "headrace.approval", "waits for approval")
        assert f"/runs/flow-run/{run}" in asked["body"]
        services.headrace(
            "approve", "telling", "--reject", "--reason", "too pale", **place
        )
        prefect.wait(run, "Refused")
        said("telling", "headrace.refused", "too pale")
        options = ("--force", "--reason", "sure")
        services.headrace("promote", "telling", "1", *options, **place)
        file = project / "pipelines" / "telling" / "pipeline.toml"
        file.write_text(file.read_text().replace('mode = "approval"', 'mode = "auto"'))
        other = ("--set", "training.seed=2")
        code, answer = services.headrace("run", "telling", *other, **place)
        assert (code, answer["version"]) == (0, 2)
        services.headrace("rollback", "telling", "--reason", "worse", **place)
        said("telling", "headrace.rollback", "from version 2 to 1")
        parameters = {"pipeline": {**prefect.run(run)["parameters"]["pipeline"]}}
        parameters["pipeline"]["data"]["source"] = "/nowhere/data.npz"
        found = prefect.http.get("/deployments/name/train/telling").json()
        failing = prefect.http.post(
            f"/deployments/{found['id']}/create_flow_run",
            json={"parameters": parameters},
        ).json()["id"]
        prefect.wait(failing, "Failed")
        said(
            "telling source=data.npz: Failed", "no data at", f"/runs/flow-run/{failing}"
        )
    finally:
        services.headrace("deploy", HEADRACE_PROJECT=str(project))
