# SPDX-License-Identifier: MIT
"""The micro-benchmarks' workload: a guest of ours without an operating system."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass

from harness.bench import micro
from harness.bench.traps import counting
from harness.bench.workload.workload import BootedHost, Outcome, Workload
from harness.machine.console import Place
from harness.machine.guest.microbench import MicrobenchGuest, microbench_guest
from harness.machine.guest.parameters import cycle_counter
from harness.model.playbook import Cell, Configuration

_BOOT_SECONDS = 180.0


@dataclass(frozen=True)
class _Bench:
    booted: BootedHost
    guest: MicrobenchGuest

    def measure(self, cell: Cell) -> Outcome:
        booted, playbook = self.booted, self.booted.playbook
        effort = micro.Effort(
            playbook.iterations,
            playbook.warmup,
            playbook.trap_iterations,
            playbook.benchmark_seconds,
        ).part(playbook.nested_share if cell.configuration.nested else 1.0)
        sample = micro.measure_cost(self.guest, cell.benchmark, effort)
        with counting(booted.host, booted.event) as counter:
            traps = list(micro.measure_traps(self.guest, counter, sample, effort))
        cost = micro.cost_value(sample, icount=booted.spec.kind == "tcg")
        return Outcome([cost, *traps], [asdict(sample)])


class MicroWorkload(Workload):
    """Measures operations in cycles and exits."""

    @contextmanager
    def target(self, place: Place, configuration: Configuration) -> Iterator[_Bench]:
        booted, guest = self.booted, self.guest(place, configuration)
        with ExitStack() as stack:
            with (
                booted.stage(f"{configuration}: boot guest at L{configuration.guest_level}"),
                cycle_counter(place, for_good=configuration.nested) as counts_cycles,
            ):
                micro_guest = stack.enter_context(
                    microbench_guest(
                        place, guest, name=str(configuration), boot_seconds=_BOOT_SECONDS
                    )
                )
                if counts_cycles:
                    micro_guest.use_timer("cycles")
            yield _Bench(booted, micro_guest)
