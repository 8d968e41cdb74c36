# SPDX-License-Identifier: MIT
"""What boots: root file systems, the micro-benchmark guest, the emulator that runs them."""
