"""Pages need no network, run nothing, and escape what they are given."""

import html
import re
from pathlib import Path

import headrace
from headrace.display.pages import POLICY, render

TEMPLATES = Path(headrace.__file__).parent / "display/templates"


def test_what_goes_into_a_page_is_escaped_but_not_an_items_html():
    listed = {
        "heads": ["<h>"],
        "rows": [{"item": "<bdi>text</bdi>", "cells": ["<script>1</script>"]}],
    }

    page = render("items.html", title="<title>", listed=listed)

    assert "&lt;title&gt;" in page
    assert "<th>&lt;h&gt;</th>" in page
    assert "<td>&lt;script&gt;1&lt;/script&gt;</td>" in page
    assert '<td class="item"><bdi>text</bdi></td>' in page
    assert "<script" not in page


def test_a_readme_is_shown_as_it_is_meant_and_runs_nothing():
    from headrace.display.pages import _from_markdown

    page = _from_markdown(
        "## Limits\n\n- *only* digits\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
        "<script>1</script> ![a](http://x/y.png) [go](javascript:run) [ok](https://x)"
    )

    assert "<h4>Limits</h4>" in page and "<em>only</em>" in page
    assert "<td>1</td>" in page and '<a href="https://x">ok</a>' in page
    assert "<script" not in page and "<img" not in page
    assert 'href="javascript' not in page


def test_a_page_forbids_all_that_is_not_in_it():
    text = render("checks_index.html", title="Checks", pages=[])
    page = html.unescape(text)

    assert f'content="{POLICY}"' in page
    assert POLICY.startswith("default-src 'none'")
    assert "script-src" not in POLICY


def test_no_page_breaks_a_line_before_a_percent_sign():
    apart = re.compile(r"(\}\}|\d) %(?!\})")
    pages = [*TEMPLATES.glob("*.html"), *TEMPLATES.glob("*.md")]

    assert pages
    assert [one.name for one in pages if apart.search(one.read_text())] == []
