"""What tests of flows share: a client of their Prefect server."""

import pytest


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
