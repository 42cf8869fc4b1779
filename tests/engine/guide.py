"""What the guides say to type and to write, for tests that do it."""

import re
import shlex

from tests.repo.docs_blocks import ROOT, blocks_of

GUIDES = ROOT / "docs" / "guides"


def block_of(page, *words, language="bash"):
    """The first block of a page that has some words; of commands, unless told."""
    for block in blocks_of(GUIDES / page):
        if block.language == language and all(word in block.text for word in words):
            return block.text
    raise AssertionError(f"{page} has no {language} with {words}")


def command(text, page="compose.md"):
    """The words of a command that a guide gives."""
    said = "\n".join(block.text for block in blocks_of(GUIDES / page))
    assert f"\n{text}\n" in f"\n{said}", text
    return shlex.split(text)


def variables_of(title, secret):
    """Those of a file of two machines, with what a function gives for each secret."""
    text = block_of("compose.md", f"# {title}\n", language="text")
    rows = re.sub(r"<(\w+)>", lambda match: secret(match[1]), text).splitlines()
    return dict(row.split("=", 1) for row in rows[1:])
