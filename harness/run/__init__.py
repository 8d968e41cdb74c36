# SPDX-License-Identifier: MIT
"""Runs: the cells of a playbook, in parallel on all its hosts."""
