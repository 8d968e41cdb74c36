# SPDX-License-Identifier: MIT
"""Benchmarks: what is run in a guest, and how its answer becomes measurements."""
