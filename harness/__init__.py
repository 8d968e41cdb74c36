# SPDX-License-Identifier: MIT
"""Measure nested virtualization on ARM: kernels, guests, benchmarks and reports of one run."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - such a Python stops here, and reads no further
    sys.stderr.write(
        "neve: Python 3.11 or newer is needed; this is " + sys.version.split()[0] + "\n"
    )
    sys.exit(2)
