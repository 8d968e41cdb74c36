# SPDX-License-Identifier: MIT
"""Published faults of nested KVM, and the kernels that have them."""

import pytest

from harness.machine.host import examination
from harness.model.faults import faults, faults_of
from harness.model.kernel_choice import Level


@pytest.mark.parametrize(
    ("level", "release", "known"),
    [
        ("l0", "6.18.44-fcvm-ec792071f6fc", ["vncr-fixmap"]),
        ("l0", "6.18.52", []),
        ("l0", "7.0.14", ["vncr-fixmap", "nested-mmus-race"]),
        ("l0", "7.1.8", ["vncr-fixmap"]),
        ("l0", "7.2.6", []),
        ("l0", "7.3.4", []),
        ("l0", "4.10.0", []),
        ("l0", "custom", []),
        ("l1", "7.1.8", ["l1-freezes-virtio-blk"]),
        ("l1", "6.18.44", []),
        ("l2", "7.1.8", []),
    ],
)
def test_kernels_have_the_faults_of_their_versions(level, release, known):
    assert [fault.id for fault in faults_of(Level(level), release)] == known


def test_each_fault_says_what_it_breaks_and_who_says_so():
    assert len({fault.id for fault in faults()}) == len(faults())
    for fault in faults():
        assert fault.ranges and fault.breaks and fault.fix
        assert all(source.startswith("https://") for source in fault.sources)
        assert all(versions.before for versions in fault.ranges), "fixed, or tested up to there"


def test_doctor_tells_of_a_servers_kernel():
    old, new = (examination._faults(lambda _, said=said: said) for said in ("7.0.14", "7.3.4"))
    assert not old.good and not old.needed
    assert "corrupt the host's memory" in old.found and "5949004d7032" in old.fix
    assert new.good and "Linux 7.3.4" in new.found
