"""What tests of flows share: a client of their Prefect server."""

import sys
import time

import pytest


def events_of(client, name, since, at_least=1):
    """The payloads of the events about blobs, which take a moment to be stored."""
    wanted = {"occurred": {"since": since.isoformat()}, "event": {"name": [name]}}
    for _ in range(40):
        answer = client.request("POST", "/events/filter", json={"filter": wanted})
        if len(events := answer.json()["events"]) >= at_least:
            break
        time.sleep(0.25)
    assert all(
        event["resource"]["prefect.resource.id"] == "headrace.pipeline.blobs"
        for event in events
    )
    return [event["payload"] for event in events]


@pytest.fixture
def client(prefect_server):
    """A client; no deployment and no automation is left behind."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        yield client
        for deployment in client.read_deployments():
            client.delete_deployment(deployment.id)
        for automation in client.read_automations():
            client.delete_automation(automation.id)


@pytest.fixture
def deaf_server(monkeypatch):
    """A Prefect server that nobody answers for, of the commands in this process.

    They have Prefect read the variable, so it reads that of the others again.
    """
    with monkeypatch.context() as patch:
        patch.setenv("PREFECT_API_URL", url := "http://127.0.0.1:9/api")
        yield url
    if "prefect" in sys.modules:
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()
