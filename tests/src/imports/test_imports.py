"""What is left out while other people's packages are imported."""

import importlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

import headrace
from headrace.imports import hidden, put_off


def test_a_hidden_module_appears_to_be_missing_and_comes_back(tmp_path, monkeypatch):
    (tmp_path / "slow_to_import.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    with hidden(["slow_to_import"]), pytest.raises(ImportError):
        importlib.import_module("slow_to_import")
    importlib.import_module("slow_to_import")
    with hidden(["slow_to_import"]):
        importlib.import_module("slow_to_import")  # it was imported before


def test_a_package_that_is_put_off_is_imported_when_it_is_used(
    tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "late"
    folder.mkdir()
    (folder / "__init__.py").write_text("print('imported')\nHOUR = 12\n")
    (folder / "minutes.py").write_text("import late\nMINUTES = 60 * late.HOUR\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    put_off("late")
    before = importlib.import_module("late")
    assert capsys.readouterr().out == ""
    with ThreadPoolExecutor(8) as threads:
        assert {*threads.map(lambda _: before.HOUR, range(8))} == {12}
    assert capsys.readouterr().out == "imported\n"
    assert importlib.import_module("late.minutes").MINUTES == 720
    with pytest.raises(AttributeError, match="'late' has no attribute 'SECOND'"):
        before.SECOND  # noqa: B018
    put_off("late")  # it has been imported
    assert importlib.import_module("late") is not before
    for name in ("late", "late.minutes"):
        del sys.modules[name]


def test_a_grammar_of_uris_is_not_compiled_where_it_is_installed(tmp_path):
    (tmp_path / "rfc3987_syntax.py").write_text("print('compiled')")
    code = (
        "from headrace.imports import load_jsonschema; load_jsonschema()\n"
        "import jsonschema; jsonschema.validate('http://here', {'format': 'uri'})\n"
    )
    environment = {"PYTHONPATH": str(tmp_path)}

    def printed(code):
        command = [sys.executable, "-c", code]
        return subprocess.check_output(command, env=environment, text=True)

    assert printed(code) == ""
    assert printed("import jsonschema") == "compiled\n"  # so that it would be


def test_what_the_package_offers_is_listed():
    assert dir(headrace) == [
        "LoadedModel",
        "__version__",
        "load",
        "load_champion",
        "run",
    ]
    assert all(hasattr(headrace, name) for name in dir(headrace))
