# SPDX-License-Identifier: MIT
"""Kernels: where the source comes from, and how it is configured, built and cached."""
