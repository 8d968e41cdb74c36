# SPDX-License-Identifier: MIT
"""Machines: hosts, the guests of KVM on them, and the consoles of both."""
