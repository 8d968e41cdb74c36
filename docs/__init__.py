# SPDX-License-Identifier: MIT
"""The documentation: pages in Markdown, and what makes a book of them."""
