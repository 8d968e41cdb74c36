# SPDX-License-Identifier: MIT
"""The model: what is asked for and what was found, as frozen data. It starts and builds nothing."""
