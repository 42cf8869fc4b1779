"""The README names every command, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from headrace_cli.main import app

README = Path(__file__).resolve().parents[2] / "README.md"
COMMANDS = sorted(
    info.name or info.callback.__name__
    for info in app.registered_commands
    if info.callback
)


@pytest.fixture(scope="module")
def readme() -> str:
    """The README, once it has a command in it."""
    text = README.read_text(encoding="utf-8")
    if "headrace run" not in text:
        pytest.skip("the README has no `headrace run` yet")
    return text


def test_help_lists_the_commands() -> None:
    assert {"run", "check", "list", "promote", "rollback"} <= set(COMMANDS)
    assert set(typer.main.get_command(app).commands) == set(COMMANDS)  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_names_the_command(command: str, readme: str) -> None:
    assert re.search(rf"\bheadrace {command}\b", readme)


def test_the_readme_names_no_other_command(readme: str) -> None:
    code = re.findall(r"`([^`\n]+)`|^\s*\$?\s*(headrace .*)$", readme, re.MULTILINE)
    said = " ".join(part for parts in code for part in parts)
    assert set(re.findall(r"\bheadrace ([a-z]+)\b", said)) <= set(COMMANDS)
