# SPDX-License-Identifier: MIT
"""Tables for LaTeX."""

import re

import pandas as pd

_FIGURE = re.compile(r"[-+]?\d[\d,.]*(x|\b)")


def latex(table: pd.DataFrame) -> str:
    """`table`, whose cells are text, as a tabular of booktabs; columns of figures are aligned to
    the right."""
    kinds = "".join("r" if _of_figures(table[name]) else "l" for name in table.columns)
    styled = table.style.hide(axis="index").format(escape="latex")
    styled = styled.format_index(escape="latex", axis="columns")
    text = styled.to_latex(column_format=kinds, hrules=True)
    return f"% \\usepackage{{booktabs}}\n{text}".rstrip("\n")


def _of_figures(column: "pd.Series[str]") -> bool:
    known = [str(cell) for cell in column if str(cell)]
    return bool(known) and all(_FIGURE.match(cell) for cell in known)
