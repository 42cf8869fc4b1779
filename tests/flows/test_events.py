"""The automations that tell a block: made, kept, changed and removed."""

import pytest

from headrace.errors import UsageError
from headrace_flows.events import ensure_notifications


@pytest.fixture
def block(prefect_server):
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    webhook = CustomWebhookNotificationBlock(name="team", url="http://127.0.0.1:9/")
    webhook.save("team", overwrite=True, _sync=True)
    return "custom-webhook/team"


def ours(client):
    return [a for a in client.read_automations() if a.name.startswith("headrace-")]


def settings_of(settings, block):
    return settings.model_copy(update={"notify": block})


def test_automations_are_made_once_and_go_with_the_setting(client, block, settings):
    told = settings_of(settings, block)
    assert ensure_notifications(client, told) == block
    first = ours(client)
    assert len(first) == 2
    ensure_notifications(client, told)
    assert [a.id for a in ours(client)] == [a.id for a in first]
    events = {event for a in first for event in a.trigger.expect}
    assert events == {
        "prefect.flow-run.Failed",
        "prefect.flow-run.Crashed",
        "headrace.approval",
        "headrace.drift",
        "headrace.lost",
        "headrace.refused",
        "headrace.rollback",
        "headrace.tampered",
    }
    assert ensure_notifications(client, settings) == ""
    assert ours(client) == []


def test_the_automations_of_another_ledger_stay_as_they_are(
    client, block, settings, tmp_path
):
    other = settings.model_copy(
        update={"notify": block, "database_url": f"sqlite:///{tmp_path}/other.db"}
    )
    ensure_notifications(client, other)
    theirs = {a.id for a in ours(client)}
    ensure_notifications(client, settings_of(settings, block))
    assert len(ours(client)) == 4
    ensure_notifications(client, settings)
    assert {a.id for a in ours(client)} == theirs
    ensure_notifications(client, other.model_copy(update={"notify": ""}))


def test_a_block_that_is_not_there_is_named(client, settings):
    for block in ("slack-webhook/nobody", "team", "custom-webhook/"):
        with pytest.raises(UsageError, match="has no such block"):
            ensure_notifications(client, settings_of(settings, block))
    assert ours(client) == []
