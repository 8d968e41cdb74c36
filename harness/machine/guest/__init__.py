# SPDX-License-Identifier: MIT
"""Guests of KVM: QEMU command lines and life cycle of L1 and L2."""
