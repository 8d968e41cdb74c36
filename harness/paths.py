# SPDX-License-Identifier: MIT
"""Where the project's own data lies: the checkout that this package belongs to."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "images"
KERNEL_PATCHES = ROOT / "kernel-patches"
PLAYBOOKS = ROOT / "playbooks"
