"""How Sphinx builds the documentation: ``make docs``."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "Headrace"
author = "The Headrace authors"
copyright = "the Headrace authors, Apache-2.0"
release = version = version_of("headrace")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "generated_reference",
    "offline_search",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_extensions"]

myst_heading_anchors = 4
smartquotes = False  # a quote in a sentence may be one of TOML or a shell

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"exclude-members": "model_config"}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "Headrace"
html_static_path = ["_static"]
html_css_files = ["headrace.css"]
html_search_scorer = str(Path(__file__).parent / "_extensions" / "search.js")
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
