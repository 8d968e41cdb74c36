# SPDX-License-Identifier: MIT
"""The micro-benchmarks' rig: a guest of ours without an operating system."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass

from harness.bench import micro
from harness.bench.rig.rig import Answer, Rig, Site
from harness.bench.traps import counting
from harness.machine.console import Place
from harness.machine.guest.microbench import MicrobenchGuest, microbench_guest
from harness.machine.guest.parameters import cycle_counter
from harness.model.guest import GUEST_CPUS, Guest
from harness.model.playbook import Cell, Configuration

_BOOT_SECONDS = 180.0


@dataclass(frozen=True)
class _Bench:
    site: Site
    guest: MicrobenchGuest

    def measure(self, cell: Cell) -> Answer:
        site, playbook = self.site, self.site.playbook
        effort = micro.Effort(
            playbook.iterations,
            playbook.warmup,
            playbook.trap_iterations,
            playbook.benchmark_seconds,
        ).part(playbook.nested_share if cell.configuration.nested else 1.0)
        sample = micro.measure_cost(self.guest, cell.benchmark, effort)
        with counting(site.host, site.event) as counter:
            traps = list(micro.measure_traps(self.guest, counter, sample, effort))
        cost = micro.cost_value(sample, icount=site.spec.kind == "tcg")
        return Answer([cost, *traps], [asdict(sample)])


class MicroRig(Rig):
    """Measures operations in cycles and exits."""

    @contextmanager
    def subject(self, place: Place, configuration: Configuration) -> Iterator[_Bench]:
        site = self.site
        level = "L2" if configuration.nested else "L1"
        guest = Guest(
            place.put(site.artifacts.microbench),
            GUEST_CPUS,
            site.playbook.l2_memory,
            site.spec.gic,
            pinned=() if configuration.nested else site.cpus,
        )
        site.record(f"{configuration}: benchmark guest at {level}", guest)
        with ExitStack() as stack:
            with (
                site.stage(f"{configuration}: boot benchmark guest at {level}"),
                cycle_counter(place, for_good=configuration.nested) as counts_cycles,
            ):
                micro_guest = stack.enter_context(
                    microbench_guest(
                        place, guest, name=str(configuration), boot_seconds=_BOOT_SECONDS
                    )
                )
                if counts_cycles:
                    micro_guest.use_timer("cycles")
            yield _Bench(site, micro_guest)
