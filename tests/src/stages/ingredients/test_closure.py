"""What code a stage depends on: the files that it imports, and versions."""

import importlib.metadata

import pytest

from headrace.errors import SpecError
from headrace.pipeline.families import task_names
from headrace.stages.ingredients import closure
from headrace.stages.ingredients.closure import code_state
from headrace.tasks import task_modules

CACHES = (
    closure._module_path,
    closure._origin,
    closure.own_modules,
    closure._place,
    closure._read,
    closure._version,
)


@pytest.fixture(autouse=True)
def _fresh():
    """A process reads each file once; a test edits them."""
    for cache in CACHES:
        cache.cache_clear()
    yield
    for cache in CACHES:
        cache.cache_clear()


@pytest.mark.parametrize(
    ("code", "modules"),
    [
        ("import ours.deep", ["ours.deep"]),
        ("import ours as o, json", ["json", "ours"]),
        ("from ours import deep", ["ours", "ours.deep"]),
        ("from . import deep", ["ours", "ours.deep"]),
        ("from .deep import x", ["ours.deep", "ours.deep.x"]),
        ("from ... import far", []),
        ("def f():\n    import ours", ["ours"]),
        ("try:\n    import a\nexcept ImportError:\n    import b", ["a", "b"]),
        ("if TYPE_CHECKING:\n    import a\nelse:\n    import b", ["b"]),
        ("if typing.TYPE_CHECKING:\n    import a", []),
        ("x = 'import a'  # import b", []),
    ],
)
def test_what_a_file_imports_is_followed(tmp_path, code, modules):
    (tmp_path / "nets.py").write_text(code)
    assert closure._read(tmp_path / "nets.py", "ours")[1] == modules


def test_a_pipelines_file_counts_with_its_comments(tmp_path):
    (tmp_path / "model.py").write_text("import keras\n")
    before = code_state([], [tmp_path / "model.py"])
    assert set(before) == {"code model.py", "version keras"}
    (tmp_path / "model.py").write_text("import keras  # a thought\n")
    after = code_state([], [tmp_path / "model.py"])
    assert after["code model.py"] != before["code model.py"]


def copy_of_package(tmp_path, monkeypatch):
    """Three modules in place of the package's own."""
    modules = {
        "training": "def f():\n    from headrace import fitting\n    import keras\n"
        "    return fitting, keras\n",
        "fitting": "from headrace.metrics import share\nimport os\nx = share(1, 2)\n",
        "metrics": "def share(a, b):\n    return a / b\n",
        "pictures": "import matplotlib\n",
    }
    for name, code in modules.items():
        (tmp_path / f"{name}.py").write_text(code)
    (tmp_path / "__init__.py").write_text("")
    monkeypatch.setattr(closure, "ROOT", tmp_path)
    return tmp_path


def test_the_closure_follows_imports_inside_functions(tmp_path, monkeypatch):
    copy_of_package(tmp_path, monkeypatch)
    state = code_state(["headrace.training"])
    assert set(state) == {
        "code headrace.training",
        "code headrace.fitting",
        "code headrace.metrics",
        "version keras",
    }
    assert state["version keras"] == importlib.metadata.version("keras")


def test_an_edited_helper_changes_what_uses_it_and_nothing_else(tmp_path, monkeypatch):
    package = copy_of_package(tmp_path, monkeypatch)
    before = (
        code_state(["headrace.training"]),
        code_state(["headrace.display.pictures"]),
    )
    (package / "metrics.py").write_text("def share(a, b):\n    return b / a\n")
    closure._read.cache_clear()
    after = (
        code_state(["headrace.training"]),
        code_state(["headrace.display.pictures"]),
    )
    changed = {name for name in before[0] if before[0][name] != after[0][name]}
    assert changed == {"code headrace.metrics"}
    assert after[1] == before[1]


def test_the_training_stage_depends_on_what_fits_and_stores():
    state = code_state(["headrace.stages.training", "headrace.models.mlp"])
    assert {
        "code headrace.stages.fitting",
        "code headrace.data.snapshots.splits",
        "code headrace.models.mlp",
        "code headrace.state.tracking",
        "version keras",
        "version tensorflow",
        "version numpy",
        "version mlflow",
    } <= set(state)
    assert "code headrace.stages.validation" not in state
    assert "version great-expectations" not in state
    assert "version prefect" not in state


def a_package(tmp_path, monkeypatch):
    """A package on the path that is worked on."""
    folder = tmp_path / "ours"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "nets.py").write_text("from .layers import Wide\nimport keras\n")
    (folder / "layers.py").write_text("from ours.deep import x\n")
    (folder / "deep.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def test_a_package_that_is_worked_on_counts_like_our_own(tmp_path, monkeypatch):
    folder = a_package(tmp_path, monkeypatch)
    before = code_state(["ours.nets"])
    assert {"code ours.nets", "code ours.layers", "code ours.deep"} <= set(before)
    assert "version keras" in before
    (folder / "deep.py").write_text("x = 2\n")
    closure._read.cache_clear()
    after = code_state(["ours.nets"])
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"code ours.deep"}


def test_an_installed_package_counts_by_its_version(tmp_path, monkeypatch):
    place = tmp_path / "site-packages"
    place.mkdir()
    a_package(place, monkeypatch)
    (place / "our_nets-1.2.dist-info").mkdir()
    (place / "our_nets-1.2.dist-info" / "METADATA").write_text("Name: our-nets\n")
    (place / "our_nets-1.2.dist-info" / "top_level.txt").write_text("ours\n")
    closure.installed.cache_clear()
    assert code_state(["ours.nets"]) == {"version ours": "1.2"}
    closure.installed.cache_clear()


def test_a_distribution_is_found_by_the_name_that_is_imported():
    state = code_state(["headrace.stages.validation", "headrace.media.image"])
    versions = {name for name in state if name.startswith("version")}
    assert {"version great_expectations", "version PIL"} <= versions


def test_a_file_that_is_no_python_is_told_with_its_line(tmp_path):
    path = tmp_path / "model.py"
    path.write_text("x = 1\ndef build(:\n")
    with pytest.raises(SpecError, match=r"model\.py, line 2"):
        code_state([], [path])


def test_the_versions_of_all_that_headrace_imports_are_found_without_a_search(
    monkeypatch,
):
    """A search through the files of all packages takes longer than all the rest."""

    def search():
        raise AssertionError("an import's package was searched for")

    monkeypatch.setattr(importlib.metadata, "packages_distributions", search)
    files = closure.ROOT.rglob("*.py")
    modules = [file.relative_to(closure.ROOT.parent).with_suffix("") for file in files]
    state = closure.code_state(".".join(module.parts) for module in modules)
    assert {"version PIL", "version markdown_it"} <= state.keys()


@pytest.mark.parametrize("name", task_names())
def test_a_change_of_a_tasks_words_repeats_no_stage(name):
    stages = {"ingestion": [], "validation": [], "training": ["learn"]}
    package = f"headrace.tasks.{name}"
    for stage, own in {**stages, "evaluation": ["judge"]}.items():
        roots = [f"headrace.stages.{stage}", *task_modules(name, *own)]
        modules = {one.removeprefix("code ") for one in closure.code_state(roots)}
        assert f"{package}.data" in modules
        assert f"{package}.words" not in modules
