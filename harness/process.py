# SPDX-License-Identifier: MIT
"""Local processes: argument lists, an explicit environment, output kept in a log."""

import errno
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from harness.errors import HarnessError, InfrastructureError, MissingToolError, UserError

_PASSED_ON = ("PATH", "HOME", "TMPDIR", "http_proxy", "https_proxy", "no_proxy")
_CLEAN_UP_SECONDS = 10
TAIL_LINES = 15


class ProcessError(InfrastructureError):
    """A local command ended with a status other than 0.

    `tail` holds its last lines, `complaint` the first one of its standard error.
    """

    def __init__(
        self, argv: Sequence[str], status: int, tail: str, log: Path | None, complaint: str
    ) -> None:
        self.status = status
        self.tail = tail
        self.complaint = complaint
        where = f"; log: {log}" if log else ""
        super().__init__(f"{argv[0]} ended with status {status}{where}\n{tail}".rstrip())


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a child sees: a few variables of ours, the C locale, and `extra`."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**kept, "LC_ALL": "C.UTF-8", **(extra or {})}


def require(program: str, package: str) -> str:
    """Path of `program`, or a MissingToolError that names the Debian package."""
    path = shutil.which(program)
    if path is None:
        raise MissingToolError(f"{program} is not installed: apt-get install {package}")
    return path


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
    stdin: bytes | None = None,
    timeout: float | None = None,
) -> str:
    """Run `argv`, return its standard output; with `log`, both outputs are appended there.

    Raises ProcessError with the last lines, and OSError's meaning for a full disk.
    """
    try:
        if log is None:
            status, written, said = _communicate(
                argv, cwd, env, stdin, timeout, subprocess.PIPE, subprocess.PIPE
            )
            output, errors = (text.decode(errors="replace") for text in (written, said))
            tail, complaint = _tail(output + errors), errors.strip().partition("\n")[0]
        else:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("ab") as sink:
                status, _, _ = _communicate(
                    argv, cwd, env, stdin, timeout, sink, subprocess.STDOUT
                )
            tail = _tail(log.read_text(encoding="utf-8", errors="replace"))
            output, complaint = "", ""
    except subprocess.TimeoutExpired as error:
        raise InfrastructureError(f"{argv[0]} did not end within {timeout:.0f} s") from error
    except FileNotFoundError as error:
        raise MissingToolError(f"{argv[0]} is not installed") from error
    if status:
        if "No space left on device" in tail:
            raise explain(OSError(errno.ENOSPC, "", argv[0]))
        raise ProcessError(argv, status, tail, log, complaint)
    return output


def mortal(argv: Sequence[str], signal: str = "TERM") -> list[str]:
    """`argv`, to which the kernel sends `signal` should this process be killed."""
    return [require("setpriv", "util-linux"), "--pdeathsig", signal, *argv]


def _communicate(
    argv: Sequence[str], cwd: Path | None, env: Mapping[str, str] | None, stdin: bytes | None,
    timeout: float | None, stdout: IO[bytes] | int, stderr: int,
) -> tuple[int, bytes, bytes]:
    """Status and outputs. A command that we give up may clean up first: make, for one, ends its
    own children and removes what they left half written."""
    source = subprocess.PIPE if stdin is not None else subprocess.DEVNULL
    with subprocess.Popen(
        argv, cwd=cwd, env=environment(env), stdin=source, stdout=stdout, stderr=stderr
    ) as child:
        try:
            written, said = child.communicate(stdin, timeout)
        except BaseException:
            child.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.wait(_CLEAN_UP_SECONDS)
            child.kill()
            raise
    return child.returncode, written, said


def _tail(text: str) -> str:
    return "\n".join(text.splitlines()[-TAIL_LINES:])


def explain(error: HarnessError | OSError) -> HarnessError:
    """The one-line error that `error` means to the user; ours are that already."""
    if isinstance(error, HarnessError):
        return error
    where = f" {error.filename}" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserError(f"disk full{where}: free some space and repeat the command")
    return InfrastructureError(f"{error.strerror or error}{where}")
