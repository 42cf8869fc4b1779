"""``docs/production.md`` and ``infra/README.md`` speak of what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headrace.settings import Settings
from headrace_cli.main import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "docs" / "production.md", ROOT / "infra" / "README.md")
COMMANDS = {
    info.name or info.callback.__name__
    for info in app.registered_commands
    if info.callback
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    assert len(links) > 3
    for link in links:
        assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_setting_is_one(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    code = " ".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))
    assert set(re.findall(r"\bheadrace ([a-z]+)\b", code)) <= COMMANDS
    settings = {name.lower() for name in re.findall(r"\bHEADRACE_([A-Z_]+)", code)}
    assert settings <= set(Settings.model_fields)


def test_the_page_names_every_secret_that_kubernetes_asks_for() -> None:
    text = PAGES[0].read_text(encoding="utf-8")
    for path in (ROOT / "infra" / "kubernetes").rglob("*.yaml"):
        manifest = path.read_text(encoding="utf-8")
        found = re.findall(r"secretRef: \{name: ([\w-]+)\}", manifest)
        found += re.findall(r"existingSecret: ([\w-]+)", manifest)
        for name in found:
            assert f"| `{name}` |" in text, (path, name)
