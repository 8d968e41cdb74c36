# SPDX-License-Identifier: MIT
"""A foreign ARM server for tests: Debian in a QEMU machine, known by address and key alone."""
