"""A worker refuses at once what it cannot do; `up` shows its links last."""

from typing import Any

from headrace_cli.services import show_servers

Home = Any


def test_a_worker_without_a_server_says_how_to_have_one(home, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    answer = home.headrace("worker", "--pool", "cpu", "--json")
    assert (answer.exit_code, answer.json["error"]["kind"]) == (2, "UsageError")
    assert "headrace up" in answer.json["error"]["action"]


def test_a_worker_whose_server_does_not_answer_may_be_tried_again(home, deaf_server):
    answer = home.headrace("worker", "--pool", "cpu", "--json")
    assert (answer.exit_code, answer.json["error"]["kind"]) == (3, "DependencyError")


def test_the_links_are_shown_last(capsys):
    environment = {"PREFECT_API_AUTH_STRING": "headrace:x"}
    servers = {"workers": ["cpu"], "home": "/home/ada", "environment": environment}
    show_servers(servers, {"prefect": "http://p", "mlflow": "http://m"})
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["prefect   http://p", "mlflow    http://m"]
    assert lines[0] == "worker    pool cpu"
