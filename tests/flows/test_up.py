"""`up` and `worker` refuse at once what they cannot do; a home says what it needs."""

import socket
from typing import Any

from headrace_cli.services import show_servers
from headrace_ops.servers import public_link

Home = Any


def test_an_address_that_others_reach_is_refused_without_passwords(home):
    answer = home.headrace("up", "--host", "0.0.0.0", "--json")
    assert (answer.exit_code, answer.json["error"]["kind"]) == (2, "UsageError")
    assert "PREFECT_SERVER_API_AUTH_STRING" in answer.json["reason"]
    assert not list(home.path.glob("*.log")), "nothing was started"


def test_a_worker_without_a_server_says_how_to_have_one(home, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    answer = home.headrace("worker", "--pool", "cpu", "--json")
    assert (answer.exit_code, answer.json["error"]["kind"]) == (2, "UsageError")
    assert "headrace up" in answer.json["error"]["action"]
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    answer = home.headrace("worker", "--pool", "cpu", "--json")
    assert (answer.exit_code, answer.json["error"]["kind"]) == (3, "DependencyError")


def test_the_links_are_shown_last(capsys):
    environment = {"PREFECT_API_AUTH_STRING": "headrace:x"}
    servers = {"workers": ["cpu"], "home": "/home/ada", "environment": environment}
    show_servers(servers, {"prefect": "http://p", "mlflow": "http://m"})
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["prefect   http://p", "mlflow    http://m"]
    assert lines[0] == "worker    pool cpu"


def test_a_link_names_the_machine_for_others():
    link = "http://127.0.0.1:4200"
    assert public_link(link, "127.0.0.1") == link
    assert public_link(link, "0.0.0.0") == f"http://{socket.getfqdn()}:4200"
