# SPDX-License-Identifier: MIT
"""What the report says of counts that are not the paper's."""

import pytest

from harness.model.aside import Aside
from harness.model.operations import redirections
from harness.model.track import Track, track_names
from harness.results import reference, tables
from harness.results.asides import beside_paper
from harness.results.frames import frame
from tests.synthetic import measurement

ASIDES = (
    Aside(reasons=("ICC_SRE_EL2", "ICH_VTR_EL2"), said="the paper's machine had a GICv2"),
    Aside(reasons=("CPACR_EL1",), said="CPTR_EL2 by another name", vhe=True),
)


def said(configuration, **traps):
    total = sum(traps.values())
    rows = [
        measurement("r", value, configuration=configuration, metric="traps", reason=reason)
        for reason, value in {"": total, **traps}.items()
    ]
    results = frame(rows)
    return beside_paper(tables.summary(results, reference.load()), tables.reasons(results), ASIDES)


def test_a_difference_is_told_by_register():
    assert said("nested-v8.3", HCR_EL2=127, ICC_SRE_EL2=4, ICH_VTR_EL2=1) == {
        "server, hypercall, nested-v8.3: 132 traps, 6 more than the paper's 126": [
            "ICC_SRE_EL2 4, ICH_VTR_EL2 1: the paper's machine had a GICv2"
        ]
    }


def test_fewer_than_the_paper_has():
    assert list(said("nested-neve-vhe", ERET=14)) == [
        "server, hypercall, nested-neve-vhe: 14 traps, 1 fewer than the paper's 15"
    ]


def test_what_is_about_vhe_alone_is_said_of_vhe_alone():
    (vhe,) = said("nested-v8.3-vhe", CPACR_EL1=4, HCR_EL2=80).values()
    (nvhe,) = said("nested-v8.3", CPACR_EL1=4, HCR_EL2=80).values()
    assert vhe == ["CPACR_EL1 4: CPTR_EL2 by another name"]
    assert nvhe == []


@pytest.mark.parametrize("configuration", ["vm", "nested-neve-memory", "nested-neve"])
def test_nothing_is_said_where_there_is_nothing_to_say(configuration):
    """As many as the paper has, a count that the paper does not have, and what is not nested."""
    assert said(configuration, ERET=15) == {}


@pytest.mark.parametrize("track", track_names())
def test_asides_are_about_registers_of_the_track(track):
    known = {**redirections(track, e2h=False), **redirections(track, e2h=True)}
    own = {"PMUSERENR_EL0", "PMSELR_EL0"}  # what ARMv8.0 traps whoever runs
    for aside in Track.load(track).asides:
        assert set(aside.reasons) <= {*known, *own}
