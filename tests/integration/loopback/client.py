# SPDX-License-Identifier: MIT
"""`python client.py FOLDER SPEC NAME TIMES SECONDS WAIT`: a run that measures nothing, in all else
as they are: reaches the server, locks it, starts a program there and waits for its end."""

import sys
from pathlib import Path

from harness.cache import Cache
from harness.deadline import Deadline
from harness.errors import HarnessError
from harness.machine import levels
from harness.machine.host import lock
from harness.model.inventory import SshHostSpec

lock._BEAT_SECONDS, lock._SILENCE_SECONDS, lock._POLL_SECONDS = 0.5, 4, 0.5


def run(folder, spec, name, times, seconds, wait):
    with levels.l0(Cache(folder), spec, None, folder, wait=wait) as host:
        print("locked", flush=True)
        for _ in range(times):
            program = host.start(["measure", name, seconds], name)
            program.expect("@measured", Deadline(300, "the end"))
            host.run("true")
            print("measured", flush=True)


if __name__ == "__main__":
    folder, spec, name, times, seconds, wait = sys.argv[1:]
    try:
        run(
            Path(folder),
            SshHostSpec.model_validate_json(spec),
            name,
            int(times),
            seconds,
            float(wait),
        )
    except HarnessError as error:
        print(error, flush=True)
        sys.exit(error.exit_code)
