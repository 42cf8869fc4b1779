"""Renders self-contained HTML pages, and Markdown.

The templates are in ``templates/``. All values are escaped, except HTML from a medium,
which is escaped already, and from the Markdown of a README, which can hold none.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from markupsafe import Markup

from headrace.display.signs import as_code, as_markdown, as_score, number_of

if TYPE_CHECKING:
    from jinja2 import Environment

# A page loads no other resource.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; "
    "base-uri 'none'; form-action 'none'"
)


def render(template: str, **values: Any) -> str:
    """Fill a template, such as ``report.html`` or ``report.md``."""
    page = _environment(template.rpartition(".")[2]).get_template(template)
    return page.render({"policy": POLICY, **values})


def script(name: str) -> tuple[Markup, str]:
    """A script among the templates, and the policy of a page that runs it alone."""
    text = Path(__file__).with_name("templates").joinpath(name).read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    policy = f"{POLICY}; script-src 'sha256-{digest}'"
    return Markup(text), policy  # noqa: S704 - our own file


@cache
def _environment(kind: str) -> Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_in_markdown if kind == "md" else None,
    )
    environment.filters |= {"number": _number, "code": _code, "url": _url}
    environment.filters |= {"markdown": _from_markdown, "count_of": number_of}
    return environment


def _in_markdown(value: Any) -> Markup:
    is_safe = isinstance(value, Markup)
    return value if is_safe else Markup(as_markdown(str(value)))  # noqa: S704 - escaped


def _from_markdown(text: str) -> Markup:
    """Markdown as HTML that loads and runs nothing; its headings begin at the third."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
    # Its options forbid HTML, and the parser leaves out links that would run something.
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704


def _code(text: str) -> Markup:
    return Markup(as_code(text))  # noqa: S704 - has just been escaped


def _url(text: str) -> Markup:
    return Markup(quote(text, safe="%/:=&?#+,;@"))  # noqa: S704 - has been escaped


def _number(value: Any, name: str = "") -> str:
    """A cell of a table, of a metric's name; empty for None."""
    if isinstance(value, float):
        return as_score(value, name)
    if isinstance(value, int):
        return f"{value:,}"
    return "" if value is None else str(value)
