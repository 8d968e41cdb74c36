# SPDX-License-Identifier: MIT
"""Renders pages and texts from the templates."""

from functools import cache
from typing import Any

import jinja2
import pandas as pd


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


def html_table(table: pd.DataFrame, names: int) -> str:
    """`table` for a page. Its first columns, so many, are `names`, which stand on the left; the
    others are figures."""
    return table.to_html(index=False, border=0, classes=f"names-{names}")
