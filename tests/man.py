# SPDX-License-Identifier: MIT
"""Manual pages out of the commands: python -m tests.man FOLDER."""

import sys

from click_man.core import write_man_pages

from harness.cli import cli
from harness.version import release

if __name__ == "__main__":
    write_man_pages("neve", cli, version=release(), target_dir=sys.argv[1])
