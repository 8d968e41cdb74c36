# SPDX-License-Identifier: MIT
"""Measure nested virtualization on ARM: kernels, guests, benchmarks and reports of one run."""

__version__ = "0.1.0"
