# SPDX-License-Identifier: MIT
"""What a host says does not become a command there."""

import subprocess

from harness.host.protocol import Completed
from harness.host.tuning import constant_speed


class Hostile:
    """A host whose governors have names of their own choice; all other commands really run."""

    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "scaling_governor"

    def run(self, command, **_):
        if command.startswith("grep"):
            return Completed(0, f"{self.file}:$(touch {self.folder}/one)\n"
                                f"{self.file};touch {self.folder}/two:schedutil\n", "")
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        return Completed(done.returncode, done.stdout, done.stderr)


def test_names_of_governors_are_no_commands(tmp_path):
    host = Hostile(tmp_path)
    with constant_speed(host):
        pass
    assert host.file.read_text() == f"$(touch {tmp_path}/one)\n"
    assert not {"one", "two"} & {path.name for path in tmp_path.iterdir()}
