"""A command that waits for a flow run tells what keeps it waiting."""

import time

from headrace_flows import client as waiting


def test_a_pool_whose_workers_fell_silent_is_told_once(
    prefect_server, monkeypatch, caplog
):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate

    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.0)
    heard = waiting._Heard("the pool mute")

    def look_until(condition):
        limit = time.monotonic() + 600
        while not condition():
            assert time.monotonic() < limit
            heard.look(client, "mute")
            time.sleep(0.05)

    def told():
        return [
            m for m in caplog.messages if m.startswith("no worker of the pool mute")
        ]

    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="mute", type="process"))
        beat = {"work_pool_name": "mute", "worker_name": "w"}
        heard.look(client, "mute")
        assert not told(), "none has ever been there"
        for count in (1, 2):
            client.send_worker_heartbeat(**beat, heartbeat_interval_seconds=1)
            heard.look(client, "mute")
            assert len(told()) == count - 1
            look_until(lambda count=count: len(told()) == count)
        (worker,) = client.read_workers_for_work_pool("mute")
        seen = worker.last_heartbeat_time.astimezone().strftime("%H:%M:%S")
        assert told()[-1].endswith(f"has been heard of since {seen}")
        heard.look(client, "mute")
        heard.look(client, "gone")
        heard.look(client, None)
        assert len(told()) == 2
