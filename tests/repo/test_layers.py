"""The contracts of import-linter in ``pyproject.toml`` hold."""

from pathlib import Path

from importlinter import cli

ROOT = Path(__file__).resolve().parents[2]


def test_modules_import_only_what_lies_below_them(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    code = cli.lint_imports(no_cache=True, no_logo=True)
    assert code == 0, capsys.readouterr().out
