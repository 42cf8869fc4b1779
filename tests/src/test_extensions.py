"""What packages add is found, and a fault of theirs is called theirs."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace import extensions
from headrace.errors import SourceError, SpecError, UsageError

Extend = Callable[..., str]


@pytest.mark.parametrize(
    "code", ['MEDIUM = "text"', 'MEDIUM: str = "text"', 'MEDIUM = ""; MEDIUM = "text"']
)
def test_a_constant_is_read_from_any_assignment(extend: Extend, code: str) -> None:
    module = extend("models", "patches", f"raise ValueError\n{code}\n")
    assert extensions.constant(module, "MEDIUM", '"image"') == "text"
    assert extensions.constant(module, "HEAD") is None


@pytest.mark.parametrize("code", ["dict(epochs=4)", "[4]", "{[]: 4}"])
def test_a_constant_that_is_not_a_literal_of_its_type_is_refused(
    extend: Extend, code: str
) -> None:
    module = extend("models", "patches", f"RECIPE = {code}\n")
    message = (
        'tidepool.patches: RECIPE must be a literal, such as {"epochs": 4}; '
        f"it is {code}."
    )
    with pytest.raises(SpecError, match=re.escape(message)):
        extensions.constant(module, "RECIPE", '{"epochs": 4}')


def test_a_required_constant_that_is_missing_is_named(extend: Extend) -> None:
    module = extend("models", "patches", "MEDIUM: str\n")
    with pytest.raises(SpecError, match=r"MEDIUM must be a literal.*it is missing"):
        extensions.constant(module, "MEDIUM", '"image"')


def test_a_module_that_is_not_python_is_named_with_the_line(extend: Extend) -> None:
    module = extend("models", "patches", "import os\nMEDIUM =\n")
    with pytest.raises(SpecError, match=r"patches\.py, line 2: invalid syntax"):
        extensions.constant(module, "MEDIUM")


def test_an_entry_point_without_a_module_names_the_package(extend: Extend) -> None:
    extend("models", "ghost")
    message = (
        "The package tidepool 0.1 declares ghost = tidepool.ghost in headrace.models, "
        "and there is no such module."
    )
    with pytest.raises(UsageError, match=re.escape(message)):
        extensions.load("models", "ghost")
    with pytest.raises(UsageError, match="There is no module nowhere"):
        extensions.path_of("nowhere")


def test_an_entry_point_of_an_object_is_refused(extend: Extend) -> None:
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
def test_a_package_that_cannot_be_imported_is_at_fault(
    extend: Extend, code: str, problem: str
) -> None:
    extend("models", "patches", code)
    message = f"The model family patches (tidepool.patches) failed: {problem}"
    with pytest.raises(UsageError, match=re.escape(message)):
        extensions.load("models", "patches")


def test_an_error_of_headrace_and_one_of_what_ships_stay_what_they_are(
    extend: Extend,
) -> None:
    extend("gates", "spread", "KIND = 1\n")
    with pytest.raises(SourceError), extensions.blamed("gates", "spread"):
        raise SourceError("damaged")
    with pytest.raises(ZeroDivisionError), extensions.blamed("gates", "ratio"):
        raise ZeroDivisionError


def test_of_a_package_that_is_installed_twice_the_first_one_adds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, module in (("first", "new.tiny"), ("second", "old.tiny")):
        # The same package, whose name is written in two ways.
        name = "My.Package" if place == "first" else "my_package"
        info = tmp_path / place / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        points = f"[headrace.models]\ntiny = {module}\n[other]\nx = y\n"
        (info / "entry_points.txt").write_text(points)
    no_file = tmp_path / "second" / "broken-1.0.dist-info" / "entry_points.txt"
    no_file.mkdir(parents=True)
    places = [str(tmp_path / name) for name in ("missing", "first", "second")]
    monkeypatch.setattr(sys, "path", [*places, "/dev/null"])
    added = extensions.added.__wrapped__()  # without its cache
    assert [(one.name, one.value) for one in added["models"]] == [("tiny", "new.tiny")]
    assert not added["media"]


def test_the_same_entry_points_are_found_as_by_the_standard_library() -> None:
    every = importlib.metadata.entry_points()
    for kind, points in extensions.added().items():
        assert [*points] == [*every.select(group=f"headrace.{kind}")]
