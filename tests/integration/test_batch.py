# SPDX-License-Identifier: MIT
"""Operations in batches, as on a server, where they can be counted: in instructions."""

from dataclasses import replace

import pytest

from harness.bench.script import outcome
from harness.bench.workload.micro import MicroScript
from harness.deadline import Deadline
from harness.errors import GuestError
from harness.machine.guest.microbench import microbench_guest
from harness.model.guest import File, flat_guest
from tests.integration.test_exact import micro_script, under_way

TICKS = 20_000
BENCHMARKS = ["hypercall", "device-io", "virtual-ipi", "virtual-eoi"]
TIMEOUT = 120.0


class Batched(MicroScript):
    """As on a server, but that ticks of its timer are instructions."""

    def step(self, benchmark):
        return replace(super().step(benchmark), ticks=TICKS)


@pytest.fixture(scope="module")
def found(artifacts, tmp_path_factory):
    """{kind of script: {benchmark: what it found}}."""
    found = {}
    for kind in (MicroScript, Batched):
        plain = micro_script(artifacts, 3, "vm")
        wanted = kind(plain.artifacts, plain.spec, plain.configuration, plain.event)
        with under_way(wanted, BENCHMARKS, tmp_path_factory.mktemp("consoles")) as script:
            found[kind] = {
                name: script.measure(wanted.step(name), wanted.event, (0, 1)) for name in BENCHMARKS
            }
            script.ended()
    return found


def cost(found):
    return outcome(found, icount=True).values[0].value


@pytest.mark.parametrize("benchmark", ["hypercall", "device-io"])
def test_a_batch_costs_so_many_times_what_one_operation_does(found, benchmark):
    alone, batch = found[MicroScript][benchmark], found[Batched][benchmark]
    assert batch.sample.batch > 1
    assert batch.sample.mode == pytest.approx(batch.sample.batch * alone.sample.mode, rel=0.02)
    assert cost(batch) == pytest.approx(cost(alone), rel=0.02)
    assert batch.exits.lines() == alone.exits.lines(), "a batch is of the same operations"


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_a_batch_takes_as_long_as_it_should_and_no_longer_than_it_need(found, benchmark):
    sample = found[Batched][benchmark].sample
    assert TICKS * 0.98 <= sample.median < TICKS * 2.2
    assert sample.batch & (sample.batch - 1) == 0


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_nothing_costs_less_than_something(found, benchmark):
    batch, alone = found[Batched][benchmark], found[MicroScript][benchmark]
    assert batch.empty.batch == batch.sample.batch
    assert 0 < batch.empty.median < batch.sample.median
    assert alone.empty is None


def test_what_ends_an_interrupt_is_told_from_what_times_it(found):
    """Of 16 instructions some ten are the operation's own: gic_end() with its branch by the GIC."""
    alone, batched = (cost(each["virtual-eoi"]) for each in found.values())
    assert alone == 16
    assert batched == pytest.approx(10, abs=2)


class OfServer(Batched):
    """The guest is to try the cycle counter, which today's small kernels have no driver of."""

    def text(self, shelf, guests, benchmarks):
        return super().text(shelf, guests, benchmarks).replace("TIMER=virtual", "TIMER=cycles")


def test_a_guest_without_a_cycle_counter_takes_the_other(artifacts, tmp_path):
    plain = micro_script(artifacts, 3, "vm")
    wanted = OfServer(plain.artifacts, plain.spec, plain.configuration, plain.event)
    with under_way(wanted, ["virtual-eoi"], tmp_path) as script:
        found = script.measure(wanted.step("virtual-eoi"), wanted.event, (0, 1))
        script.ended()
    assert "no-such-timer" in (tmp_path / "l0.log").read_text(errors="replace")
    assert found.sample.timer == "virtual"
    assert cost(found) == pytest.approx(10, abs=2)


def test_batches_by_hand(machine, artifacts):
    guest = flat_guest(machine.put(artifacts.files[File.MICROBENCH]), 128, 3)
    with microbench_guest(machine, guest, name="batches", boot_seconds=TIMEOUT) as micro:
        assert micro.batch("hypercall", 1, TIMEOUT) == 1
        one = micro.run("hypercall", 20, 10, TIMEOUT)
        ten = micro.run("hypercall", 20, 10, TIMEOUT, batch=10)
        assert (one.batch, ten.batch, ten.iterations) == (1, 10, 20)
        assert ten.median == pytest.approx(10 * one.median, rel=0.02)
        assert micro.run("empty", 20, 0, TIMEOUT).median < one.median / 10
        for words, said in (("run hypercall 20 0 0", "bad-batch"), ("batch x 5", "unknown")):
            micro.program.send(f"{words}\n")
            assert (
                said in micro.program.expect(r"@MB error [^\r\n]*\r*\n", Deadline(TIMEOUT, said))[0]
            )
        with pytest.raises(GuestError, match="no-batch-takes-so-long"):
            micro.batch("empty", 4_000_000_000, TIMEOUT)
