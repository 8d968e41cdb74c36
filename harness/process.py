# SPDX-License-Identifier: MIT
"""Local processes: argument lists, an explicit environment, output kept in a log."""

import errno
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from harness.errors import HarnessError, InfrastructureError, MissingToolError, UserError
from harness.verbosity import PROGRAMS, tell

_PASSED_ON = ("PATH", "HOME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE")
# apt takes them in small letters only.
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
# Where a user's agents, keyrings and password stores are, for commands of the user's alone.
_OF_THE_LAB = (
    "DBUS_SESSION_BUS_ADDRESS",
    "XDG_RUNTIME_DIR",
    "GNUPGHOME",
    "PASSWORD_STORE_DIR",
    "SSH_AUTH_SOCK",
    "GPG_TTY",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
)
_CLEAN_UP_SECONDS = 10
_LITTLE = 1 << 20
_SHOWN = 200  # letters of a path in an error
# What only the user can change, so that trying again does not help.
_USERS = {
    errno.EEXIST: "a file is where a folder is needed",
    errno.ENOTDIR: "a file is where a folder is needed",
    errno.EISDIR: "it is a folder, a file is needed",
    errno.EACCES: "you may not do that (Permission denied)",
    errno.EPERM: "you may not do that (Operation not permitted)",
    errno.EROFS: "the file system can only be read",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ELOOP: "a symbolic link that leads to itself",
}
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
    for name in _PROXIES:
        if proxy := os.environ.get(name) or os.environ.get(name.upper()):
            kept[name] = proxy
    return {**kept, "LC_ALL": "C.UTF-8", **(extra or {})}


def lab_environment() -> dict[str, str]:
    """What a command of an inventory sees beyond other children: `pass`, `secret-tool` and `ssh`
    need the user's agents."""
    return {name: os.environ[name] for name in _OF_THE_LAB if name in os.environ}


def require(program: str, package: str) -> str:
    """Path of `program`, or a MissingToolError that names the Debian package."""
    # Few users have the administrator's programs in their PATH.
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
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
    private: bool = False,
) -> str:
    """Run `argv`, return its standard output; with `log`, both outputs are appended there. The
    arguments of one that is `private` may be secrets: -v does not tell them.

    Raises ProcessError with the last lines, and OSError's meaning for a full disk.
    """
    tell(f"{argv[0]} …" if private else shlex.join(argv), PROGRAMS)
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
                status, _, _ = _communicate(argv, cwd, env, stdin, timeout, sink, subprocess.STDOUT)
            tail = _tail(log.read_text(encoding="utf-8", errors="replace"))
            output, complaint = "", ""
    except subprocess.TimeoutExpired as error:
        raise InfrastructureError(f"{argv[0]} did not end within {timeout:.0f} s") from error
    except FileNotFoundError as error:
        if cwd and not cwd.is_dir():
            raise
        raise MissingToolError(f"{argv[0]} is not installed") from error
    except PermissionError as error:
        raise UserError(
            f"{argv[0]} can't be executed: is its file system mounted with noexec?"
        ) from error
    if status:
        if "No space left on device" in tail:
            raise explain(OSError(errno.ENOSPC, "", argv[0]))
        raise ProcessError(argv, status, tail, log, complaint)
    return output


def mortal(argv: Sequence[str], signal: str = "TERM") -> list[str]:
    """`argv`, to which the kernel sends `signal` should this process be killed."""
    return [require("setpriv", "util-linux"), "--pdeathsig", signal, *argv]


def _communicate(
    argv: Sequence[str],
    cwd: Path | None,
    env: Mapping[str, str] | None,
    stdin: bytes | None,
    timeout: float | None,
    stdout: IO[bytes] | int,
    stderr: int,
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
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" {error.filename}" if error.filename else ""
        return UserError(f"disk full{where}: free some space and repeat the command")
    reason = _USERS.get(error.errno or 0)
    if error.filename is None:
        return InfrastructureError(f"{error.strerror or error}")
    if reason:
        return UserError(f"{shortened(str(error.filename))}: {reason}")
    return InfrastructureError(f"{error.filename}: {error.strerror or error}")


def refuse_full(folder: Path) -> None:
    """Raise OSError if no more than a little can be written into `folder`: not all programs say
    that this is why they failed."""
    with tempfile.TemporaryFile(dir=folder) as probe:
        probe.write(os.urandom(_LITTLE))
        probe.flush()


def shortened(path: str) -> str:
    """`path`, or its first letters if it is much too long."""
    return path if len(path) <= _SHOWN else f"{path[:_SHOWN]}…"
