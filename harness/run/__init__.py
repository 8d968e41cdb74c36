# SPDX-License-Identifier: MIT
"""Runs: the cells of a playbook, host by host, and the hosts at once."""
