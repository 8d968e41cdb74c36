# SPDX-License-Identifier: MIT
"""`python -m harness` is `neve`."""

from harness.cli import main

main()
