# SPDX-License-Identifier: MIT
"""Results: one schema, the run folder, and the reports that are made from it."""
