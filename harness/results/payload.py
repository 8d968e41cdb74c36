# SPDX-License-Identifier: MIT
"""What a report says about an image of the user's."""

import pandas as pd

from harness.results.content import Content
from harness.results.measured import Measured


def content(measured: Measured, table: pd.DataFrame) -> Content:
    passed = int((table["status"] == 0).sum())
    return Content(
        "payload",
        {
            "title": f"{measured.payload}: {measured.folder.id}",
            "headline": f"It came to a good end in {passed} of {len(table)} configurations.",
        },
        table.fillna(""),
        {},
    )
