# SPDX-License-Identifier: MIT
"""The history of all runs: a database, the noise of each host, and what has changed."""
