# SPDX-License-Identifier: MIT
"""Workloads: what is set up on a booted L0 so that a cell can be measured, and how it is
measured."""

from harness.bench.workload.application import ApplicationWorkload
from harness.bench.workload.linux import LinuxWorkload
from harness.bench.workload.payload import PayloadWorkload
from harness.bench.workload.workload import BootedHost, Target, Workload
from harness.model.setup import Workload as Kind

WORKLOADS: dict[Kind, type[Workload]] = {
    Kind.APPLICATIONS: ApplicationWorkload,
    Kind.PAYLOAD: PayloadWorkload,
    Kind.LINUX: LinuxWorkload,
}

__all__ = ["WORKLOADS", "BootedHost", "LinuxWorkload", "Target", "Workload"]
