"""Imports are free: what a process loads before it has anything to do."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    *("tensorflow", "keras", "prefect", "mlflow", "great_expectations"),
    *("pandas", "matplotlib", "PIL", "mlxtend"),
}
WORKS_ON_DATA = {*HEAVY, "numpy", "pyarrow", "sqlalchemy", "fsspec"}
LOADED = "print(json.dumps(sorted({n.split('.')[0] for n in sys.modules})))"


def loaded_by(code):
    """The packages that a process has loaded after running ``code``."""
    script = f"import json, sys\n{code}\n{LOADED}"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def command(*arguments):
    """Code that runs the command line and goes on."""
    return f"""
import contextlib
from headrace_cli.main import main
sys.argv = {["headrace", *arguments]!r}
with contextlib.suppress(SystemExit):
    main()
"""


def test_importing_headrace_loads_nothing_heavy():
    loaded = loaded_by("import headrace")
    assert "headrace" in loaded
    assert not loaded & {*WORKS_ON_DATA, "pydantic", "typer"}


def test_no_module_of_the_work_loads_a_heavy_library():
    loaded = loaded_by(
        "import headrace, importlib, pkgutil\n"
        "for module in pkgutil.walk_packages(headrace.__path__, 'headrace.'):\n"
        "    importlib.import_module(module.name)"
    )
    assert "numpy" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("arguments", [("--help",), ("check", "digits")])
def test_a_command_that_touches_no_data_loads_no_library_for_it(arguments):
    loaded = loaded_by(command(*arguments))
    assert "typer" in loaded
    assert not loaded & WORKS_ON_DATA


def test_a_ledger_in_sqlite_loads_no_other_dialect_and_no_pipeline_file():
    """Each costs 14 ms, and `headrace list` needs neither."""
    script = "import sys, headrace.state.ledger; print(*sys.modules)"
    command = [sys.executable, "-c", script]
    loaded = set(subprocess.check_output(command, text=True).split())
    assert "sqlalchemy" in loaded
    assert not loaded & {"sqlalchemy.dialects.postgresql", "headrace.pipeline.spec"}


def test_listing_loads_only_the_ledger(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    place = f"import os; os.environ['HEADRACE_HOME'] = {str(home)!r}"
    loaded = loaded_by(place + command("list", "--json"))
    assert "sqlalchemy" in loaded
    assert not loaded & (WORKS_ON_DATA - {"sqlalchemy"})


def test_what_comes_of_the_flows_loads_them_at_its_first_use():
    assert "headrace_flows" not in loaded_by("import headrace")
    loaded = loaded_by("from headrace import run")
    assert "headrace_flows" in loaded
    assert not loaded & HEAVY
