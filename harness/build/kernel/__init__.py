# SPDX-License-Identifier: MIT
"""Kernels: where the source comes from, how it is configured, built and remembered."""
