"""What packages add is found, and a fault of theirs is called theirs."""

import importlib
import importlib.metadata
import re
import shutil
import sys

import pytest

from headrace.errors import SourceError, SpecError, UsageError
from headrace.imports import extensions


@pytest.mark.parametrize(
    "code", ['MEDIUM = "text"', 'MEDIUM: str = "text"', 'MEDIUM = ""; MEDIUM = "text"']
)
def test_a_constant_is_read_from_any_assignment(extend, code):
    module = extend("models", "patches", f"raise ValueError\n{code}\n")
    assert extensions.constant(module, "MEDIUM", '"image"') == "text"
    assert extensions.constant(module, "HEAD") is None


@pytest.mark.parametrize("code", ["dict(epochs=4)", "[4]", "{[]: 4}"])
def test_a_constant_that_is_not_a_literal_of_its_type_is_refused(extend, code):
    module = extend("models", "patches", f"RECIPE = {code}\n")
    message = (
        'tidepool.patches: RECIPE must be a literal, such as {"epochs": 4}; '
        f"it is {code}."
    )
    with pytest.raises(SpecError, match=re.escape(message)):
        extensions.constant(module, "RECIPE", '{"epochs": 4}')


def test_a_required_constant_that_is_missing_is_named(extend):
    module = extend("models", "patches", "MEDIUM: str\n")
    with pytest.raises(SpecError, match=r"MEDIUM must be a literal.*it is missing"):
        extensions.constant(module, "MEDIUM", '"image"')


def test_a_module_that_is_not_python_is_named_with_the_line(extend):
    module = extend("models", "patches", "import os\nMEDIUM =\n")
    with pytest.raises(SpecError, match=r"patches\.py, line 2: invalid syntax"):
        extensions.constant(module, "MEDIUM")


def test_an_entry_point_without_a_module_names_the_package(extend):
    extend("models", "ghost")
    message = (
        "The package tidepool 0.1 declares ghost = tidepool.ghost in headrace.models, "
        "and there is no such module."
    )
    with pytest.raises(UsageError, match=re.escape(message)):
        extensions.load("models", "ghost")
    with pytest.raises(UsageError, match="There is no module nowhere"):
        extensions.path_of("nowhere")


def test_an_entry_point_of_an_object_is_refused(extend):
    extend("gates", "spread", "KIND = 1\n", value="tidepool.spread:KIND")
    message = "declares spread = tidepool.spread:KIND in headrace.gates, and it must"
    with pytest.raises(UsageError, match=f"{message} name a module: tidepool.spread"):
        extensions.load("gates", "spread")


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("\nimport nosuch", "ModuleNotFoundError in line 2: No module named 'nosuch'."),
        ("x =", "SyntaxError: invalid syntax (patches.py, line 1)."),
        ("import sys\nsys.exit()", "SystemExit in line 2."),
        ("x = 1", "AttributeError: module 'tidepool.patches' has no attribute 'build'"),
    ],
)
def test_a_package_that_cannot_be_imported_is_at_fault(extend, code, problem):
    extend("models", "patches", code)
    message = f"The model family patches (tidepool.patches) failed: {problem}"
    with pytest.raises(UsageError, match=re.escape(message)):
        extensions.load("models", "patches")


def test_an_error_of_headrace_and_one_of_what_ships_stay_what_they_are(extend):
    extend("gates", "spread", "KIND = 1\n")
    with pytest.raises(SourceError), extensions.blamed("gates", "spread"):
        raise SourceError("damaged")
    with pytest.raises(ZeroDivisionError), extensions.blamed("gates", "fairness"):
        raise ZeroDivisionError


OURS = "[headrace.models]\ntiny = first.tiny\n"
OTHERS = "[console_scripts]\nx = y:z\n"


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"a/one-1.0.dist-info": OTHERS},
        {"a/one-1.0.dist-info": OTHERS, "b/two-1.0.dist-info": OURS},
        {"a/one.egg-info": OURS, "b/one-1.0.dist-info": OURS.replace("first", "old")},
        {"a/My.One-1.0.dist-info": OURS, "b/my_one-2.0.dist-info": OURS},
        {"a/one-2.0.dist-info": OTHERS, "b/one-1.0.dist-info": OURS},
        {"a/one-1.0.DIST-INFO": OURS},
        {"a/one-1.0.egg/EGG-INFO": OURS},
        {"zip/one-1.0.dist-info": OURS},
    ],
)
def test_entry_points_are_those_that_the_standard_library_finds(
    tmp_path, monkeypatch, files
):
    for name, points in files.items():
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "entry_points.txt").write_text(points)
        for facts in ("METADATA", "PKG-INFO"):
            (folder / facts).write_text("Name: one\nVersion: 1.0\n")
    (tmp_path / "b" / "broken-1.0.dist-info" / "entry_points.txt").mkdir(parents=True)
    if (tmp_path / "zip").exists():
        shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "zip")
    eggs = [str(egg) for egg in tmp_path.glob("a/*.egg")]
    places = [str(tmp_path / name) for name in ("missing", "a", "b", "packed.zip")]
    monkeypatch.setattr(sys, "path", [*places, *eggs])
    importlib.invalidate_caches()
    added = extensions.added.__wrapped__()  # without its cache
    every = importlib.metadata.entry_points()
    assert [*added["models"]] == [*every.select(group="headrace.models")]
    assert not added["media"]
    is_shadowed = "a/one-2.0.dist-info" in files
    assert bool(added["models"]) == (
        any(OURS in p for p in files.values()) and not is_shadowed
    )
