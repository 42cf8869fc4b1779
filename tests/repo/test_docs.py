"""What the documentation shows: its links, its commands, its blocks of code.

Nothing of the product runs here; ``test_docs_run.py`` runs the pages.
"""

import ast
import json
import re
import shlex
import tomllib

import numpy as np
import pytest
import typer
from tests.repo.docs_blocks import (
    PAGES,
    ROOT,
    anchors_of,
    blocks_of,
    inline_code_of,
    links_of,
    name_of,
)
from typer import TyperException

from headrace.media import medium
from headrace.pipeline import PipelineSpec
from headrace.records import DataDescription
from headrace.settings import Settings
from headrace_cli.main import app

COMMANDS = typer.main.get_command(app).commands
BLOCKS = [block for page in PAGES for block in blocks_of(page)]
LANGUAGES = {"bash", "json", "python", "sql", "text", "toml"}
# What stands for a value in a sentence or a command.
PLACEHOLDERS = {"VERSION": "1", "N": "1", "MODEL/VERSION": "digits/1"}


def blocks(language):
    return [block for block in BLOCKS if block.language == language]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page):
    for link in links_of(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor and not has_generated_headings(target):
            assert anchor in anchors_of(target), link


def has_generated_headings(page):
    """Whether only Sphinx knows all of its anchors; it is as strict."""
    return any("{generated}" in block.language for block in blocks_of(page))


def test_every_block_has_a_language():
    for block in BLOCKS:
        assert block.language in LANGUAGES or block.language.startswith("{"), block


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_is_python(block):
    ast.parse(block.text)


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_json_is_json(block):
    json.loads(block.text)


# The package on the page is built, installed and used by test_extensions.py.
IN_PIPELINES = [b for b in blocks("toml") if not b.note[1].startswith("tidepool/")]


@pytest.mark.parametrize("block", IN_PIPELINES, ids=str)
def test_toml_is_of_a_pipeline_file(block):
    said = {"name": "some", "medium": "image", **tomllib.loads(block.text)}
    said["data"] = {"source": "somewhere", **said.get("data", {})}
    PipelineSpec.model_validate(said)


def commands_in(script):
    """The words after ``headrace`` in each line that runs it, also in a container."""
    found = []
    for line in script.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words and re.match(r"[A-Z_]+=", words[0]):
            words.pop(0)
        if words[:2] == ["docker", "compose"] and "cli" in words:
            words = words[words.index("cli") + 1 :]
        if words[:1] == ["headrace"]:
            found.append(words[1:])
    return found


def check_command(words, *, in_full):
    """Hold a command against the command line's own parser; nothing is run."""
    name, *arguments = words
    assert name in COMMANDS, name
    arguments = [PLACEHOLDERS.get(word, word) for word in arguments]
    if "--help" in arguments:
        return
    try:
        COMMANDS[name].make_context(name, arguments)
    except TyperException as error:
        message = error.format_message()
        assert not in_full and message.startswith("Missing"), message


@pytest.mark.parametrize("block", blocks("bash"), ids=str)
def test_commands_are_valid(block):
    for words in commands_in(block.text):
        check_command(words, in_full=True)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_sentences_are_valid(page):
    for code in inline_code_of(page):
        if re.match(r"headrace [a-z]", code):
            check_command(shlex.split(code)[1:], in_full=False)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_settings_exist(page):
    code = " ".join([*inline_code_of(page), *(b.text for b in blocks_of(page))])
    names = set(re.findall(r"\bHEADRACE_[A-Z_]*[A-Z]\b", code))
    known = {f"HEADRACE_{name.upper()}" for name in Settings.model_fields}
    # What infra/compose.yaml asks for, and how the limits begin.
    example = (ROOT / "infra" / ".env.example").read_text(encoding="utf-8")
    known |= {"HEADRACE_MAX", *re.findall(r"^HEADRACE_\w+", example, re.MULTILINE)}
    assert names <= known


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_explained(name):
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    assert any(re.search(rf"\bheadrace {name}\b", text) for text in texts)


def test_the_reference_has_every_command_and_option(reference):
    text = "\n".join(reference.commands())
    for name, command in COMMANDS.items():
        section = text.partition(f"## headrace {name}\n")[2].partition("\n## ")[0]
        for parameter in command.params:
            shown = parameter.opts[0] if parameter.param_type_name == "option" else ""
            assert shown in section, (name, shown)
            assert parameter.help, (name, parameter.name)


def test_the_reference_has_every_key(reference):
    schema = PipelineSpec.model_json_schema()
    text = "\n".join(reference.pipeline_file())
    for table in (schema, *schema["$defs"].values()):
        for key in table["properties"]:
            assert f"| `{key}` |" in text
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert not [row for row in rows if row.endswith(("|  |", "| . |"))]


@pytest.mark.parametrize(
    ("name", "title", "shape"),
    [
        ("image", "Images", (8, 8, 1)),
        ("text", "Texts", (64,)),
        ("audio", "Sounds", (8000,)),
    ],
)
def test_every_column_of_a_medium_is_described(name, title, shape):
    page = (ROOT / "docs/reference/contract.md").read_text(encoding="utf-8")
    section = page.partition(f"### {title}\n")[2].partition("\n###")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    described = re.findall(r"`(\w+)`", " ".join(row.split("|")[1] for row in rows))
    kind = medium(name)
    items = np.random.default_rng(0).integers(97, 122, (20, *shape))
    about = DataDescription(
        medium=name, shape=shape, classes=("a", "b"), sample_rate_hz=8000
    )
    columns = kind.columns(items.astype(kind.DTYPE), ["a", "b"] * 10, about)
    assert sorted(described) == sorted([*columns, "fingerprint"])
