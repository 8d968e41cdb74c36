# SPDX-License-Identifier: MIT
"""Builds what boots: kernels, images, and the programs that they need."""
