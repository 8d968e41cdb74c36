# SPDX-License-Identifier: MIT
"""What is said of a server that is not ours, from what its kernel says."""

import pytest

from harness.doctor import _nesting

VHE = "VHE mode initialized successfully"
MIDR = "0x00000000410fd490"


@pytest.mark.parametrize(("log", "good", "found"), [
    ("VHE+NV2 mode initialized successfully", True, "VHE+NV2 mode initialized successfully"),
    (VHE, False, f"{VHE}; processor {MIDR}: FEAT_NV2 is not told"),
    (f"{VHE}\nCPU features: unavailable: Nested Virtualization Support", False,
     f"{VHE}; processor {MIDR}: no FEAT_NV2, says the kernel"),
    ("", False, f"the kernel's log does not say; processor {MIDR}: FEAT_NV2 is not told"),
])
def test_nesting_is_told_from_the_log_alone(log, good, found):
    def ask(command):
        if "midr_el1" in command:
            return MIDR
        if "mode initialized" in command:
            return log.partition("\n")[0]
        return log.partition("\n")[2]

    finding = _nesting(ask, True)
    assert (finding.good, finding.found) == (good, found)
