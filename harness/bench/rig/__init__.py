# SPDX-License-Identifier: MIT
"""Rigs: what is put up on a booted L0 so that a benchmark can be run, and how it is run there."""

from harness.bench.rig.application import ApplicationRig
from harness.bench.rig.micro import MicroRig
from harness.bench.rig.rig import Answer, Rig, Site, Subject

__all__ = ["Answer", "ApplicationRig", "MicroRig", "Rig", "Site", "Subject"]
