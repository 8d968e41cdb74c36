# SPDX-License-Identifier: MIT
"""The model: what is asked for and what is found, as frozen data; it starts and builds nothing."""
