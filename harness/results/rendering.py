# SPDX-License-Identifier: MIT
"""Renders pages and texts from the templates."""

from functools import cache
from typing import Any

import jinja2


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("harness.results"),
        undefined=jinja2.StrictUndefined,
        autoescape=jinja2.select_autoescape(["html.j2"]),
        keep_trailing_newline=True,
        trim_blocks=True,
    )


def rendered(template: str, **values: Any) -> str:
    """The file `template`, filled with `values`. Those of pages, `….html.j2`, are escaped."""
    return _environment().get_template(template).render(**values)
