# SPDX-License-Identifier: MIT
"""What all runs say together: a database, the noise of a host, and what has changed."""
