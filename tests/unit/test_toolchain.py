# SPDX-License-Identifier: MIT
import pytest

from harness.build.toolchain import Toolchain
from harness.errors import MissingToolError


def test_compiler_that_is_missing_is_named_with_its_package(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    with pytest.raises(MissingToolError, match="apt-get install gcc-aarch64-linux-gnu") as caught:
        Toolchain.find()
    assert caught.value.exit_code == 2
