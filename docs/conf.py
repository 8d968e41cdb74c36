# SPDX-License-Identifier: MIT
"""Sphinx's configuration, for `make docs`. Pages load nothing from the network."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from docs.generate import filled
from harness.version import release as _release

project = "NEVE harness"
author = "The authors of NEVE harness"
copyright = author
release = version = _release()

extensions = ["myst_parser", "sphinx.ext.autodoc"]
smartquotes = False  # what is quoted may be for a file
default_role = "code"  # docstrings have `names` in single backquotes

myst_enable_extensions = ["attrs_block", "attrs_inline", "deflist"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "description"

html_theme = "furo"
html_title = project
html_static_path = ["style"]
html_css_files = ["book.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options: dict[str, Any] = {"navigation_with_keys": False}


def _fill(_app: Any, _page: str, source: list[str]) -> None:
    source[0] = filled(source[0])


def setup(app: Any) -> None:
    """Have generated parts filled in before a page is parsed."""
    app.connect("source-read", _fill)
