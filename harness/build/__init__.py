# SPDX-License-Identifier: MIT
"""What boots is built here: kernels, images, and the programs that they need."""
