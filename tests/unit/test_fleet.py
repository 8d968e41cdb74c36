# SPDX-License-Identifier: MIT
from pathlib import Path

import pytest

from harness import fleet
from harness.errors import UserError
from harness.inventory import SshHostSpec
from harness.job import Job


def test_an_answered_prompt_does_not_go_in_the_clear():
    spec = SshHostSpec(name="arm1", address="b", user="me", sudo={"prompt": True})
    job = Job("run", None, spec, None, Path(), ())
    with pytest.raises(UserError, match=r"arm1 would go there in the clear: use a tls://"):
        fleet.execute([job], None, "tcp://127.0.0.1:1")
