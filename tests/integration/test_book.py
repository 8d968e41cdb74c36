# SPDX-License-Identifier: MIT
"""The book of `make docs`."""

import re
import subprocess
import sys

from harness.paths import ROOT


def test_the_book_is_built_without_warnings_and_loads_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "docs", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 35
    for page in pages:
        loaded = re.findall(
            r"<(?:script|img|iframe)[^>]* src=\"([^\"]+)|<link[^>]* href=\"([^\"]+)",
            page.read_text(encoding="utf-8"),
        )
        assert not [each for pair in loaded for each in pair if re.match(r"https?:|//", each)]
    assert "<!-- generated" not in "".join(page.read_text(encoding="utf-8") for page in pages)
