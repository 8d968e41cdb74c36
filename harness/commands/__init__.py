# SPDX-License-Identifier: MIT
"""What each command of the CLI does, with the cache and the progress display of this process."""
