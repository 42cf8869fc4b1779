"""What every command has: help, version, loudness, completion, tables that fit."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import typer

from headrace import __version__
from headrace.evidence import verification
from headrace.settings import Settings
from headrace.state.ledger import Ledger
from headrace_cli import answers
from headrace_cli.main import app

COMMANDS = typer.main.get_command(app).commands


def test_the_version_is_printed(home):
    answer = home.headrace("--version")
    assert (answer.exit_code, answer.out) == (0, f"headrace {__version__}\n")


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)])
def test_h_is_help_everywhere(home, words):
    answer = home.headrace(*words, "-h")
    assert answer.exit_code == 0
    assert answer.out == home.headrace(*words, "--help").out
    assert all(option in answer.out for option in ("--quiet", "--verbose", "-h"))


@pytest.mark.parametrize("words", [("-q", "check"), ("check", "--quiet")])
def test_quiet_shows_no_progress(home, words):
    data = ("blobs", "--data", "--json")
    quiet = home.headrace(*words, *data)
    assert (quiet.json["status"], quiet.err) == ("ok", "")
    shown = home.headrace("check", *data, "--set", "data.shape=[4,4,1]")
    assert "ingest: " in shown.err


@pytest.mark.parametrize("words", [("-v", "check"), ("check", "--verbose")])
def test_verbose_shows_where_an_error_was_raised(home, words):
    assert "Traceback" not in home.headrace("check", "nothing").err
    answer = home.headrace(*words, "nothing", "--json")
    assert "find_pipeline" in answer.err
    assert answer.json["error"]["kind"] == "NotFoundError"


def test_too_little_memory_is_told_in_a_sentence(home, monkeypatch):
    def verify(*_):
        return bytearray(2**62)

    monkeypatch.setattr(verification, "verify", verify)
    answer = home.headrace("verify", "--json")
    assert answer.exit_code == 3
    assert "not enough memory" in answer.json["reason"]
    assert "Traceback" not in answer.err


def completions(words, home):
    done = subprocess.run(
        [sys.executable, "-m", "headrace_cli"],
        env={
            **os.environ,
            **home.environment,
            "_HEADRACE_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_a_shell_completes_commands(home):
    assert completions("headrace re", home) == {"relabel", "reproduce"}
    assert not home.path.exists()


def test_a_table_is_aligned_and_leaves_out_columns_without_a_value(capsys):
    rows = [["a", None, 1.5], ["犬犬", "", "of\ntwo lines"]]
    answers.show_table(rows, ["name", "empty", "why"], indent=" ")
    assert capsys.readouterr().out == (
        " name  why\n a     1.5\n 犬犬  of\\ntwo lines\n"
    )


def test_list_says_where_there_is_no_project(tmp_path, home, monkeypatch):
    bare = replace(
        home, path=tmp_path / "bare" / ".headrace", project=tmp_path / "bare"
    )
    bare.project.mkdir()
    answer = bare.headrace("list")
    assert answer.exit_code == 0
    assert f"There is no project here: neither {bare.project} nor" in answer.out
    assert not list(bare.project.iterdir())
    assert "There is no project" in bare.headrace("list", "--json").json["notice"]


@pytest.mark.parametrize("command", ["compare", "history"])
def test_a_model_where_there_is_no_home_makes_none(home, command):
    answer = home.headrace(command, "digitz", "--json")
    assert answer.exit_code == 2
    assert "There is no home" in answer.json["reason"]
    assert not home.path.exists()


@pytest.mark.parametrize(
    "words",
    [
        ("rollback", "nope"),
        ("approve", "nope"),
        ("approve", "nope", "--reject", "--reason", "x"),
        ("promote", "nope"),
        ("history", "nope"),
        ("verify", "nope", "--repair"),
        ("verify", "nope.tar", "--repair"),
        ("export", "blobs", "--output", "x"),
        ("export", "blobs", "--evidence", "--format", "onnx", "--output", "x"),
        ("generate", "blobs", "--lines", "-4"),
        ("generate", "blobs", "--temperature", "nan"),
        ("generate", "blobs", "--prompt", "3", "--output", "no.wav"),
        ("monitor", "blobs", "--text", "a"),
        ("monitor", "blobs", "--label", "a"),
        ("promote", "blobs", "99999999999999999999"),
    ],
)
def test_what_is_not_there_or_out_of_range_is_a_mistake_of_usage(first, words):
    answer = first[0].headrace(*words, "--json")
    assert (answer.exit_code, answer.json["status"]) == (2, "error"), answer.out
    assert "headrace history nope" not in answer.json["reason"]
    assert "headrace run nope" not in answer.json["reason"]


@pytest.mark.parametrize("is_deployed", [False, True])
def test_list_shows_the_schedule_of_a_deployment_alone(home, tmp_path, is_deployed):
    home = home.with_law(tmp_path / "project", deploy='{ cron = "0 3 * * *" }')
    settings = Settings(home=home.path, project=home.project)
    settings.prepare_home()
    if is_deployed:
        Ledger(settings.database_url).facts.record({"train/blobs": "x"}, "ada")
    lines = home.headrace("list").out.splitlines()
    blobs = next(line for line in lines if line.startswith("blobs"))
    assert ("0 3 * * * UTC" in blobs) is is_deployed
    assert ("not deployed" in blobs) is not is_deployed


def test_a_variable_that_is_no_setting_is_warned_of(home, monkeypatch):
    monkeypatch.setenv("HEADRACE_MAX_BYTE", "5")
    message = "HEADRACE_MAX_BYTE is not a setting, and has no effect."
    message += " Did you mean HEADRACE_MAX_BYTES?"
    listed, checked = home.headrace("list"), home.headrace("check", "blobs", "--json")
    assert (listed.exit_code, checked.exit_code) == (0, 0)
    assert f"headrace: warning: {message}\n" in listed.err
    assert [warning["message"] for warning in checked.json["warnings"]] == [message]
    assert message not in home.headrace("list", "--help").err
