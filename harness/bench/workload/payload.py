# SPDX-License-Identifier: MIT
"""A flat image of the user's own, booted in each configuration; its end is its result."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from harness.bench.outcome import Outcome
from harness.bench.workload.workload import Workload
from harness.deadline import Deadline
from harness.machine.console import Place
from harness.machine.guest.vmm import start
from harness.model.guest import Guest
from harness.model.playbook import Cell, Configuration, Payload


def payload_status(vmm: int) -> int:
    """The image's own status, from the VMM's: the test device ends QEMU with twice that and one
    (chr-testdev of kvm-unit-tests, `exit(code << 1 | 1)`), power off with 0."""
    return vmm >> 1 if vmm & 1 else vmm


@dataclass(frozen=True)
class _Image:
    place: Place
    guest: Guest
    payload: Payload
    shell: None = None

    def measure(self, cell: Cell) -> Outcome:
        name = self.payload.image.name
        program = start(self.place, self.guest, str(cell.configuration))
        try:
            vmm = program.wait(Deadline(self.payload.seconds, f"{name} to power off"))
        finally:
            program.hang_up()
        status = payload_status(vmm)
        return Outcome(
            samples=[
                {
                    "benchmark": cell.benchmark,
                    "status": status,
                    "console": program.console.transcript.name,
                }
            ],
            error=f"{name} ended with status {status}" if status else "",
        )


class PayloadWorkload(Workload):
    """Runs the image of `--payload`."""

    @contextmanager
    def target(self, place: Place, configuration: Configuration) -> Iterator[_Image]:
        payload = self.booted.playbook.payload
        assert payload is not None, "no payload was asked for"
        yield _Image(place, self.guest(place, configuration), payload)

    def pinned(self, configuration: Configuration) -> tuple[int, ...]:
        """None are looked at: the guest is there only while it runs, and nothing is timed."""
        return ()
