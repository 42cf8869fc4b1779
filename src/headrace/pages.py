"""HTML pages that need no other file and no network, and run no script.

The templates lie beside this module. Everything that goes into them is escaped, except
what a medium gives as HTML, which has escaped it already.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

# A page may show what is in it, and nothing else.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; "
    "base-uri 'none'; form-action 'none'"
)


def render(template: str, **values: Any) -> str:
    """Fill a template, such as ``report.html``."""
    return _environment().get_template(template).render(policy=POLICY, **values)


@cache
def _environment() -> Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    return environment


def _number(value: Any) -> str:
    """A number of a table; nothing where there is none."""
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() else f"{value:.4g}"
    return "" if value is None else f"{value:,}"
