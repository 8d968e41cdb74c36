# SPDX-License-Identifier: MIT
"""What a machine compiles with, and what it emulates ARM with, by its own architecture."""

import pytest

from harness.build.debian import Debian
from harness.build.toolchain import Toolchain
from harness.errors import MissingToolError


@pytest.mark.parametrize(
    ("machine", "package"),
    [("x86_64", "gcc-aarch64-linux-gnu"), ("aarch64", "gcc"), ("ppc64le", "gcc-aarch64-linux-gnu")],
)
def test_compiler_that_is_missing_is_named_with_its_package(
    monkeypatch, tmp_path, machine, package
):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("platform.machine", lambda: machine)
    with pytest.raises(MissingToolError, match=f"apt-get install {package}$") as caught:
        Toolchain.find()
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("machine", "debian"),
    [("x86_64", "amd64"), ("aarch64", "arm64"), ("ppc64le", "ppc64el"), ("riscv64", "riscv64")],
)
def test_the_emulator_alone_is_of_the_machine_s_own_architecture(monkeypatch, machine, debian):
    monkeypatch.setattr("platform.machine", lambda: machine)
    roots = {name: root["architecture"] for name, root in Debian.load().roots.items()}
    assert roots.pop("tools") == debian
    assert set(roots.values()) == {"arm64"}
