# SPDX-License-Identifier: MIT
"""Our folders on a server: root's alone, for what lies in them is run by root.

Others can replace what they can write to at any moment, be it a link or a file, and no earlier
check helps against that. So nobody but root may write to a folder of ours, to a folder above it, or
to anything in it, and there is no link on the way.
"""

import shlex
from pathlib import PurePosixPath

from harness.errors import UserError
from harness.machine.host.fabric_host import FabricHost

# On every server, wherever the files of a run lie: the lock, and what a run has to set right.
STATE = "/var/lib/neve"
_UNTRUSTED = 3
# find follows no link, and its -prune looks at the named folder alone.
_OTHERS = r"! -user 0 -o -perm -020 -o -perm -002"
_LOOK = rf'find "$folder" -prune \( ! -type d -o {_OTHERS} \)'
# What has gone in between has no links; of a test that can't be made, `!` makes one that holds.
_BELOW = rf"-links +0 \( ! -type d ! -type f -o -type f -links +1 -o {_OTHERS} \)"


def examine(host: FabricHost, path: str) -> bool:
    """Whether the folder is there. Raises UserError if anyone but root could exchange what is in
    it, or would be if it were there."""
    return _walk(host, path, "exit 1") == 0


def make(host: FabricHost, path: str) -> None:
    """The folder, made if it is not there. Raises as `examine` does."""
    _walk(host, path, 'mkdir "$folder" || exit 2')


def _walk(host: FabricHost, path: str, missing: str) -> int:
    """Status of a look at each folder on the way; what is done for a `missing` one is done in a
    folder that is root's alone, so nobody comes between."""
    above = [str(each) for each in reversed(PurePosixPath(path).parents)]
    done = host.run(
        f"umask 077; for folder in {shlex.join([*above, path])}; do "
        f'[ -e "$folder" ] || [ -L "$folder" ] || {{ {missing}; }}; '
        f'found=$({_LOOK}) && [ -z "$found" ] || {{ ls -ldn "$folder"; exit {_UNTRUSTED}; }}; '
        # Another run may be at work in it: what find no longer finds is no fault.
        f'done; found=$(find "$folder" {_BELOW} -exec ls -ldn {{}} \\; 2>/dev/null); '
        f'[ -z "$found" ] || {{ echo "$found"; exit {_UNTRUSTED}; }}',
        check=False,
    )
    if done.status == _UNTRUSTED:
        raise UserError(
            f"host {host.name}: others than root can change what is in {path}: "
            f"{(done.stdout or done.stderr).partition(chr(10))[0]}; remove that, or choose another "
            "`root` in the inventory"
        )
    if done.status not in (0, 1):
        raise UserError(f"host {host.name}: {path} can't be made: {done.stderr.strip()}")
    return done.status
