"""Figures of the documentation: drawn from what a block of a page answers.

A figure holds the text that it shows, a picture in its metadata. By this text, without
what differs from run to run, a test knows whether the figure is out of date.
"""

import base64
import difflib
import html
import io
import re

from PIL import Image, PngImagePlugin
from tests.attacks.chromium import chromium
from tests.repo.docs_blocks import ROOT

FOLDER = ROOT / "docs" / "figures"
MOST_BYTES = 200_000
_COLUMNS = 100
_SCALE = 0.62  # so that 100 columns are as wide as a page's text
VARIABLES = {"HEADRACE_USER": "ada@mill", "TERM": "xterm", "COLUMNS": str(_COLUMNS)}
# Runs $BLOCK on a terminal; its progress goes where errors go.
TERMINAL = (
    "exec 3>&2; "
    "script --quiet --return --command 'exec 2>&3; eval \"$BLOCK\"' /dev/null"
)
_SCREEN = (1200, 800)
_COLOURS = 128


def draw(note, title, answer, place):
    """Draw a figure.

    Args:
        note: the name of its file, and how many lines are enough: an ``.svg`` shows the
            answer on a terminal, a ``.png`` the page whose path ends the answer.
        title: what was asked.
        answer: in the colours of a terminal.
        place: where it was asked, whose path is shown as a user's.

    Returns:
        the name of the file, and its bytes.
    """
    name, _, most = note.partition(" ")
    if name.endswith(".svg"):
        lines = answer.replace(str(place), "/home/ada/mill").strip("\n").splitlines()
        enough = int(most or len(lines))
        rest = ["  ..."] * (enough < len(lines))
        return name, terminal(title, "\n".join(lines[:enough] + rest))
    page = place / answer.strip().splitlines()[-1]
    with chromium(place.parent / f"{name}.profile") as browser:
        browser.open(page.as_uri())
        return name, screen(browser)


def terminal(title, answer):
    """A terminal that shows an answer, as SVG; it asks for no font of the network."""
    from rich._export_format import CONSOLE_SVG_FORMAT
    from rich.console import Console
    from rich.text import Text

    text = Text.from_ansi(answer)
    width = min(_COLUMNS, max(len(line) for line in text.plain.splitlines()))
    console = Console(record=True, width=width, file=io.StringIO())
    for line in text.split("\n", allow_blank=True):
        console.print(line, no_wrap=True, overflow="ellipsis")
    form = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    form = form.replace(
        ' clip-path="url(#{unique_id}-clip-terminal)"', ""
    )  # cuts descenders
    drawn = console.export_svg(title=title, code_format=form, unique_id="terminal")
    (units,) = re.findall(r'viewBox="0 0 ([\d.]+) ', drawn)
    sized = drawn.replace("<svg ", f'<svg width="{float(units) * _SCALE:.0f}" ', 1)
    said = f"<desc>{html.escape(text.plain)}</desc>\n    <defs>"
    return sized.replace("<defs>", said, 1).encode()


def screen(browser):
    """The first screen of the open page, as PNG of few colours."""
    width, height = _SCREEN
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=height,
        deviceScaleFactor=1,
        mobile=False,
    )
    browser.call("Emulation.setScrollbarsHidden", hidden=True)
    told = browser.call("Page.captureScreenshot")["data"]
    shown = PngImagePlugin.PngInfo()
    shown.add_itxt("Description", browser.run("document.body.innerText"))
    picture = Image.open(io.BytesIO(base64.b64decode(told))).convert("RGB")
    file = io.BytesIO()
    few = picture.quantize(_COLOURS, dither=Image.Dither.NONE)
    few.save(file, "PNG", optimize=True, pnginfo=shown)
    return file.getvalue()


def said_by(data):
    """The lines of a figure, without the numbers and digests of one run."""
    if data.startswith(b"\x89PNG"):
        text = Image.open(io.BytesIO(data)).text["Description"]
    else:
        (text,) = re.findall("<desc>(.*)</desc>", data.decode(), re.DOTALL)
        text = html.unescape(text)
    text = re.sub(r"\b[0-9a-f][0-9a-f-]{7,}\b", "#", text)
    text = re.sub(r"\d+([.,:-]\d+)*(e-?\d+)?", "0", text)
    lines = (" ".join(line.split()) for line in text.splitlines())
    return [line for line in lines if line]


def settle(figures, *, keep):
    """Keep new figures, or hold them against those of the documentation.

    Args:
        figures: bytes by the name of the file.
        keep: whether they are to be kept.
    """
    for name, data in figures.items():
        file = FOLDER / name
        assert len(data) < MOST_BYTES, name
        if keep:
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(data)
        else:
            kept, new = said_by(file.read_bytes()), said_by(data)
            changes = "\n".join(difflib.unified_diff(kept, new, lineterm="", n=0))
            assert not changes, f"{name} is out of date: make figures\n{changes}"
